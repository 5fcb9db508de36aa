from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import MultiVectorEncoder

from pyserini_optical.models.late_interaction import project, raw_tokens
from pyserini_optical.models.teacher import query_features
from pyserini_optical.models.transformer import load_transformer
from pyserini_optical.objectives import Marginals, represent
from pyserini_optical.objectives.marginals import count_idf

# The second sentence holds id 0, which is padding's too, as a real token.
IDS = torch.tensor([[101, 7, 100, 102, 0], [101, 0, 5, 6, 102]])
READ = torch.tensor([[True, True, True, True, False], [True] * 5])


class Tokenizer:
    all_special_ids = (101, 102)


def test_padding_and_special_tokens_take_no_part() -> None:
    kept = Marginals.of(Tokenizer).taking_part(IDS, READ, READ)
    assert kept.tolist() == [[False, True, True, False, False], [False, True, True, True, False]]
    assert torch.equal(Marginals.of(Tokenizer, special_tokens=True).taking_part(IDS, READ, READ), READ)


def test_what_is_read_and_not_scored_takes_part_with_the_special_tokens_alone() -> None:
    scored = READ & (IDS != 7)
    without, with_special = (
        Marginals.of(Tokenizer, special_tokens=special).taking_part(IDS, READ, scored) for special in (False, True)
    )
    assert without[0].tolist() == [False, False, True, False, False]
    assert torch.equal(with_special, READ)


@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    by=st.sampled_from(["uniform", "norm", "idf"]),
    seed=st.integers(0, 1000),
)
def test_masses_sum_to_one_and_lie_where_the_tokens_are(lengths: list[int], by: str, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 9, (len(lengths), 6), generator=draw)
    tokens = torch.randn(len(lengths), 6, 3, generator=draw).requires_grad_()
    mask = torch.arange(6)[None] < torch.tensor(lengths)[:, None]
    idf = torch.rand(9, generator=draw) + 0.1 if by == "idf" else None
    found = Marginals.of(Tokenizer, by=by, idf=idf).masses(ids, mask, tokens)  # type: ignore[arg-type]
    assert not found.requires_grad
    assert torch.equal(found > 0, mask)
    assert torch.allclose(found.sum(dim=1), (torch.tensor(lengths) > 0).float())
    for row, length in enumerate(lengths):
        weights = {
            "uniform": torch.ones(length),
            "norm": tokens[row, :length].norm(dim=-1),
            "idf": (idf if idf is not None else torch.zeros(9))[ids[row, :length]],
        }[by]
        assert torch.allclose(found[row, :length], (weights / weights.sum()).detach(), atol=1e-6)


def test_vectors_without_length_have_no_mass() -> None:
    marginals = Marginals.of(Tokenizer, by="norm")
    assert marginals.masses(IDS, READ, torch.zeros(2, 5, 3)).abs().max() == 0


@given(
    sentences=st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=1, max_size=9), cut=st.integers(0)
)
def test_idf_is_bm25s(sentences: list[list[int]], cut: int) -> None:
    cut %= len(sentences) + 1
    parts = [torch.tensor(part, dtype=torch.long).reshape(-1, 3) for part in (sentences[:cut], sentences[cut:])]
    found = count_idf(parts, 8)
    for piece in range(8):
        holding = sum(piece in sentence for sentence in sentences)
        expected = math.log(1 + (len(sentences) - holding + 0.5) / (holding + 0.5))
        assert found[piece].item() == pytest.approx(expected, rel=1e-5)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match="uniform, norm or idf, got 'tf'"):
        Marginals.of(Tokenizer, by="tf")  # type: ignore[arg-type]
    for by, idf in (("idf", None), ("norm", torch.ones(3))):
        with pytest.raises(ValueError, match="want the idf"):
            Marginals.of(Tokenizer, by=by, idf=idf)  # type: ignore[arg-type]


@pytest.fixture(params=["raw", "projected"])
def late(request: pytest.FixtureRequest, tiny: Path) -> MultiVectorEncoder:
    torch.manual_seed(0)
    model = load_transformer(str(tiny), "cpu")
    return (raw_tokens(model) if request.param == "raw" else project(model, 8)).eval()


def test_a_late_interaction_model_weighs_by_the_length_before_its_last_step(late: MultiVectorEncoder) -> None:
    features = query_features(late, ["the old farmer saw the river", "the horse"], 32)
    found = represent(late, features, Marginals.of(late.tokenizer, by="norm"))
    output = dict(features)
    for module in list(late)[:-2]:  # without the mask of what is scored, and unit length
        output = module(output)
    lengths = output["token_embeddings"].norm(dim=-1) * found.mask
    assert torch.allclose(found.masses, lengths / lengths.sum(dim=1, keepdim=True), atol=1e-6)
    assert torch.allclose(found.tokens[found.mask].norm(dim=-1), torch.ones(int(found.mask.sum())), atol=1e-5)
    assert found.masses[0][found.mask[0]].std() > 0


def test_special_tokens_of_a_late_interaction_model_are_aligned_if_asked_and_never_scored(
    late: MultiVectorEncoder,
) -> None:
    features = query_features(late, ["the old farmer"], 32)
    without, with_special = (
        represent(late, features, Marginals.of(late.tokenizer, special_tokens=special)) for special in (False, True)
    )
    assert without.mask.tolist() == with_special.mask.tolist() == [[False, True, True, True, False]]
    assert torch.allclose(without.masses, torch.tensor([[0, 1, 1, 1, 0]]) / 3)
    assert torch.allclose(with_special.masses, torch.ones(1, 5) / 5)
