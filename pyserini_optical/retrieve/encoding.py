"""From a corpus to a Faiss index: streamed in shards, each kept when it is done, memory independent of the corpus."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pyserini_optical.data import Manifest, Pathish, fingerprint, read_corpus, read_lines, write_beside, write_text
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.progress import progress, say
from pyserini_optical.retrieve.faiss_index import IndexType, Vectors, write_index

if TYPE_CHECKING:
    from pyserini_optical.models import Encoder

MANIFEST = "manifest.json"

# Passages a shard: sentence-transformers sorts each by length, and a killed process loses one at most.
_SHARD = 1024


def encode_corpus(
    encoder: Encoder | str, corpus: Pathish, index: Pathish, *, kind: IndexType = "flat", device: str | None = None
) -> Path:
    """Encode a corpus into a Faiss directory that Pyserini opens.

    Parameters
    ----------
    encoder : Encoder or str
        Its document encoder is used (for a student that reads queries only: the teacher).
    corpus : path-like
        JSONL file, or flat directory of such.
    index : path-like
        Directory to make. If it is there and was made from the same encoder and corpus, nothing is done. While it is
        made, the shards lie in ``.NAME.work`` beside it, from which the same command goes on after a kill.
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
        The corpus cannot be read, or the directory is something else.
    CheckpointError
        The encoder is broken.
    """
    from pyserini_optical.models import load_encoder

    if isinstance(encoder, str):
        encoder = load_encoder(encoder, device)
    target = Path(index)
    if target.exists() and not (target / MANIFEST).is_file():
        raise InputError("exists and is not an index of ours", path=target, remedy="choose another directory")
    manifest = Manifest(
        "encode",
        inputs={"corpus": fingerprint(corpus), "encoder": encoder.document_fingerprint},
        parameters={"kind": kind},
    )
    if target.exists() and Manifest.load(target / MANIFEST).matches(manifest):
        say(f"{target}: is there already, made from the same encoder and corpus")
        return target
    work = target.parent / f".{target.name}.work"
    _claim(work, manifest)
    shards = _encode_shards(encoder, corpus, work)
    made = work / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    first = np.load(shards[0].with_suffix(".npy"), mmap_mode="r")
    count = 0
    with write_text(made / "docid") as file:
        for shard in shards:
            for _, docid in read_lines(shard):
                file.write(docid + "\n")
                count += 1
    write_index(made / "index", _blocks(shards), count, first.shape[1], kind)
    manifest.save(made / MANIFEST)
    if target.exists():
        shutil.rmtree(target)
    made.replace(target)
    shutil.rmtree(work)
    return target


def _claim(work: Path, manifest: Manifest) -> None:
    """Keep the shards of an earlier process if they were made for the same index, and begin anew otherwise."""
    if work.exists() and not ((work / MANIFEST).is_file() and Manifest.load(work / MANIFEST).matches(manifest)):
        shutil.rmtree(work)
    manifest.save(work / MANIFEST)


def _encode_shards(encoder: Encoder, corpus: Pathish, work: Path) -> list[Path]:
    """Encode what is not encoded yet; give each shard's file of ids, beside which its vectors lie."""
    total = sum(1 for _ in read_corpus(corpus))
    if not total:
        raise InputError("no passage in it", path=corpus, remedy="give a corpus with passages")
    shards: list[Path] = []
    passages = iter(read_corpus(corpus))
    with progress("encoding passages", total) as advance:
        while shard := list(islice(passages, _SHARD)):
            ids = work / f"{len(shards):06d}.docid"
            if not ids.is_file():
                vectors = encoder.encode_passages([passage.text for passage in shard])
                with write_beside(ids.with_suffix(".npy")) as temporary:
                    np.save(temporary, vectors)
                # The ids come last: where they are, the shard is complete.
                with write_text(ids) as file:
                    file.writelines(f"{passage.id}\n" for passage in shard)
            shards.append(ids)
            advance(len(shard))
    return shards


def _blocks(shards: list[Path]) -> Iterator[Vectors]:
    for shard in shards:
        try:
            yield np.load(shard.with_suffix(".npy"))
        except (OSError, ValueError):
            raise CheckpointError(f"{shard.parent}: a shard is damaged; remove the folder and encode again") from None
