from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pyserini_optical.errors import CheckpointError
from pyserini_optical.models.fixed_dimensional import FixedDimensional
from pyserini_optical.models.provenance import Provenance

Vectors = NDArray[np.float32]


def some(lengths: list[int], dimension: int = 12, seed: int = 0) -> list[Vectors]:
    """Unit vectors: so many tokens a text."""
    draw = np.random.default_rng(seed)
    texts = [draw.standard_normal((length, dimension)).astype(np.float32) for length in lengths]
    return [text / np.linalg.norm(text, axis=1, keepdims=True) for text in texts]


def blocks(shape: FixedDimensional, vectors: Vectors) -> Vectors:
    """Undo what puts the blocks of texts into one vector: (texts, repetitions, buckets, dimensions)."""
    found: Vectors = vectors.reshape(len(vectors), shape.repetitions, 2**shape.bits, shape.dimension)
    return found * np.float32(np.sqrt(shape.repetitions))


@pytest.mark.parametrize("bits", [0, 1, 3])
def test_a_query_is_the_sum_of_its_tokens_and_a_passage_the_mean_of_each_bucket(bits: int) -> None:
    shape = FixedDimensional(repetitions=5, bits=bits, dimension=6)
    (text,) = some([40])
    alone = blocks(shape, shape.encode_queries([token[None] for token in text]))
    np.testing.assert_allclose(blocks(shape, shape.encode_queries([text]))[0], alone.sum(axis=0), atol=1e-5)
    assert (np.any(alone != 0, axis=3).sum(axis=2) == 1).all()  # each token is in one bucket of each repetition
    passage = blocks(shape, shape.encode_passages([text]))[0]
    for repetition in range(5):
        bucket = np.any(alone[:, repetition] != 0, axis=2).argmax(axis=1)
        tokens = alone[np.arange(40), repetition, bucket]
        apart = np.bitwise_count(np.arange(2**bits)[:, None] ^ bucket[None, :])
        for number in range(2**bits):
            # The bucket's own tokens, or else those whose signs differ in the fewest places.
            nearest = apart[number] == apart[number].min()
            np.testing.assert_allclose(passage[repetition, number], tokens[nearest].mean(axis=0), atol=1e-5)


def test_one_token_fills_every_bucket_of_its_passage() -> None:
    shape = FixedDimensional(repetitions=3, bits=4, dimension=5)
    filled = blocks(shape, shape.encode_passages(some([1])))[0]
    np.testing.assert_allclose(filled, np.broadcast_to(filled[:, :1], filled.shape), atol=1e-6)
    assert (np.linalg.norm(filled, axis=2) > 0).all()


def test_over_seeds_the_projection_is_unbiased() -> None:
    """With one bucket the expected inner product is the one of the query's sum and the passage's mean."""
    query, passage = some([5, 9])
    exact = float(query.sum(axis=0) @ passage.mean(axis=0))
    for final in (None, 64):
        found = []
        for seed in range(400):
            shape = FixedDimensional(repetitions=10, bits=0, dimension=8, final=final, seed=seed)
            found.append(float((shape.encode_queries([query]) @ shape.encode_passages([passage]).T).item()))
        error = np.std(found) / np.sqrt(len(found))
        assert abs(np.mean(found) - exact) < 4 * error
        assert error < 0.1


def test_more_repetitions_come_nearer_to_maxsim() -> None:
    """Every token of the query stands in the passage but for a little noise, so MaxSim is known to be large."""
    query, *passages = some([8, *[20] * 30], dimension=32)
    for number, passage in enumerate(passages):
        passage[: number % 9] = query[: number % 9]
    exact = np.array([(query @ passage.T).max(axis=1).sum() for passage in passages])

    def agreement(repetitions: int) -> float:
        shape = FixedDimensional(repetitions=repetitions, bits=4, dimension=16)
        found = (shape.encode_queries([query]) @ shape.encode_passages(passages).T)[0]
        return float(np.corrcoef(found, exact)[0, 1])

    assert agreement(2) < agreement(40)
    assert agreement(40) > 0.9


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), max_size=6),
    bits=st.integers(0, 5),
    final=st.one_of(st.none(), st.integers(1, 50)),
    seed=st.integers(0, 1000),
)
def test_the_order_of_tokens_and_the_company_change_nothing(
    lengths: list[int], bits: int, final: int | None, seed: int
) -> None:
    shape = FixedDimensional(repetitions=3, bits=bits, dimension=4, final=final, seed=seed)
    texts = some(lengths, seed=seed)
    draw = np.random.default_rng(seed)
    for encode in (shape.encode_queries, shape.encode_passages):
        found = encode(texts)
        assert found.shape == (len(texts), shape.length)
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, encode(texts))
        shuffled = encode([draw.permutation(text) for text in texts])
        np.testing.assert_allclose(shuffled, found, atol=1e-5)
        for number, text in enumerate(texts):
            np.testing.assert_allclose(encode([text])[0], found[number], atol=1e-5)
            assert len(text) or not found[number].any()


def test_the_seed_decides() -> None:
    texts = some([10, 20])
    first, again, other = (FixedDimensional(seed=seed).encode_passages(texts) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_the_length_is_that_of_the_shape() -> None:
    assert FixedDimensional().length == 20 * 16 * 8 == FixedDimensional().encode_queries(some([3])).shape[1]
    assert FixedDimensional(final=100).length == 100
    assert FixedDimensional().encode_queries([]).shape == (0, 2560)


@pytest.mark.parametrize(
    ("name", "value"),
    [("repetitions", 0), ("bits", -1), ("bits", 9), ("dimension", 2.5), ("final", 0), ("seed", None), ("seed", True)],
)
def test_an_impossible_shape_is_refused(name: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"fixed_dimensional: {name} must be a whole number from"):
        FixedDimensional(**{name: value})  # type: ignore[arg-type]
    (tmp_path / "optical.json").write_text(json.dumps({"fixed_dimensional": {name: value}}))
    with pytest.raises(CheckpointError, match=rf"optical\.json: damaged \(fixed_dimensional: {name} must be") as caught:
        Provenance.load(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_blocks_that_are_too_long_together_are_refused() -> None:
    with pytest.raises(CheckpointError, match="must be at most 1,048,576; the paper's are 10,240"):
        FixedDimensional(repetitions=1000, bits=8, dimension=8)


def test_the_shape_is_kept_in_the_checkpoint(tmp_path: Path) -> None:
    shape = FixedDimensional(repetitions=2, bits=3, dimension=4, final=5, seed=6)
    Provenance(fixed_dimensional=shape).save(tmp_path)
    assert Provenance.load(str(tmp_path)).fixed_dimensional == shape
    Provenance().save(tmp_path)
    assert Provenance.load(str(tmp_path)).fixed_dimensional is None
