r"""Units of letters, by which a foreign word spells an English one, learnt from pairs of words of which few do.

See :mod:`pyserini_optical.models.spelling` for the model. Expectation maximisation starts from the few pairs in which
the same letters go together most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Letters: TypeAlias = NDArray[np.int64]
Weights: TypeAlias = NDArray[np.floating]
# A number for each unit, by how many foreign and English letters it has.
Tables: TypeAlias = dict[tuple[int, int], Weights]

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
# How many foreign and English letters a unit has, and the share of each kind at the start.
SHAPES = {(1, 0): 0.05, (1, 1): 1.0, (1, 2): 0.2, (2, 1): 0.1}
# Letters of a word that count.
LONGEST = 16

# Rounds of expectation maximisation: in the first two all pairs count alike, in the next three the most likely ones
# alone, then each by its probability.
_ROUNDS, _ALIKE, _LIKELY = 14, 2, 3
# The share of pairs that are spelt, at first, and how many at least.
_FIRST, _FEW = 0.03, 200
# What is taken off the count of each unit, so that rare ones go.
_DISCOUNT = 0.3


def code(words: Sequence[str], letters: Sequence[str]) -> Letters:
    """Write words as numbers of letters, shape (words, 16), padded with the number of letters."""
    number = {letter: n for n, letter in enumerate(letters)}
    coded = np.full((len(words), LONGEST), len(letters), dtype=np.int64)
    for row, word in enumerate(words):
        found = [number[letter] for letter in word[:LONGEST]]
        coded[row, : len(found)] = found
    return coded


def tables(letters: int) -> Tables:
    """Zero for each unit, by shape; the last place of each axis is the padding's."""
    sizes = letters + 1, len(ALPHABET) + 1
    return {(a, b): np.zeros((sizes[0],) * a + (sizes[1],) * b) for a, b in SHAPES}


def learn_units(foreign: Letters, english: Letters, letters: int) -> Tables:
    """Find the probability of each unit by expectation maximisation.

    Parameters
    ----------
    foreign, english : array of int, shape (pairs, 16)
        Words as :func:`code` writes them, pair by pair.
    letters : int
        How many foreign letters there are.
    """
    p = tables(letters)
    for shape, table in p.items():
        table[(slice(-1),) * table.ndim] = SHAPES[shape] / sum(SHAPES.values()) / table.size
    ends = (foreign < letters).sum(1), (english < len(ALPHABET)).sum(1), np.arange(len(foreign))
    places = {
        (i, j, a, b): np.ravel_multi_index((*foreign.T[i - a : i], *english.T[j - b : j]), p[a, b].shape).astype(
            np.int32
        )
        for i in range(1, ends[0].max() + 1)
        for j in range(ends[1].max() + 1)
        for a, b in SHAPES
        if a <= i and b <= j
    }
    letterwise = _letterwise(foreign, letters) + _letterwise(english, len(ALPHABET))
    spelt, share = np.ones(len(foreign)), _FIRST
    for number in range(_ROUNDS):
        forward = np.zeros((ends[0].max() + 1, ends[1].max() + 1, len(foreign)))
        forward[0, 0] = 1.0
        for (i, j, a, b), place in places.items():
            forward[i, j] += forward[i - a, j - b] * p[a, b].ravel()[place]
        whole = np.maximum(forward[ends], np.finfo(np.float64).tiny)
        ratio = np.log(whole) - letterwise
        if number == _ALIKE:
            ratio /= ends[0] + ends[1]
            spelt = (ratio >= np.quantile(ratio, 1 - min(max(_FIRST, _FEW / len(ratio)), 1))).astype(float)
        elif number >= _ALIKE + _LIKELY:
            odds = np.exp(np.clip(ratio + np.log(share / (1 - share)), -50, 50))
            spelt = odds / (1 + odds)
            share = float(np.clip(spelt.mean(), 0.001, 0.9))
        backward = np.zeros_like(forward)
        backward[ends] = 1.0
        counts = {shape: np.zeros(table.size) for shape, table in p.items()}
        for (i, j, a, b), place in reversed(places.items()):
            behind = p[a, b].ravel()[place] * backward[i, j]
            backward[i - a, j - b] += behind
            weights = forward[i - a, j - b] * behind * spelt / whole
            counts[a, b] += np.bincount(place, weights, minlength=p[a, b].size)
        for shape, table in p.items():
            table[:] = np.maximum(counts[shape] - _DISCOUNT, 0.0).reshape(table.shape)
        total = sum(table.sum() for table in p.values())
        for table in p.values():
            table /= max(total, np.finfo(np.float64).tiny)
    return p


def _letterwise(words: Letters, padding: int) -> Weights:
    """Give the log probability of each word as letters drawn one by one."""
    counts = np.bincount(words.ravel(), minlength=padding + 1).astype(float)
    counts[padding] = 0.0
    logs = np.log(np.maximum(counts, 1.0) / max(counts.sum(), 1.0))
    logs[padding] = 0.0
    total: Weights = logs[words].sum(1)
    return total
