r"""A translation table from a bitext: IBM model 1 with positions, between foreign and English tokens, vectorised.

In the direction in which English explains foreign, for foreign token i of n and English token j of m,

.. math::
    p(a_i = j \mid s) \propto t(f_i \mid e_j)\, \delta(i, j), \qquad
    \delta(i, j) \propto (1 - p_0) \exp\left(-\lambda \left|\frac{i}{n} - \frac{j}{m}\right|\right), \quad
    \delta(i, \mathrm{null}) = p_0

.. math::
    t(f \mid e) = \exp\Bigl(\psi(c(f, e) + \alpha) - \psi\bigl(\sum_{f'} (c(f', e) + \alpha)\bigr)\Bigr), \qquad
    c(f, e) = \sum_s p(a = e \mid f, s)

with the digamma function :math:`\psi`: the expectation of log t under a Dirichlet prior, which keeps rare words from
explaining whatever nothing else does. The same is done the other way round. Either direction alone gives function words
and frequent companions too much; what both agree on is sharper (as when word alignments are intersected).

References
----------
.. [1] Brown, Della Pietra, Della Pietra, Mercer. The Mathematics of Statistical Machine Translation. Computational
   Linguistics 19(2), 1993, section 4.1.
.. [2] Och, Ney. A Systematic Comparison of Various Statistical Alignment Models. Computational Linguistics 29(1), 2003.
.. [3] Dyer, Chahuneau, Smith. A Simple, Fast, and Effective Reparameterization of IBM Model 2. NAACL 2013. (The
   position term, λ = 4, p0 = 0.08 and the prior are its fast_align's.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array
from scipy.special import digamma

Sentences = Sequence[Sequence[int]]

# By this what was made with a table is known; raised when the counts change.
COUNTING = "2"

# λ, p0 and α of fast_align.
_TENSION = 4.0
_NULL = 0.08
_PRIOR = 0.01


def symmetric_table(
    foreign: Sentences, english: Sentences, *, foreign_size: int, english_size: int, rounds: int = 4
) -> csr_matrix:
    r"""Estimate :math:`p(e \mid f) \propto p_1(e \mid f)\, p_2(e \mid f)`, both directions together [1]_, [2]_, [3]_.

    :math:`p_1(e \mid f)` is the share of f's occurrences that e explains, :math:`p_2(e \mid f)` the share that e has
    in what f explains.

    Parameters
    ----------
    foreign, english : sequences of sequences of int
        Piece ids of each sentence pair; the same number of sentences on both sides. Memory grows with the sum over
        the pairs of their two lengths' product (about 50 bytes each).
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
    both = rows_to_one(first).multiply(rows_to_one(second.T.tocsr()))
    return rows_to_one(both.tocsr())


def expected_counts(
    foreign: Sentences, english: Sentences, *, foreign_size: int, english_size: int, rounds: int = 4
) -> csr_matrix:
    r"""Count how often each English piece explains each foreign piece, :math:`c(f, e)` [1]_, [3]_.

    Parameters and errors as for :func:`symmetric_table`.

    Returns
    -------
    scipy.sparse.csr_matrix, shape (foreign_size, english_size)
        Expected counts; what the null word explains is left out.
    """
    null = english_size
    links, tokens, position = _links(foreign, english, null)
    keys, cell = np.unique(links, return_inverse=True)
    del links
    english_of = keys % (null + 1)
    kinds = np.bincount(english_of)[english_of]
    table: NDArray[np.float64] = np.ones(len(keys))
    counts = table
    for _ in range(rounds):
        weight = table[cell] * position
        weight /= np.bincount(tokens, weights=weight)[tokens]
        counts = np.bincount(cell, weights=weight, minlength=len(keys)).astype(np.float64)
        whole = np.bincount(english_of, weights=counts)[english_of]
        table = np.exp(digamma(counts + _PRIOR) - digamma(whole + _PRIOR * kinds))
    real = english_of != null
    place = (keys[real] // (null + 1), english_of[real])
    return csr_matrix((counts[real], place), shape=(foreign_size, english_size))


def rows_to_one(matrix: csr_matrix) -> csr_matrix:
    """Scale counts so that each row sums to one; empty rows stay empty."""
    total = np.asarray(matrix.sum(axis=1)).ravel()
    return csr_matrix(diags_array(np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)) @ matrix)


def _links(
    foreign: Sentences, english: Sentences, null: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Every link of a foreign token to an English one or null: key of both ids, the foreign token's number, δ."""
    keys, tokens, position = [np.empty(0, np.int64)], [np.empty(0, np.int32)], [np.empty(0, np.float32)]
    seen = 0
    for source, target in zip(foreign, english, strict=True):
        n, m = len(source), len(target)
        f = np.asarray(source, dtype=np.int64)
        e = np.append(np.asarray(target, dtype=np.int64), null)
        keys.append((f[:, None] * (null + 1) + e).ravel())
        tokens.append(np.repeat(np.arange(seen, seen + n, dtype=np.int32), m + 1))
        apart = np.abs((np.arange(n)[:, None] + 0.5) / max(n, 1) - (np.arange(m) + 0.5) / max(m, 1))
        near = np.exp(-_TENSION * apart)
        near *= (1 - _NULL) / near.sum(axis=1, keepdims=True) if m else 1.0
        position.append(np.hstack([near, np.full((n, 1), _NULL)]).astype(np.float32).ravel())
        seen += n
    return np.concatenate(keys), np.concatenate(tokens), np.concatenate(position)
