"""From a Faiss index or a token store to a database that LanceDB searches, block by block."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import faiss
import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import (
    Manifest,
    Passage,
    Pathish,
    fingerprint,
    fingerprint_texts,
    one_process,
    read_corpus,
)
from pyserini_optical.data.fields import shown
from pyserini_optical.errors import CheckpointError, InputError, OpticalError
from pyserini_optical.progress import progress, say
from pyserini_optical.retrieve.database import ID, METADATA, TABLE, VECTOR, Database, engine, is_database
from pyserini_optical.retrieve.faiss_index import open_index
from pyserini_optical.retrieve.joined_index import JoinedIndex, index_folders
from pyserini_optical.retrieve.maxsim import Vectors
from pyserini_optical.retrieve.sharding import MANIFEST
from pyserini_optical.retrieve.token_store import TokenStore, is_token_store

IndexType = Literal["ivf-flat", "ivf-rq"]

_STEP = "export"

# Passages that are read, decoded and handed over together.
_BLOCK = 256

# Their vectors, and for those of tokens how many each has.
Block = tuple[Vectors, NDArray[np.int64] | None]


class _Collection(NamedTuple):
    """Passages with their vectors, as an index or a token store has them; ``made_by`` is empty where it is unknown."""

    docids: list[str]
    made_by: str
    dimension: int
    blocks: Iterable[Block]
    multi_vector: bool


@one_process("database")
def export_collection(
    collection: Pathish, database: Pathish, *, corpus: Pathish | None = None, index: IndexType | None = None
) -> Path:
    """Write the passages of a Faiss index or a token store into a LanceDB database, which :func:`search` searches.

    Parameters
    ----------
    collection : path-like
        A ``flat`` or ``hnsw`` index or a folder of several, whose vectors are written as float32, or a token store,
        whose vectors are decoded and written as float16. It is read block by block; ids alone are held in memory.
    database : path-like
        Folder to make, with the one table ``passages``. If it is there and was made from the same things, nothing is
        done; a database made from others is replaced when the new one is complete.
    corpus : path-like, optional
        The corpus that was encoded; its titles and texts go into the table too.
    index : {"ivf-flat", "ivf-rq"}, optional
        Approximate index to build in the engine: the vectors by cluster, as they are or in a bit a dimension. Without
        one every passage is scored.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        The kind of index is unknown, the corpus is another one, or the folder is something else or cannot be written.
    CheckpointError
        The collection is broken or keeps no vectors.
    SetupError
        LanceDB is not installed.
    """
    engine()
    if index is not None and index not in get_args(IndexType):
        raise InputError(f"unknown kind of index {index!r}", remedy=f"choose from {', '.join(get_args(IndexType))}")
    source, target = Path(collection), Path(os.path.abspath(database))
    # A manifest has the fingerprints of what it describes.
    described = [part / MANIFEST if (part / MANIFEST).is_file() else part for part in index_folders(source)]
    inputs = {"collection": fingerprint_texts(map(fingerprint, described))}
    if corpus is not None:
        inputs["corpus"] = fingerprint(corpus)
    found = _token_store(source) if is_token_store(source) else _faiss_index(source)
    parameters = {"multi-vector": found.multi_vector, "dimension": found.dimension, "index": index}
    parameters["passages"] = len(found.docids)
    manifest = Manifest(_STEP, inputs=inputs | {"encoder": found.made_by}, parameters=parameters)
    if _is_made(target, manifest):
        say(f"{database}: is there already, made from the same collection")
        return Path(database)
    work = target.with_name(f".{target.name}.export")
    shutil.rmtree(work, ignore_errors=True)  # of a process that was killed
    try:
        _write(work / "made", found, manifest, corpus)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    if target.exists():
        target.replace(work / "replaced")  # as a whole: half removed, it would not be known for ours
    (work / "made").replace(target)
    shutil.rmtree(work, ignore_errors=True)
    return Path(database)


def _is_made(target: Path, manifest: Manifest) -> bool:
    """Say whether a database is there, made from the same things; refuse what is not ours and would be replaced."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    try:
        # Other tables in it would be lost.
        alone = is_database(target) and len(list(target.iterdir())) == 1
        there = Database.open(target).manifest if alone else None
    except CheckpointError:
        there = None
    if there is None or there.step != _STEP:
        remedy = "choose another directory or remove it"
        raise InputError("exists and is not a database of ours alone", path=target, remedy=remedy)
    return there.matches(manifest)


