"""Token vectors in few bits: the nearest of some centroids, and what is left of each dimension in 2 or 4 bits.

References
----------
.. [1] Santhanam, Khattab, Saad-Falcon, Potts, Zaharia. ColBERTv2: Effective and Efficient Retrieval via Lightweight
   Late Interaction. NAACL 2022. arXiv:2112.01488.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import write_beside
from pyserini_optical.errors import CheckpointError

Vectors = NDArray[np.float32]

# Scores are exact over the decoded vectors, nothing is pruned by centroids, so more of them would buy little.
_CENTROIDS = 1024
_LEAST_POINTS = 39  # for a centroid, below which Faiss finds its clusters poor


class ResidualCodes:
    """A code for unit vectors, two bytes and ``bits`` a dimension.

    Parameters
    ----------
    centroids : ndarray of float32, shape (K, dimension)
        By k-means.
    scale : ndarray of float32, shape (dimension,)
        Standard deviation of each dimension of the residuals.
    levels : ndarray of float32, shape (2^bits,)
        Values of a residual in units of its scale, ascending; by k-means in one dimension (a choice: ColBERTv2 takes
        quantiles).
    """

    def __init__(self, centroids: Vectors, scale: Vectors, levels: Vectors) -> None:
        self.centroids, self.scale, self.levels = centroids, scale, levels
        self.bits = len(levels).bit_length() - 1
        self._each = 8 // self.bits  # dimensions a byte
        width = -(-self.dimension // self._each)
        self.dtype = np.dtype([("centroid", "<u2"), ("residual", "u1", (width,))])

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return int(self.centroids.shape[1])

    @classmethod
    def train(cls, sample: Vectors, bits: int, seed: int = 0) -> ResidualCodes:
        """Choose centroids and levels.

        Parameters
        ----------
        sample : ndarray of float32, shape (n, dimension)
            Vectors such as will be encoded, one or more.
        bits : int
            2 or 4.
        seed : int
            Of both k-means.
        """
        number = 1 << min(len(sample) // _LEAST_POINTS, _CENTROIDS).bit_length() - 1 if len(sample) > 77 else 1
        centroids = _kmeans(sample, number, seed)
        residuals = sample - centroids[_nearest(sample, centroids)]
        scale = np.maximum(residuals.std(axis=0), np.float32(1e-6))
        values = np.random.default_rng(seed).choice((residuals / scale).ravel(), 1 << 16)
        return cls(centroids, scale, np.sort(_kmeans(values[:, None], 1 << bits, seed)[:, 0]))

    def encode(self, vectors: Vectors) -> NDArray[Any]:
        """Encode vectors, shape (n, dimension), to an array of ``dtype``, shape (n,)."""
        rows = np.zeros(len(vectors), dtype=self.dtype)
        nearest = _nearest(vectors, self.centroids)
        rows["centroid"] = nearest
        residuals = (vectors - self.centroids[nearest]) / self.scale
        codes = np.searchsorted((self.levels[1:] + self.levels[:-1]) / 2, residuals).astype(np.uint8)
        for place in range(self._each):
            part = codes[:, place :: self._each]
            rows["residual"][:, : part.shape[1]] |= part << (place * self.bits)
        return rows

    def decode(self, rows: NDArray[Any]) -> Vectors:
        """Decode to unit vectors of float32, shape (n, dimension)."""
        residuals = np.take(self._table, rows["residual"]).view(np.float32)[:, : self.dimension]
        vectors: Vectors = residuals * self.scale
        vectors += self.centroids[rows["centroid"]]
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        vectors /= np.maximum(lengths, np.float32(1e-12))[:, None]
        return vectors

    @cached_property
    def _table(self) -> NDArray[Any]:
        """The levels that each byte stands for, shape (256,); its floats as one wide number, which is taken faster."""
        codes = np.arange(256)[:, None] >> np.arange(self._each) * self.bits
        levels = np.ascontiguousarray(self.levels[codes & (1 << self.bits) - 1], dtype=np.float32)
        return levels.view({2: np.uint64, 4: np.complex128}[self._each])[:, 0]

    def save(self, path: Path) -> None:
        """Write centroids, scale and levels."""
        with write_beside(path) as temporary:
            np.savez(temporary, centroids=self.centroids, scale=self.scale, levels=self.levels)

    @classmethod
    def load(cls, path: Path) -> ResidualCodes:
        """Read what :meth:`save` wrote.

        Raises
        ------
        CheckpointError
            The file is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                centroids, scale, levels = file["centroids"], file["scale"], file["levels"]
            if centroids.shape[1:] != scale.shape or len(levels) not in (4, 16):
                raise ValueError("its parts do not fit each other")
        except Exception as error:  # NumPy's reader of headers raises TokenError, OverflowError and others too
            problem = f"{path}: damaged ({' '.join(str(error).split())})"
            raise CheckpointError(f"{problem}; remove the folder and encode the corpus again") from None
        return cls(centroids, scale, levels)


def _kmeans(points: Vectors, number: int, seed: int) -> Vectors:
    clustering = faiss.Kmeans(points.shape[1], number, niter=10, seed=seed, min_points_per_centroid=1)
    clustering.train(np.ascontiguousarray(points))
    return np.asarray(clustering.centroids, dtype=np.float32).reshape(number, -1)


def _nearest(vectors: Vectors, centroids: Vectors) -> NDArray[np.int64]:
    index = faiss.IndexFlatL2(centroids.shape[1])
    index.add(centroids)
    found: NDArray[np.int64] = index.search(np.ascontiguousarray(vectors), 1)[1][:, 0]
    return found
