"""From a token store to a Lucene index, whose own rescorer then scores by late interaction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pyserini_optical.data import Manifest, Pathish, fingerprint
from pyserini_optical.errors import InputError
from pyserini_optical.integration.lucene import work_beside
from pyserini_optical.integration.lucene_tokens import (
    RECORD,
    REMEDY,
    Vectors,
    is_lucene_tokens,
    needs_late_interaction,
    write_lucene_tokens,
)
from pyserini_optical.progress import progress, say
from pyserini_optical.retrieve.sharding import MANIFEST
from pyserini_optical.retrieve.token_store import TokenStore, is_token_store

# Passages that are read and decoded together.
_BLOCK = 256


def export_to_lucene(store: Pathish, index: Pathish) -> Path:
    """Write a token store into a Lucene index, from which :func:`~pyserini_optical.retrieve.rerank` scores too.

    Parameters
    ----------
    store : path-like
        What :func:`~pyserini_optical.retrieve.encode_tokens` made. It is read block by block, and written as float32: 4
        bytes a dimension.
    index : path-like
        Directory to make. If it is there and was made from the same store, nothing is done.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    InputError
        What is given is no token store, or the directory is something else or cannot be written.
    CheckpointError
        The store is broken.
    SetupError
        Pyserini is older than 2.3: its Lucene has no late interaction.
    """
    if not is_token_store(store):
        raise InputError(
            "is not a token store", path=store, remedy="make one with `encode ENCODER CORPUS STORE --tokens`"
        )
    needs_late_interaction()
    tokens = TokenStore.open(store)
    target = Path(index)
    manifest = Manifest(
        "lucene tokens",
        inputs={"store": fingerprint(Path(store) / MANIFEST), "encoder": tokens.made_by},
        parameters={"dimension": tokens.dimension, "passages": len(tokens.docids)},
    )
    if is_lucene_tokens(target) and (there := Manifest.load(target / RECORD)).matches(manifest):
        there.check(target, REMEDY)
        say(f"{index}: is there already, made from the same store")
        return target
    if target.exists():
        raise InputError("is there already", path=target, remedy="remove it or name another directory")
    with work_beside(target) as work:
        with progress("exporting passages", len(tokens.docids)) as advance:

            def each() -> Iterator[tuple[str, Vectors]]:
                for start, vectors, lengths in tokens.blocks(_BLOCK):
                    passages = np.split(vectors, np.cumsum(lengths)[:-1])
                    yield from zip(tokens.docids[start : start + len(lengths)], passages, strict=True)
                    advance(len(lengths))

            write_lucene_tokens(work / "index", each(), manifest)
        (work / "index").replace(target)
    return target