def _token_store(folder: Path) -> _Collection:
    store = TokenStore.open(folder)
    blocks = ((vectors, lengths) for _, vectors, lengths in store.blocks(_BLOCK))
    return _Collection(store.docids, store.made_by, store.dimension, blocks, True)


def _faiss_index(folder: Path) -> _Collection:
    index, docids = open_index(folder, mapped=True)
    parts = index.parts if isinstance(index, JoinedIndex) else [index]
    if not all(isinstance(one, faiss.IndexFlat | faiss.IndexHNSWFlat) for one in parts):
        raise CheckpointError(f"{folder}: this kind of index keeps no vectors; encode the corpus into a flat one")
    manifests = [Manifest.load(part / MANIFEST) for part in index_folders(folder) if (part / MANIFEST).is_file()]
    made_by = manifests[0].inputs.get("encoder", "") if manifests else ""
    starts = range(0, len(docids), _BLOCK)
    blocks = ((index.reconstruct_batch(np.arange(start, min(start + _BLOCK, len(docids)))), None) for start in starts)
    return _Collection(docids, made_by, index.d, blocks, False)


def _write(folder: Path, collection: _Collection, manifest: Manifest, corpus: Pathish | None) -> None:
    import pyarrow as pa

    schema = _schema(collection, manifest, corpus is not None)
    failed: list[OpticalError] = []

    def batches() -> Iterator[Any]:
        try:
            yield from _batches(collection, schema, corpus)
        except OpticalError as error:  # of which the engine would leave a line of its text
            failed.append(error)
            raise

    index = manifest.parameters["index"]
    try:
        table = engine().connect(folder).create_table(TABLE, pa.RecordBatchReader.from_batches(schema, batches()))
        if index:
            say(f"building the {index} index")
            kind = {"ivf-flat": "IvfFlat", "ivf-rq": "IvfRq"}[index]
            metric = "cosine" if collection.multi_vector else "dot"
            table.create_index(VECTOR, config=getattr(engine().index, kind)(distance_type=metric))
    except (RuntimeError, ValueError, OSError, OpticalError) as error:
        if failed:
            raise failed[0] from None
        reason = " ".join(str(error).split())[:200]
        remedy = "look whether the disk is full" + (", or leave the index out" if index else "")
        raise InputError(f"cannot be written ({reason})", path=folder.parent, remedy=remedy) from None


def _schema(collection: _Collection, manifest: Manifest, texts: bool) -> Any:
    import pyarrow as pa

    one = pa.list_(pa.float16() if collection.multi_vector else pa.float32(), collection.dimension)
    fields = [(ID, pa.string()), (VECTOR, pa.list_(one) if collection.multi_vector else one)]
    fields += [("title", pa.string()), ("text", pa.string())] if texts else []
    return pa.schema(fields, metadata={METADATA: json.dumps(asdict(manifest), sort_keys=True)})


def _batches(collection: _Collection, schema: Any, corpus: Pathish | None) -> Iterator[Any]:
    import pyarrow as pa

    texts = _texts(collection.docids, corpus) if corpus is not None else None
    done = 0
    with progress("exporting passages", len(collection.docids)) as advance:
        for vectors, lengths in collection.blocks:
            number = len(vectors) if lengths is None else len(lengths)
            flat = pa.array(vectors.astype(np.float32 if lengths is None else np.float16).ravel())
            column: Any = pa.FixedSizeListArray.from_arrays(flat, collection.dimension)
            if lengths is not None:
                offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
                column = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), column)
            columns: list[Any] = [pa.array(collection.docids[done : done + number], pa.string()), column]
            if texts is not None:
                passages = [next(texts) for _ in range(number)]
                columns += [pa.array([passage.title for passage in passages])]
                columns += [pa.array([passage.text for passage in passages])]
            yield pa.record_batch(columns, schema=schema)
            done += number
            advance(number)
    if texts is not None:
        next(texts, None)  # so that passages that were not encoded are seen


def _texts(docids: list[str], corpus: Pathish) -> Iterator[Passage]:
    """Yield the passages of a corpus, which must be the one that was encoded: the same ids in the same order."""
    for docid, passage in zip_longest(docids, read_corpus(corpus)):
        if passage is None or passage.id != docid:
            there = "ends" if passage is None else f"has passage {shown(passage.id)}"
            wanted = "nothing more" if docid is None else f"passage {shown(docid)}"
            remedy = "give the corpus that was encoded"
            raise InputError(f"{there} where the collection has {wanted}", path=corpus, remedy=remedy)
        yield passage
