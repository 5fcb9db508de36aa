"""Writing and opening Faiss directories as Pyserini has them: ``index``, and ``docid`` with one id a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import Manifest, read_lines, write_beside
from pyserini_optical.errors import CheckpointError, InputError, SetupError
from pyserini_optical.retrieve.joined_index import index_folders, join
from pyserini_optical.retrieve.sharding import MANIFEST

IndexType = Literal["flat", "hnsw", "pq"]
Vectors = NDArray[np.float32]

# Product quantisation has 256 centroids, and takes no more than 256 training vectors for each.
PQ_LEAST = 256
_PQ_TRAINING = 256 * PQ_LEAST


def write_index(path: Path, blocks: Iterable[Vectors], count: int, dimension: int, kind: IndexType) -> None:
    """Write vectors as an inner-product index; the file appears when it is complete.

    Parameters
    ----------
    path : Path
        The file, ``index``.
    blocks : iterable of ndarray of float32, shape (n, dimension)
        The vectors, in order; a flat index is written block by block and never held in memory.
    count : int
        How many vectors there are in all.
    dimension : int
        Their length.
    kind : {"flat", "hnsw", "pq"}
        Exact search; a small-world graph (32 neighbours); or product quantisation (a byte for every 8 dimensions),
        which needs ``PQ_LEAST`` vectors or more.

    Raises
    ------
    InputError
        It cannot be written, or there are too few vectors for product quantisation.
    SetupError
        This Faiss has another file format.
    """
    with write_beside(path) as temporary:
        if kind == "flat":
            _write_flat(temporary, blocks, count, dimension)
            return
        index = _new_index(kind, dimension)
        if not index.is_trained:
            blocks = _train(index, blocks)
        for block in blocks:
            index.add(block)
        try:
            faiss.write_index(index, str(temporary))
        except RuntimeError:  # Faiss raises no OSError
            remedy = "look whether the disk is full"
            raise InputError("the index cannot be written", path=path, remedy=remedy) from None


def _new_index(kind: IndexType, dimension: int) -> Any:
    index: Any
    if kind == "hnsw":
        index = faiss.IndexHNSWFlat(dimension, 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 200
        index.hnsw.efSearch = 128
        return index
    parts = next(parts for parts in range(max(1, dimension // 8), 0, -1) if dimension % parts == 0)
    index = faiss.IndexPQ(dimension, parts, 8, faiss.METRIC_INNER_PRODUCT)
    index.pq.cp.min_points_per_centroid = 1  # fewer than 39 make it warn once for every part
    return index


def _train(index: Any, blocks: Iterable[Vectors]) -> Iterator[Vectors]:
    """Train on the first vectors, then give all of them again."""
    first: list[Vectors] = []
    rest = iter(blocks)
    while sum(map(len, first)) < _PQ_TRAINING and (block := next(rest, None)) is not None:
        first.append(block)
    sample = np.concatenate(first)
    if len(sample) < PQ_LEAST:
        raise InputError(
            f"a pq index needs {PQ_LEAST} vectors or more to train on, got {len(sample)}", remedy="use flat"
        )
    index.train(sample)
    yield from first
    yield from rest


def _write_flat(path: Path, blocks: Iterable[Vectors], count: int, dimension: int) -> None:
    """Write what ``faiss.write_index`` would: a header with the number of vectors, the number of floats, the floats."""
    empty = faiss.serialize_index(faiss.IndexFlatIP(dimension)).tobytes()
    header = _flat_header(empty, count, dimension)
    with open(path, "wb") as file:
        file.write(header)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=np.float32).tobytes())


def _flat_header(empty: bytes, count: int, dimension: int) -> bytes:
    def header(number: int) -> bytes:
        floats = (number * dimension).to_bytes(8, "little")
        return empty[:8] + number.to_bytes(8, "little") + empty[16:-8] + floats

    # The layout is Faiss's own affair: check it against Faiss before relying on it.
    two = faiss.IndexFlatIP(dimension)
    two.add(np.ones((2, dimension), dtype=np.float32))
    if header(2) + np.ones((2, dimension), dtype=np.float32).tobytes() != faiss.serialize_index(two).tobytes():
        raise SetupError("this Faiss writes flat indexes in another layout; run `pip install 'faiss-cpu<2'`")
    return header(count)


def open_index(folder: Path, *, mapped: bool = False) -> tuple[Any, list[str]]:
    """Open a Faiss directory, ours or Pyserini's, or a folder that holds several, as one.

    Parameters
    ----------
    folder : Path
        The directory.
    mapped : bool
        Whether the vectors stay on disk until they are looked at, where Faiss can do so.

    Returns
    -------
    index, docids
        The Faiss index, or a :class:`~pyserini_optical.retrieve.joined_index.JoinedIndex`, and the passage id of each
        of its rows.

    Raises
    ------
    CheckpointError
        A file is missing, cut off or not as it was written, the two do not fit each other, or the index is not for
        inner products; of several, they do not fit each other, or one is not finished.
    """
    folders = index_folders(folder)
    opened = [_open(part, mapped) for part in folders]
    return opened[0] if folders == [folder] else join(folders, *zip(*opened, strict=True))


def _open(folder: Path, mapped: bool) -> tuple[Any, list[str]]:
    for name in ("index", "docid"):
        if not (folder / name).is_file():
            problem = f"no file {name!r} in it, so it is not a Faiss index"
            raise CheckpointError(f"{folder}: {problem}; make one with `encode`")
    remedy = "remove the folder and encode the corpus again"
    if (folder / MANIFEST).is_file():  # an index of Pyserini's has none
        Manifest.load(folder / MANIFEST).check(folder, remedy)
    try:
        index = faiss.read_index(str(folder / "index"), getattr(faiss, "IO_FLAG_MMAP_IFC", 0) if mapped else 0)
    except (RuntimeError, MemoryError):  # the second: a damaged size
        raise CheckpointError(f"{folder / 'index'}: damaged or truncated; {remedy}") from None
    docids = [line for _, line in read_lines(folder / "docid")]
    if index.ntotal != len(docids):
        raise CheckpointError(f"{folder}: {index.ntotal} vectors but {len(docids)} ids in docid; {remedy}")
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise CheckpointError(f"{folder}: an index of distances, not of inner products; make one with `encode`")
    return index, docids
