from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pyserini_optical.data import Pair
from pyserini_optical.errors import RecipeError
from pyserini_optical.models.teacher import encode_texts
from pyserini_optical.models.training_free import Array, Map, bures, map_vectors, mean_offset
from pyserini_optical.models.transformer import load_transformer, save_transformer

pytestmark = pytest.mark.usefixtures("in_float32")


def cloud(seed: int, count: int = 4000, dimension: int = 5) -> Array:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(count, dimension)) @ draw.normal(size=(dimension, dimension)) + draw.normal(size=dimension)


def test_mean_offset_moves_the_mean_and_nothing_else() -> None:
    source, target = cloud(0), cloud(1)
    weight, bias = mean_offset(source, target)
    moved = source @ weight.T + bias
    np.testing.assert_allclose(moved.mean(axis=0), target.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(moved - moved[0], source - source[0], atol=1e-12)


def test_bures_moves_mean_and_covariance_and_is_the_optimal_map() -> None:
    source, target = cloud(2), cloud(3)
    weight, bias = bures(source, target)
    moved = source @ weight.T + bias
    np.testing.assert_allclose(moved.mean(axis=0), target.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(np.cov(moved.T), np.cov(target.T), rtol=2e-3, atol=2e-3)
    # Of all linear maps between the two Gaussians the optimal one is symmetric and positive (Brenier).
    np.testing.assert_allclose(weight, weight.T, atol=1e-9)
    assert np.linalg.eigvalsh(weight).min() > 0


@pytest.mark.parametrize("kind", ["mean-offset", "bures"])
def test_a_mapped_model_is_an_ordinary_folder(kind: Map, tiny: Path, toy_pairs: list[Pair], tmp_path: Path) -> None:
    teacher, student = (load_transformer(str(tiny), "cpu") for _ in range(2))
    mapped = map_vectors(student, teacher, toy_pairs, kind)
    save_transformer(mapped, tmp_path / "mapped")
    loaded = load_transformer(str(tmp_path / "mapped"), "cpu")
    assert not [path for path in (tmp_path / "mapped").rglob("*") if path.suffix in (".bin", ".pt", ".pkl")]
    foreign, english = [pair.foreign for pair in toy_pairs], [pair.english for pair in toy_pairs]
    plain, target = (encode_texts(teacher, texts, "query") for texts in (foreign, english))
    found = encode_texts(loaded, foreign, "query")
    assert isinstance(plain, torch.Tensor)
    assert isinstance(target, torch.Tensor)
    assert isinstance(found, torch.Tensor)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(found)), atol=1e-5, rtol=0)
    weight, bias = (mean_offset if kind == "mean-offset" else bures)(plain.double().numpy(), target.double().numpy())
    expected = plain.double().numpy() @ weight.T + bias
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
    gap = torch.linalg.vector_norm(target.mean(dim=0) - found.mean(dim=0))
    assert gap < 0.3 * torch.linalg.vector_norm(target.mean(dim=0) - plain.mean(dim=0))


def test_bures_wants_more_pairs_than_dimensions(tiny: Path, toy_pairs: list[Pair]) -> None:
    model = load_transformer(str(tiny), "cpu")
    with pytest.raises(RecipeError, match="32 pairs are too few"):
        map_vectors(model, model, toy_pairs[:32], "bures")
