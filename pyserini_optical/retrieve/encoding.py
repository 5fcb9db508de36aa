"""From a corpus to a Faiss index: streamed in shards, each kept when it is done, memory independent of the corpus."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, get_args

import numpy as np

from pyserini_optical.data import Manifest, Pathish, fingerprint, read_corpus, read_lines, write_beside, write_text
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.progress import progress, say
from pyserini_optical.retrieve.faiss_index import PQ_LEAST, IndexType, Vectors, write_index

if TYPE_CHECKING:
    from pyserini_optical.models import Encoder

MANIFEST = "manifest.json"
_STEP = "encode"

# Passages a shard: sentence-transformers sorts each by length, and a killed process loses one at most.
_SHARD = 1024


def encode_corpus(
    encoder: Encoder | Pathish, corpus: Pathish, index: Pathish, *, kind: IndexType = "flat", device: str | None = None
) -> Path:
    """Encode a corpus into a Faiss directory that Pyserini opens.

    Parameters
    ----------
    encoder : Encoder, str or path-like
        Its document encoder is used (for a student that reads queries only: the teacher).
    corpus : path-like
        JSONL file, or flat directory of such.
    index : path-like
        Directory to make. If it is there and was made from the same encoder and corpus, nothing is done; if it is an
        index made from others, it is replaced when the new one is complete. While it is made, the shards lie in
        ``.NAME.work`` beside it, from which the same command goes on after a kill.
    kind : {"flat", "hnsw", "pq"}
        Kind of index; see :func:`~pyserini_optical.retrieve.faiss_index.write_index`.
    device : str, optional
        Torch device.

    Returns
    -------
    Path
        The directory, with ``index``, ``docid`` and ``manifest.json``.

    Raises
    ------
    InputError
        The corpus cannot be read or is too small for this kind of index, the kind is unknown, or the directory is
        something else.
    CheckpointError
        The encoder, or a shard of an earlier process, is broken.
    """
    from pyserini_optical.models import load_encoder

    if kind not in get_args(IndexType):
        raise InputError(f"unknown kind of index {kind!r}", remedy=f"choose from {', '.join(get_args(IndexType))}")
    if isinstance(encoder, str | PathLike):
        encoder = load_encoder(os.fspath(encoder), device)
    target = Path(os.path.abspath(index))  # so that it has a name, even where the index is `.`
    work = target.with_name(f".{target.name}.work")
    inputs = {"corpus": fingerprint(corpus), "encoder": encoder.document_fingerprint}
    manifest = Manifest(_STEP, inputs=inputs, parameters={"kind": kind})
    if _is_made(target, manifest):
        say(f"{index}: is there already, made from the same encoder and corpus")
        shutil.rmtree(work, ignore_errors=True)  # of a process that was killed in its last moment
        return Path(index)
    total = sum(1 for _ in read_corpus(corpus))
    if kind == "pq" and total < PQ_LEAST:
        problem = f"a pq index needs {PQ_LEAST} passages or more to train on, got {total}"
        raise InputError(problem, path=corpus, remedy="use flat")
    # The vectors are the same for every kind of index.
    _claim(work, Manifest("shards", inputs=inputs, parameters={"passages": _SHARD}))
    try:
        shards = _encode_shards(encoder, corpus, total, work)
    except BaseException:
        if not any(work.glob("*.docid")):  # nothing to go on from, as with an encoder that is broken
            shutil.rmtree(work)
        raise
    made = work / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    with write_text(made / "docid") as docids:
        blocks = _blocks(shards, total, docids)
        first = next(blocks)
        write_index(made / "index", chain([first], blocks), total, first.shape[1], kind)
    manifest.save(made / MANIFEST)
    if target.exists():
        shutil.rmtree(target)
    made.replace(target)
    shutil.rmtree(work)
    return Path(index)


def _is_made(target: Path, manifest: Manifest) -> bool:
    """Say whether the index is there; refuse a directory that is no index of ours, as it would be replaced."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    try:
        found = Manifest.load(target / MANIFEST)
    except InputError:
        found = None
    if found is None or found.step != _STEP:
        remedy = "choose another directory or remove it"
        raise InputError("exists and is not an index of ours", path=target, remedy=remedy)
    return found.matches(manifest) and all((target / name).is_file() for name in ("index", "docid"))


def _claim(work: Path, manifest: Manifest) -> None:
    """Keep the shards of an earlier process if they are of the same passages and encoder, and begin anew otherwise."""
    try:
        ours = Manifest.load(work / MANIFEST).matches(manifest)
    except InputError:
        ours = False
    if work.exists() and not ours:
        shutil.rmtree(work)
    manifest.save(work / MANIFEST)


def _encode_shards(encoder: Encoder, corpus: Pathish, total: int, work: Path) -> list[Path]:
    """Encode what is not encoded yet; give each shard's file of ids, beside which its vectors lie."""
    shards: list[Path] = []
    kept = min(total, _SHARD * len(list(work.glob("[0-9]*.docid"))))
    if kept:
        say(f"{kept} of {total} passages are encoded already")
    passages = read_corpus(corpus)
    with progress("encoding passages", total, done=kept) as advance:
        while shard := list(islice(passages, _SHARD)):
            ids = work / f"{len(shards):06d}.docid"
            if not ids.is_file():
                vectors = encoder.encode_passages([passage.text for passage in shard])
                with write_beside(ids.with_suffix(".npy")) as temporary:
                    np.save(temporary, vectors)
                # The ids come last: where they are, the shard is complete.
                with write_text(ids) as file:
                    file.writelines(f"{passage.id}\n" for passage in shard)
                advance(len(shard))
            shards.append(ids)
    return shards


def _blocks(shards: Sequence[Path], total: int, docids: TextIO) -> Iterator[Vectors]:
    """Yield the vectors, a shard at a time, and write their ids."""
    for number, shard in enumerate(shards):
        ids = [docid for _, docid in read_lines(shard)]
        try:
            vectors: Vectors = np.load(shard.with_suffix(".npy"), allow_pickle=False)
            whole = len(ids) == len(vectors) == min(_SHARD, total - number * _SHARD)
        except (OSError, ValueError, EOFError):
            whole = False
        if not whole:
            raise CheckpointError(
                f"{shard.with_suffix('.npy')}: this shard is damaged; remove the folder {shard.parent} and encode again"
            )
        docids.writelines(f"{docid}\n" for docid in ids)
        yield vectors
