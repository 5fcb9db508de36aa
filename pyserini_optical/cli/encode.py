"""``pyserini-optical encode``: from a corpus to a Faiss index."""

from __future__ import annotations

import argparse

HELP = "encode a corpus into a Faiss index that Pyserini opens; the same command goes on after an interruption"
EXAMPLE = "pyserini-optical encode encoders/optical-sw corpus.jsonl indexes/corpus"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("encoder", metavar="ENCODER", help="checkpoint: folder, hub name or package:NAME/FOLDER")
    parser.add_argument("corpus", metavar="CORPUS", help="JSONL file or folder of such (id, text)")
    parser.add_argument("index", metavar="INDEX", help="folder to make")
    parser.add_argument(
        "--index-type",
        choices=("flat", "hnsw", "pq"),
        default="flat",
        help="kind of Faiss index (default: flat, exact)",
    )
    parser.add_argument("--device", help="torch device (default: the first GPU, else cpu)")


def run(args: argparse.Namespace) -> None:
    """Encode; print the index's folder."""
    from pyserini_optical.retrieve import encode_corpus

    print(encode_corpus(args.encoder, args.corpus, args.index, kind=args.index_type, device=args.device))
