"""``pyserini-optical pyserini``: any Pyserini module, with our encoders as class ``optical`` and Java taken care of."""

from __future__ import annotations

import argparse
import sys

HELP = "run a Pyserini module (encode, search.faiss, …) with the encoder class `optical` and a fitting Java"
EXAMPLE = (
    "pyserini-optical pyserini search.faiss --index index --topics topics.tsv --encoder my-checkpoint "
    "--encoder-class optical --output run.txt"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the module's name; all that follows it goes to the module."""
    parser.add_argument(
        "--unpickle",
        action="store_true",
        help="let the module read pickles, such as those of --encoded-queries; they can hold code, so only your own",
    )
    parser.add_argument("module", metavar="MODULE", help="what follows `python -m pyserini.`, such as search.faiss")
    parser.add_argument(
        "arguments", metavar="ARGUMENTS", nargs=argparse.REMAINDER, help="the module's arguments, passed on as they are"
    )


def run(args: argparse.Namespace) -> None:
    """Run the module; leave with its exit status if that is not 0."""
    from pyserini_optical.integration import run_module

    status = run_module(args.module, args.arguments, unpickle=args.unpickle)
    if status:
        sys.exit(status)
