"""From topics to a run, by inner product in a Faiss index."""

from __future__ import annotations

import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from pyserini_optical.data import Manifest, Pathish, read_topics, write_run
from pyserini_optical.data.fields import checked_id
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.progress import progress
from pyserini_optical.retrieve.encoding import MANIFEST
from pyserini_optical.retrieve.faiss_index import open_index

if TYPE_CHECKING:
    from pyserini_optical.models import Encoder

Run = dict[str, dict[str, float]]

_BATCH = 64


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
    """Search an index for every topic.

    Parameters
    ----------
    encoder : Encoder, str or path-like
        It encodes the topics.
    index : path-like
        Faiss directory, ours or Pyserini's.
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
        Inner product by passage id by topic id.

    Raises
    ------
    InputError
        The topics cannot be read, there are none or no hits to write, or the tag holds white space.
    CheckpointError
        The index is broken, or was made by another document encoder than this encoder's.
    """
    from pyserini_optical.models import load_encoder

    if hits < 1:
        raise InputError(f"{hits} hits asked for", remedy="ask for one or more")
    if isinstance(encoder, str | PathLike):
        encoder = load_encoder(os.fspath(encoder), device)
    # Made and checked before the search, which may be long.
    tag = checked_id("-".join(Path(encoder.name).absolute().name.split()) if tag is None else tag, "run tag")
    texts = dict(topics) if isinstance(topics, Mapping) else read_topics(topics)
    folder = Path(index)
    faiss_index, docids = open_index(folder)
    if (folder / MANIFEST).is_file():
        made_by = Manifest.load(folder / MANIFEST).inputs.get("encoder")
        if made_by != encoder.document_fingerprint:
            raise CheckpointError(
                f"{folder}: made by another document encoder than {encoder.name} searches with; "
                f"encode the corpus with {encoder.name}"
            )
    if encoder.dimension != faiss_index.d:
        raise CheckpointError(
            f"{folder}: has vectors of {faiss_index.d} dimensions, {encoder.name} of {encoder.dimension}; "
            f"encode the corpus with {encoder.name}"
        )
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
    if run is not None:
        write_run(run, found, tag)
    return found
