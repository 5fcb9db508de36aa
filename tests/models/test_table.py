from __future__ import annotations

import math
import random
from collections import defaultdict

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import digamma

from pyserini_optical.models.table import expected_counts, symmetric_table

Sentences = list[list[int]]
F, E = 9, 7


def toy_bitext(seed: int = 0, pairs: int = 40) -> tuple[Sentences, Sentences]:
    """Foreign f stands for English f % E, with noise, repeated words and some empty sides."""
    draw = random.Random(seed)
    foreign = [[draw.randrange(F - 1) for _ in range(draw.randint(0, 6))] for _ in range(pairs)]
    english = [[f % E for f in sentence if draw.random() < 0.8] + [draw.randrange(E)] for sentence in foreign]
    english[3] = []
    return foreign, english


def slow_counts(foreign: Sentences, english: Sentences, rounds: int) -> NDArray[np.float64]:
    """The model as it is written down, link by link: t(f | e) starts uniform; NULL is the English word -1."""
    t: dict[tuple[int, int], float] = defaultdict(lambda: 1.0)
    counts: dict[tuple[int, int], float] = {}
    for _ in range(rounds):
        counts = defaultdict(float)
        for source, target in zip(foreign, english, strict=True):
            n, m = len(source), len(target)
            for i, f in enumerate(source):
                near = [math.exp(-4 * abs((i + 0.5) / n - (j + 0.5) / m)) for j in range(m)]
                position = [0.92 * each / sum(near) for each in near] + [0.08]
                words = [*target, -1]
                weights = [t[f, e] * delta for e, delta in zip(words, position, strict=True)]
                for e, weight in zip(words, weights, strict=True):
                    counts[f, e] += weight / sum(weights)
        seen: dict[int, list[float]] = defaultdict(list)
        for (_, e), count in counts.items():
            seen[e].append(count + 0.01)
        t = defaultdict(
            float, {(f, e): math.exp(digamma(count + 0.01) - digamma(sum(seen[e]))) for (f, e), count in counts.items()}
        )
    matrix = np.zeros((F, E))
    for (f, e), count in counts.items():
        if e >= 0:
            matrix[f, e] = count
    return matrix


def rows_to_one(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    total = matrix.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0))


@pytest.mark.parametrize("rounds", [1, 2, 8])
def test_counts_are_those_of_the_slow_loop(rounds: int) -> None:
    foreign, english = toy_bitext()
    counts = expected_counts(foreign, english, foreign_size=F, english_size=E, rounds=rounds)
    np.testing.assert_allclose(counts.toarray(), slow_counts(foreign, english, rounds), atol=1e-6)


def test_the_table_is_the_normalised_product_of_both_directions() -> None:
    foreign, english = toy_bitext(1)
    table = symmetric_table(foreign, english, foreign_size=F, english_size=E, rounds=5).toarray()
    there = rows_to_one(expected_counts(foreign, english, foreign_size=F, english_size=E, rounds=5).toarray())
    back = rows_to_one(expected_counts(english, foreign, foreign_size=E, english_size=F, rounds=5).toarray().T)
    np.testing.assert_allclose(table, rows_to_one(there * back), atol=1e-12)


def test_rows_sum_to_one_or_are_empty() -> None:
    foreign, english = toy_bitext(2)
    table = symmetric_table(foreign, english, foreign_size=F, english_size=E)
    total = np.asarray(table.sum(axis=1)).ravel()
    np.testing.assert_allclose(total[:-1], 1, atol=1e-12)
    assert total[-1] == 0  # the last foreign word never occurs
    assert (table.toarray() >= 0).all()


def test_words_find_their_translations() -> None:
    foreign, english = toy_bitext(3, pairs=200)
    table = symmetric_table(foreign, english, foreign_size=F, english_size=E).toarray()
    assert table[: F - 1].argmax(axis=1).tolist() == [f % E for f in range(F - 1)]


def test_the_order_of_the_sentences_does_not_matter() -> None:
    foreign, english = toy_bitext(4)
    table = symmetric_table(foreign, english, foreign_size=F, english_size=E).toarray()
    order = random.Random(5).sample(range(len(foreign)), len(foreign))
    moved = symmetric_table([foreign[i] for i in order], [english[i] for i in order], foreign_size=F, english_size=E)
    np.testing.assert_allclose(moved.toarray(), table, atol=1e-9)


def test_nothing_is_known_from_nothing() -> None:
    assert symmetric_table([], [], foreign_size=2, english_size=3).toarray().tolist() == [[0] * 3] * 2
    assert symmetric_table([[]], [[1]], foreign_size=2, english_size=3).nnz == 0


def test_sides_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        symmetric_table([[1]], [[1], [2]], foreign_size=2, english_size=3)
