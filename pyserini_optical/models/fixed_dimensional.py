r"""Fixed-dimensional encodings (MUVERA): one vector a text, whose inner product approximates MaxSim.

With them any index for single vectors retrieves by late interaction; exact MaxSim then re-ranks what it found.

References
----------
.. [1] Dhulipala, Hadian, Jayaram, Lee, Mirrokni. MUVERA: Multi-Vector Retrieval via Fixed Dimensional Encodings.
   NeurIPS 2024. arXiv:2405.19504.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pyserini_optical.errors import CheckpointError

Vectors = NDArray[np.float32]

# Before the last projection; 4 MiB a text.
_LONGEST = 2**20


@dataclass(frozen=True)
class FixedDimensional:
    r"""Shape and seed of fixed-dimensional encodings; both sides must have the same.

    In each of :math:`R` repetitions, :math:`k` random hyperplanes put every token in one of :math:`2^k` buckets, by the
    signs of its inner products with them. A query's block is the *sum* of its tokens in the bucket, a passage's block
    their *mean*; a bucket where a passage has no token takes the tokens whose signs differ from the bucket's in the
    fewest places. A random projection with entries :math:`\pm 1/\sqrt{p}` shortens each block to :math:`p` dimensions,
    and all blocks are concatenated, divided by :math:`\sqrt{R}`, so that inner products are MaxSim's size.

    Choices that the paper leaves open: several such nearest tokens of an empty bucket count by their mean, so that the
    order of tokens does not matter; the last projection adds each dimension with a random sign to a random one of
    the fewer dimensions (a count sketch).

    Attributes
    ----------
    repetitions : int
        :math:`R`.
    bits : int
        Hyperplanes a repetition, :math:`k`.
    dimension : int
        Of a block, :math:`p`.
    final : int or None
        The whole encoding is projected to so many dimensions; None leaves :math:`R \cdot 2^k \cdot p`.
    seed : int
        Of hyperplanes and projections.

    Raises
    ------
    CheckpointError
        A number is not a whole one in its range, or the blocks are too long together.
    """

    repetitions: int = 20
    bits: int = 4
    dimension: int = 8
    final: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        ranges = {"repetitions": (1, 1000), "bits": (0, 8), "dimension": (1, 4096), "final": (1, 2**20)}
        for name, value in asdict(self).items():
            least, most = ranges.get(name, (0, 2**32))
            if not (value is None and name == "final") and not (type(value) is int and least <= value <= most):
                raise CheckpointError(f"fixed_dimensional: {name} must be a whole number from {least} to {most}")
        if self.repetitions * 2**self.bits * self.dimension > _LONGEST:
            problem = f"repetitions × 2^bits × dimension must be at most {_LONGEST:,}"
            raise CheckpointError(f"fixed_dimensional: {problem}; the paper's are 10,240 and less")

    def __str__(self) -> str:
        return "-".join(str(value) for value in asdict(self).values())

    @property
    def length(self) -> int:
        """Length of the encodings, whatever the tokens' length."""
        return self.final or self.repetitions * 2**self.bits * self.dimension

    def encode_queries(self, tokens: Sequence[Vectors]) -> Vectors:
        """Encode queries.

        Parameters
        ----------
        tokens : sequence of ndarray of float32, shape (tokens of the query, dimension)
            Each query's token vectors.

        Returns
        -------
        ndarray of float32, shape (len(tokens), length)
            C-contiguous; zeros for a query without tokens.
        """
        return self._encode(tokens, passages=False)

    def encode_passages(self, tokens: Sequence[Vectors]) -> Vectors:
        """Encode passages, as :meth:`encode_queries` does queries."""
        return self._encode(tokens, passages=True)

    def _encode(self, tokens: Sequence[Vectors], passages: bool) -> Vectors:
        if not tokens:
            return np.zeros((0, self.length), dtype=np.float32)
        vectors = np.concatenate(list(tokens)).astype(np.float32, copy=False)
        owner = np.repeat(np.arange(len(tokens)), [len(one) for one in tokens])
        drawn = _draw(self, vectors.shape[1])
        buckets = 2**self.bits
        blocks = np.empty((len(tokens), self.repetitions, buckets, self.dimension), dtype=np.float32)
        for repetition in range(self.repetitions):
            signs = vectors @ drawn.planes[repetition] > 0
            cell = owner * buckets + signs @ (1 << np.arange(self.bits))
            sums = _sums(vectors @ drawn.projections[repetition], cell, len(tokens) * buckets)
            if passages:
                counts = np.bincount(cell, minlength=len(tokens) * buckets)
                sums = _fill(sums.reshape(len(tokens), buckets, -1), counts.reshape(len(tokens), buckets))
            blocks[:, repetition] = sums.reshape(len(tokens), buckets, -1) / np.sqrt(self.repetitions)
        flat = blocks.reshape(len(tokens), -1)
        return flat if drawn.sketch is None else np.ascontiguousarray(flat @ drawn.sketch, dtype=np.float32)


class _Drawn(NamedTuple):
    """What is random: hyperplanes (R, d, k), projections (R, d, p), and the last projection."""

    planes: Vectors
    projections: Vectors
    sketch: sparse.csr_array | None


@lru_cache(maxsize=4)
def _draw(shape: FixedDimensional, width: int) -> _Drawn:
    draw = np.random.default_rng(shape.seed)
    planes = draw.standard_normal((shape.repetitions, width, shape.bits), dtype=np.float32)
    signs = draw.integers(0, 2, (shape.repetitions, width, shape.dimension)) * 2 - 1
    projections = (signs / np.sqrt(shape.dimension)).astype(np.float32)
    if shape.final is None:
        return _Drawn(planes, projections, None)
    full = shape.repetitions * 2**shape.bits * shape.dimension
    values = (draw.integers(0, 2, full) * 2 - 1).astype(np.float32)
    place = np.arange(full), draw.integers(0, shape.final, full)
    return _Drawn(planes, projections, sparse.csr_array((values, place), shape=(full, shape.final)))


def _sums(vectors: Vectors, cell: NDArray[np.int64], cells: int) -> NDArray[np.float64]:
    """Sum the vectors of each cell; one pass a column, as that is what NumPy does fast."""
    return np.stack([np.bincount(cell, weights=column, minlength=cells) for column in vectors.T], axis=1)


def _fill(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Turn sums (n, 2^k, p) into means; an empty bucket takes the mean over the nearest ones that are not."""
    numbers = np.arange(counts.shape[1])
    apart = np.bitwise_count(numbers[:, None] ^ numbers[None, :])
    means = sums / np.maximum(counts, 1)[..., None]
    empty = counts == 0
    for distance in range(1, int(apart.max(initial=0)) + 1):
        if not empty.any():
            break
        near = (apart == distance).astype(np.float64)
        tokens = counts @ near
        filled = empty & (tokens > 0)
        means[filled] = (np.einsum("nbp,cb->ncp", sums, near) / np.maximum(tokens, 1)[..., None])[filled]
        empty &= ~filled
    return means
