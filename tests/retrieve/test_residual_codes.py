from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pyserini_optical.errors import CheckpointError
from pyserini_optical.retrieve.residual_codes import ResidualCodes

Vectors = NDArray[np.float32]


def some(number: int, dimension: int = 24, seed: int = 0) -> Vectors:
    """Unit vectors around 10 centres, some dimensions wider than others."""
    draw = np.random.default_rng(seed)
    width = np.linspace(0.02, 0.3, dimension)
    centres = np.random.default_rng(9).standard_normal((10, dimension))
    vectors = centres[draw.integers(0, 10, number)] + width * draw.standard_normal((number, dimension))
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.mark.parametrize(("bits", "least"), [(2, 0.995), (4, 0.9995)])
def test_decoded_vectors_are_near_and_of_unit_length(bits: int, least: float) -> None:
    codes = ResidualCodes.train(some(3000), bits)
    vectors = some(500, seed=1)
    rows = codes.encode(vectors)
    assert rows.shape == (500,)
    assert rows.dtype.itemsize == 2 + 24 * bits // 8
    decoded = codes.decode(rows)
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(decoded, axis=1), 1, atol=1e-5)
    assert (decoded * vectors).sum(axis=1).mean() > least
    # Residuals of nothing but the centroid would be much farther.
    centroids = codes.centroids[rows["centroid"]]
    assert np.linalg.norm(decoded - vectors, axis=1).mean() < 0.5 * np.linalg.norm(centroids - vectors, axis=1).mean()


@settings(max_examples=25, deadline=None)
@given(number=st.integers(1, 90), dimension=st.integers(1, 9), bits=st.sampled_from([2, 4]), seed=st.integers(0, 1000))
def test_any_number_and_length_of_vectors(number: int, dimension: int, bits: int, seed: int) -> None:
    vectors = some(number, dimension, seed)
    codes = ResidualCodes.train(vectors, bits)
    decoded = codes.decode(codes.encode(vectors))
    assert decoded.shape == vectors.shape
    assert np.isfinite(decoded).all()
    # The nearest level in each dimension, so no farther than any other choice of levels.
    plain = codes.centroids[codes.encode(vectors)["centroid"]]
    left = (vectors - plain) / codes.scale
    nearest = codes.levels[np.abs(left[..., None] - codes.levels).argmin(axis=-1)]
    expected = plain + nearest * codes.scale
    expected /= np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(decoded, expected, atol=1e-5)


def test_the_same_sample_gives_the_same_code_and_it_survives_the_disk(tmp_path: Path) -> None:
    first, second = (ResidualCodes.train(some(500), 4) for _ in range(2))
    rows = first.encode(some(50, seed=2))
    np.testing.assert_array_equal(rows, second.encode(some(50, seed=2)))
    first.save(tmp_path / "codebook.npz")
    loaded = ResidualCodes.load(tmp_path / "codebook.npz")
    np.testing.assert_array_equal(loaded.decode(rows), first.decode(rows))


@pytest.mark.parametrize("damage", ["truncated", "text", "missing", "other", "pickled", "levels"])
def test_a_damaged_codebook_is_said(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "codebook.npz"
    codes = ResidualCodes.train(some(100), 2)
    codes.save(path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-50])
    elif damage == "text":
        path.write_text("not an archive")
    elif damage == "missing":
        path.unlink()
    elif damage == "other":
        np.savez(path, centroids=codes.centroids)
    elif damage == "pickled":
        np.savez(path, centroids=np.array([{}]), scale=codes.scale, levels=codes.levels)
    else:
        np.savez(path, centroids=codes.centroids, scale=codes.scale, levels=codes.levels[:3])
    with pytest.raises(CheckpointError, match=r"codebook\.npz: damaged \(.*; remove the folder and encode") as caught:
        ResidualCodes.load(path)
    assert "\n" not in str(caught.value)
