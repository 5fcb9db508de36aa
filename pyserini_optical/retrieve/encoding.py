"""From a corpus to a Faiss index that Pyserini opens, memory independent of the corpus."""

from __future__ import annotations

import os
from functools import partial
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from pyserini_optical.data import Manifest, Pathish, fingerprint, one_process, read_corpus
from pyserini_optical.errors import InputError
from pyserini_optical.retrieve.faiss_index import PQ_LEAST, IndexType, write_index
from pyserini_optical.retrieve.ray_engine import choose_engine
from pyserini_optical.retrieve.sharding import CorpusFolder, Part, docid_file
from pyserini_optical.retrieve.shards import Arrays, Shards

if TYPE_CHECKING:
    from pyserini_optical.models import Encoder


@one_process("index")
def encode_corpus(
    encoder: Encoder | Pathish,
    corpus: Pathish,
    index: Pathish,
    *,
    kind: IndexType = "flat",
    part: Part | None = None,
    engine: Literal["ray"] | None = None,
    device: str | None = None,
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
    part : (int, int), optional
        Encode no more than the K-th of N parts, given as K and N, of which any number may be encoded at the same time;
        a call without a part then goes on from there.
    engine : {"ray"}, optional
        Encode on the machines of a Ray cluster; see :func:`~pyserini_optical.retrieve.ray_engine.on_ray`.
    device : str, optional
        Torch device.

    Returns
    -------
    Path
        The directory, with ``index``, ``docid`` and ``manifest.json``; of a part, the folder with the shards.

    Raises
    ------
    InputError
        The corpus cannot be read or is too small for this kind of index, the kind is unknown, the directory is
        something else, or there is no such part.
    CheckpointError
        The encoder, or a shard of an earlier process, is broken.
    SetupError
        Ray is not installed, or its cluster failed.
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
    workers = choose_engine(engine, encoder, _vectors, part, device)
    if folder.is_made(part):
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

    encode = partial(_vectors, encoder)
    if part is not None:
        return folder.make_part(corpus, total, encode, part)
    folder.make(corpus, total, encode, write, workers)
    return Path(index)


def _vectors(encoder: Encoder, texts: list[str]) -> Arrays:
    return {"vectors": encoder.encode_passages(texts)}
