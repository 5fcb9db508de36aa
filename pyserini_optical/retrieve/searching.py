"""From topics to a run: by inner product in a Faiss index, or by exact MaxSim in a token store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyserini_optical.data import Manifest, Pathish, check_output, one_process, read_topics, write_run
from pyserini_optical.data.fields import checked_id
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.progress import progress
from pyserini_optical.retrieve.database import is_database, search_database
from pyserini_optical.retrieve.faiss_index import open_index
from pyserini_optical.retrieve.joined_index import index_folders
from pyserini_optical.retrieve.maxsim import maxsim
from pyserini_optical.retrieve.sharding import MANIFEST
from pyserini_optical.retrieve.token_store import TokenStore, is_token_store

if TYPE_CHECKING:
    from pyserini_optical.models import CrossEncoder, Encoder

Run = dict[str, dict[str, float]]

# Topics that are encoded and searched together: enough to sort by length, so that little is padded.
_BATCH = 256

# Passages and queries that are scored together by MaxSim: so few that memory is not asked for anew each time.
_PASSAGES, _QUERIES = 64, 32


@one_process("run")
def search(
    encoder: Encoder | Pathish,
    index: Pathish,
    topics: Pathish | Mapping[str, str],
    run: Pathish | None = None,
    *,
    hits: int = 1000,
    tag: str | None = None,
    device: str | None = None,
) -> Run:
    """Search an index, or a token store by exact MaxSim, for every topic.

    Parameters
    ----------
    encoder : Encoder, str or path-like
        It encodes the topics.
    index : path-like
        Faiss directory, ours or Pyserini's; a folder that holds several, which are searched as one; or what
        :func:`~pyserini_optical.retrieve.token_encoding.encode_tokens` made, of which every passage is scored.
    topics : path-like or mapping of str to str
        Topics file, or text by topic id.
    run : path-like, optional
        TREC run to write.
    hits : int
        Passages a topic.
    tag : str, optional
        Name of the run in its last column; the encoder's folder name by default.
    device : str, optional
        Torch device.

    Returns
    -------
    dict of str to dict of str to float
        Inner product, or MaxSim, by passage id by topic id.

    Raises
    ------
    InputError
        The topics cannot be read, there are none or no hits to write, or the tag holds white space.
    CheckpointError
        The index or store is broken, or was made by another document encoder than this encoder's.
    """
    from pyserini_optical.models import load_encoder

    if hits < 1:
        raise InputError(f"{hits} hits asked for", remedy="ask for one or more")
    if run is not None:
        check_output(run)
    if isinstance(encoder, str | PathLike):
        encoder = load_encoder(os.fspath(encoder), device)
    tag = run_tag(encoder, tag)  # made and checked before the search, which may be long
    texts = dict(topics) if isinstance(topics, Mapping) else read_topics(topics)
    how = search_database if is_database(index) else _search_store if is_token_store(index) else _search_index
    found = how(encoder, Path(index), texts, hits)
    if run is not None:
        write_run(run, found, tag)
    return found


def run_tag(encoder: Encoder | CrossEncoder, tag: str | None) -> str:
    """Give the name of a run, the encoder's by default.

    Raises
    ------
    InputError
        The tag is empty or holds white space.
    """
    return checked_id("-".join(Path(encoder.name).absolute().name.split()) if tag is None else tag, "run tag")


def open_index_for(encoder: Encoder, folder: Path) -> tuple[Any, list[str]]:
    """Open a Faiss directory as :func:`open_index` does, and refuse one that does not fit the encoder.

    Raises
    ------
    CheckpointError
        It is broken, or was made by another document encoder than the encoder's.
    """
    faiss_index, docids = open_index(folder)
    for part in index_folders(folder):
        if not (part / MANIFEST).is_file():  # an index of Pyserini's
            continue
        made_by = Manifest.load(part / MANIFEST).inputs.get("encoder")
        if made_by != encoder.document_fingerprint:
            raise CheckpointError(
                f"{part}: made by another document encoder than {encoder.name} searches with; "
                f"encode the corpus with {encoder.name}"
            )
    if encoder.dimension != faiss_index.d:
        raise CheckpointError(
            f"{folder}: has vectors of {faiss_index.d} dimensions, {encoder.name} of {encoder.dimension}; "
            f"encode the corpus with {encoder.name}"
        )
    return faiss_index, docids


def _search_index(encoder: Encoder, folder: Path, texts: Mapping[str, str], hits: int) -> Run:
    faiss_index, docids = open_index_for(encoder, folder)
    found: Run = {}
    names = list(texts)
    with progress("searching topics", len(names)) as advance:
        for start in range(0, len(names), _BATCH):
            some = names[start : start + _BATCH]
            vectors = encoder.encode_queries([texts[name] for name in some])
            scores, rows = faiss_index.search(vectors, min(hits, len(docids)))
            for name, topic_scores, topic_rows in zip(some, scores.tolist(), rows.tolist(), strict=True):
                # Approximate indexes fill up with -1 where they find fewer.
                found[name] = {docids[r]: s for r, s in zip(topic_rows, topic_scores, strict=True) if r >= 0}
            advance(len(some))
    return found


def _search_store(encoder: Encoder, folder: Path, texts: Mapping[str, str], hits: int) -> Run:
    """Score every passage, block by block, and keep the best of each topic; each block is read and decoded once."""
    store = TokenStore.open(folder)
    store.check(encoder)
    if not texts:
        return {}
    queries = encoder.query_tokens(list(texts.values()))
    best = np.zeros((len(queries), 0), dtype=np.float32)
    rows = np.zeros((len(queries), 0), dtype=np.int64)
    with progress("scoring passages", len(store.docids)) as advance:
        for first, tokens, lengths in store.blocks(_PASSAGES):
            parts = (queries[start : start + _QUERIES] for start in range(0, len(queries), _QUERIES))
            scores = np.concatenate([best, np.concatenate([maxsim(part, tokens, lengths) for part in parts])], axis=1)
            numbers = np.broadcast_to(first + np.arange(len(lengths)), (len(queries), len(lengths)))
            rows = np.concatenate([rows, numbers], axis=1)
            # Stable: of equal scores at the edge the earlier passages stay.
            kept = np.argsort(-scores, axis=1, kind="stable")[:, :hits]
            best, rows = np.take_along_axis(scores, kept, axis=1), np.take_along_axis(rows, kept, axis=1)
            advance(len(lengths))
    return {
        name: {store.docids[row]: score for row, score in zip(topic_rows, topic_scores, strict=True)}
        for name, topic_rows, topic_scores in zip(texts, rows.tolist(), best.tolist(), strict=True)
    }
