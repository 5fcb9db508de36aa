r"""Late interaction between many queries and many passages: :math:`s(q, d) = \sum_i \max_j q_i \cdot d_j` (MaxSim).

References
----------
.. [1] Khattab, Zaharia. ColBERT: Efficient and Effective Passage Search via Contextualized Late Interaction over BERT.
   SIGIR 2020. arXiv:2004.12832.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


def maxsim(queries: Sequence[Vectors], tokens: Vectors, lengths: NDArray[np.int64]) -> Vectors:
    """Score passages for queries, exactly.

    Parameters
    ----------
    queries : sequence of ndarray of float32, shape (tokens of the query, dimension)
        Each query's token vectors, unit length; one or more queries.
    tokens : ndarray of float32, shape (tokens in all, dimension)
        The passages' token vectors, unit length, one passage behind the other.
    lengths : ndarray of int, shape (passages,)
        How many tokens each passage has.

    Returns
    -------
    ndarray of float32, shape (len(queries), passages)
        Between the negative and the positive number of the query's tokens; a passage without tokens has the lowest,
        and a query without tokens gives 0 to all.
    """
    query_lengths = np.array([len(query) for query in queries])
    if len(queries) == 1:  # with few rows on the right BLAS is twice as fast as with few on the left
        best = _by_segment(np.maximum, tokens @ queries[0].T, lengths, axis=0, empty=-1.0).T
    else:
        best = _by_segment(np.maximum, np.concatenate(list(queries)) @ tokens.T, lengths, axis=1, empty=-1.0)
    return _by_segment(np.add, best, query_lengths, axis=0, empty=0.0)


def _by_segment(
    operation: np.ufunc, values: Vectors, lengths: NDArray[np.int64], *, axis: int, empty: float
) -> Vectors:
    """Reduce consecutive segments along an axis; ``reduceat`` itself has no notion of an empty one."""
    full = lengths > 0
    shape = list(values.shape)
    shape[axis] = len(lengths)
    result: Vectors = np.full(shape, empty, dtype=np.float32)
    if full.any():
        starts = np.concatenate([[0], np.cumsum(lengths[full])[:-1]])
        place: Any = (full, slice(None)) if axis == 0 else (slice(None), full)
        result[place] = operation.reduceat(values, starts, axis=axis)
    return result
