r"""A translation table from a bitext: IBM model 1 between foreign and English word pieces, vectorised.

In the direction in which English explains foreign, with a null word on the English side,

.. math::
    p(a = e \mid f, s) = \frac{t(f \mid e)}{\sum_{e' \in s \cup \{\mathrm{null}\}} t(f \mid e')}, \qquad
    t(f \mid e) \propto c(f, e) = \sum_s p(a = e \mid f, s)

and the same the other way round. Either alone gives function words and frequent companions too much; what both agree
on is sharper (as when word alignments are intersected).

References
----------
.. [1] Brown, Della Pietra, Della Pietra, Mercer. The Mathematics of Statistical Machine Translation. Computational
   Linguistics 19(2), 1993, section 4.1.
.. [2] Och, Ney. A Systematic Comparison of Various Statistical Alignment Models. Computational Linguistics 29(1), 2003.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array

Sentences = Sequence[Sequence[int]]


def symmetric_table(
    foreign: Sentences, english: Sentences, *, foreign_size: int, english_size: int, rounds: int = 4
) -> csr_matrix:
    r"""Estimate :math:`p(e \mid f) \propto p_1(e \mid f)\, p_2(e \mid f)` by IBM model 1 in both directions [1]_, [2]_.

    :math:`p_1(e \mid f)` is the share of f's occurrences that e explains, :math:`p_2(e \mid f)` the share that e has
    in what f explains.

    Parameters
    ----------
    foreign, english : sequences of sequences of int
        Piece ids of each sentence pair; the same number of sentences on both sides. Memory grows with the sum over
        the pairs of their two lengths' product (about 40 bytes each).
    foreign_size, english_size : int
        Sizes of the vocabularies.
    rounds : int
        Rounds of expectation maximisation.

    Returns
    -------
    scipy.sparse.csr_matrix, shape (foreign_size, english_size)
        Rows sum to one, or are empty where nothing is known of a piece.

    Raises
    ------
    ValueError
        The two sides differ in their number of sentences.
    """
    first = expected_counts(foreign, english, foreign_size=foreign_size, english_size=english_size, rounds=rounds)
    second = expected_counts(english, foreign, foreign_size=english_size, english_size=foreign_size, rounds=rounds)
    both = _rows_to_one(first).multiply(_rows_to_one(second.T.tocsr()))
    return _rows_to_one(both.tocsr())


def expected_counts(
    foreign: Sentences, english: Sentences, *, foreign_size: int, english_size: int, rounds: int = 4
) -> csr_matrix:
    r"""Count how often each English piece explains each foreign piece, :math:`c(f, e)`, by IBM model 1 [1]_.

    Parameters and errors as for :func:`symmetric_table`.

    Returns
    -------
    scipy.sparse.csr_matrix, shape (foreign_size, english_size)
        Expected counts; what the null word explains is left out.
    """
    null = english_size
    links, tokens = _links(foreign, english, null)
    keys, cell = np.unique(links, return_inverse=True)
    del links
    english_of = keys % (null + 1)
    table: NDArray[np.float64] = np.ones(len(keys))
    counts = table
    for _ in range(rounds):
        weight = table[cell]
        weight /= np.bincount(tokens, weights=weight)[tokens]
        counts = np.bincount(cell, weights=weight, minlength=len(keys)).astype(np.float64)
        table = counts / np.bincount(english_of, weights=counts)[english_of]
    real = english_of != null
    place = (keys[real] // (null + 1), english_of[real])
    return csr_matrix((counts[real], place), shape=(foreign_size, english_size))


def _rows_to_one(matrix: csr_matrix) -> csr_matrix:
    total = np.asarray(matrix.sum(axis=1)).ravel()
    return csr_matrix(diags_array(np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)) @ matrix)


def _links(foreign: Sentences, english: Sentences, null: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Every link of a foreign token to an English one or null: the key of both ids, and the foreign token's number."""
    keys, tokens, seen = [np.empty(0, np.int64)], [np.empty(0, np.int32)], 0
    for source, target in zip(foreign, english, strict=True):
        f = np.asarray(source, dtype=np.int64)
        e = np.append(np.asarray(target, dtype=np.int64), null)
        keys.append((f[:, None] * (null + 1) + e).ravel())
        tokens.append(np.repeat(np.arange(seen, seen + len(f), dtype=np.int32), len(e)))
        seen += len(f)
    return np.concatenate(keys), np.concatenate(tokens)
