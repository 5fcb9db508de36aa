"""``pyserini-optical export``: from an index or a token store to a database that an engine searches."""

from __future__ import annotations

import argparse

HELP = "write an index or a token store into a LanceDB database, for retrieval by inner product or MaxSim at scale"
EXAMPLE = "pyserini-optical export stores/corpus databases/corpus"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("collection", metavar="INDEX_OR_STORE", help="folder made by `encode`: an index or token store")
    parser.add_argument("database", metavar="DATABASE", help="folder to make")
    parser.add_argument("--corpus", help="the corpus that was encoded, to have titles and texts in the table too")
    parser.add_argument(
        "--index",
        choices=("ivf-flat", "ivf-rq"),
        help="build an approximate index: vectors by cluster, whole or in a bit a dimension (default: none, exact)",
    )


def run(args: argparse.Namespace) -> None:
    """Export; print the folder."""
    from pyserini_optical.retrieve import export_collection

    print(export_collection(args.collection, args.database, corpus=args.corpus, index=args.index))
