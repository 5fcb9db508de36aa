"""``pyserini-optical encode``: from a corpus to a Faiss index or a token store."""

from __future__ import annotations

import argparse

HELP = "encode a corpus into a Faiss index that Pyserini opens, or a token store; goes on after an interruption"
EXAMPLE = "pyserini-optical encode encoders/optical-sw corpus.jsonl indexes/corpus"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("encoder", metavar="ENCODER", help="checkpoint: folder, hub name or package:NAME/FOLDER")
    parser.add_argument("corpus", metavar="CORPUS", help="JSONL file or folder of such (id, text)")
    parser.add_argument("index", metavar="INDEX", help="folder to make")
    made = parser.add_mutually_exclusive_group()
    made.add_argument(
        "--index-type",
        choices=("flat", "hnsw", "pq"),
        default="flat",
        help="kind of Faiss index (default: flat, exact)",
    )
    made.add_argument(
        "--tokens",
        nargs="?",
        choices=("float16", "4-bit", "2-bit"),
        const="float16",
        metavar="CODES",
        help="make a token store instead, for `rerank` and exact late interaction in `search`: one vector a token, in "
        "float16 (default) or in 4-bit or 2-bit residual codes",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--part",
        type=_part,
        metavar="K/N",
        help="encode the K-th of N parts and stop; any number of parts may run at the same time, on all machines that "
        "see the folder, and the command without it then makes the whole",
    )
    where.add_argument(
        "--engine", choices=("ray",), help="encode on a Ray cluster (RAY_ADDRESS, else one on this machine)"
    )
    parser.add_argument("--device", help="torch device (default: the first GPU, else cpu)")


def run(args: argparse.Namespace) -> None:
    """Encode; print the folder."""
    from pyserini_optical.retrieve import encode_corpus, encode_tokens

    how = {"part": args.part, "engine": args.engine, "device": args.device}
    if args.tokens:
        print(encode_tokens(args.encoder, args.corpus, args.index, codes=args.tokens, **how))
    else:
        print(encode_corpus(args.encoder, args.corpus, args.index, kind=args.index_type, **how))


def _part(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"expected K/N from 1/N to N/N, got {text!r}")
    return int(number), int(of)
