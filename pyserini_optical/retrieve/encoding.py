"""From a corpus to a Faiss index that Pyserini opens, memory independent of the corpus."""

from __future__ import annotations

import os
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pyserini_optical.data import Manifest, Pathish, fingerprint, one_process, read_corpus
from pyserini_optical.errors import InputError
from pyserini_optical.retrieve.faiss_index import PQ_LEAST, IndexType, write_index
from pyserini_optical.retrieve.sharding import CorpusFolder, Shards, docid_file

if TYPE_CHECKING:
    from pyserini_optical.models import Encoder


@one_process("index")
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
    from pyserini_optical.models.device import machine

    if kind not in get_args(IndexType):
        raise InputError(f"unknown kind of index {kind!r}", remedy=f"choose from {', '.join(get_args(IndexType))}")
    if isinstance(encoder, str | PathLike):
        encoder = load_encoder(os.fspath(encoder), device)
    inputs = {"corpus": fingerprint(corpus), "encoder": encoder.document_fingerprint}
    manifest = Manifest("encode", inputs=inputs, parameters={"kind": kind}, machine=machine(encoder.device))
    folder = CorpusFolder(index, manifest, ("index", "docid"), "an index")
    if folder.is_made():
        return Path(index)
    total = sum(1 for _ in read_corpus(corpus))
    if kind == "pq" and total < PQ_LEAST:
        problem = f"a pq index needs {PQ_LEAST} passages or more to train on, got {total}"
        raise InputError(problem, path=corpus, remedy="use flat")

    def write(made: Path, shards: Shards) -> None:
        with docid_file(made) as take:
            blocks = (take(shard)["vectors"] for shard in shards)
            first = next(blocks)
            write_index(made / "index", chain([first], blocks), total, first.shape[1], kind)

    read = encoder.encode_passages
    folder.make(corpus, total, lambda texts: {"vectors": read(texts)}, write)
    return Path(index)
