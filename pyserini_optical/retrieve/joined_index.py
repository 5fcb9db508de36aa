"""Several Faiss directories in one folder, searched as one index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import Manifest
from pyserini_optical.data.fields import shown
from pyserini_optical.errors import CheckpointError
from pyserini_optical.retrieve.sharding import MANIFEST

Vectors = NDArray[np.float32]


def index_folders(folder: Path) -> list[Path]:
    """Give the folder itself, or, where it holds Faiss directories and is none, all folders in it by their names.

    Raises
    ------
    CheckpointError
        Beside the folders one is not finished.
    """
    if any((folder / name).exists() for name in ("index", "docid")) or not folder.is_dir():
        return [folder]
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    folders = [path for path in inside if not path.name.startswith(".")]
    if not any((path / "index").is_file() for path in folders):
        return [folder]
    for path in inside:
        if path.name.startswith(".") and path.suffix == ".work" and not (made := folder / path.stem[1:]).exists():
            raise CheckpointError(f"{made}: not finished, its shards lie in {path.name}; end its `encode` first")
    return folders


class JoinedIndex:
    """Indexes with the rows of one behind those of the other, each searched by a thread of its own.

    Which of several passages with the same score is left out at the last rank is chance, as in a single Faiss index.

    Attributes
    ----------
    d, ntotal, metric_type : int
        As of a Faiss index: dimensions, rows, kind of scores.
    parts : sequence of faiss.Index
        The indexes.
    """

    def __init__(self, indexes: Sequence[Any]) -> None:
        self.d, self.metric_type = indexes[0].d, indexes[0].metric_type
        self.parts = indexes
        self._starts = np.cumsum([0, *(index.ntotal for index in indexes)])
        self.ntotal = int(self._starts[-1])
        self._shards = faiss.IndexShards(self.d, True, True)  # type: ignore[call-arg]
        for index in indexes:
            self._shards.add_shard(index)

    def search(self, vectors: Vectors, hits: int) -> tuple[Vectors, NDArray[np.int64]]:
        """Give scores and rows of the best, as a Faiss index does."""
        found: tuple[Vectors, NDArray[np.int64]] = self._shards.search(vectors, hits)
        return found

    def reconstruct_batch(self, rows: NDArray[np.int64]) -> Vectors:
        """Give the vectors of some rows."""
        vectors = np.zeros((len(rows), self.d), dtype=np.float32)
        homes = np.searchsorted(self._starts, rows, side="right") - 1
        for home in np.unique(homes):
            here = homes == home
            vectors[here] = self.parts[home].reconstruct_batch(rows[here] - self._starts[home])
        return vectors


def join(folders: Sequence[Path], indexes: Sequence[Any], docids: Sequence[list[str]]) -> tuple[JoinedIndex, list[str]]:
    """Make one index of several.

    Raises
    ------
    CheckpointError
        They were made by different document encoders, have vectors of different lengths, or a passage is in two.
    """
    encoders: dict[str | None, Path] = {}
    for folder in folders:
        if (folder / MANIFEST).is_file():  # Pyserini's indexes have none
            encoders.setdefault(Manifest.load(folder / MANIFEST).inputs.get("encoder"), folder)
    if len(encoders) > 1:
        one, other = list(encoders.values())[:2]
        raise CheckpointError(f"{one} and {other}: made by different document encoders; encode all with the same")
    for folder, index in zip(folders, indexes, strict=True):
        if index.d != indexes[0].d:
            had = f"vectors of {indexes[0].d} and of {index.d} dimensions"
            raise CheckpointError(f"{folders[0]} and {folder}: {had}; encode all with the same encoder")
    joined = [docid for ids in docids for docid in ids]
    homes: dict[str, Path] = {}
    if len(set(joined)) < len(joined):
        for folder, ids in zip(folders, docids, strict=True):
            for docid in ids:
                if docid in homes:
                    place = f"{homes[docid]} and {folder}"
                    raise CheckpointError(f"{place}: passage {shown(docid)} is in both; encode each passage once")
                homes[docid] = folder
    return JoinedIndex(indexes), joined
