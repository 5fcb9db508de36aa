"""``pyserini-optical export``: from an index or a token store to what an engine searches or re-ranks."""

from __future__ import annotations

import argparse

from pyserini_optical.errors import InputError

HELP = (
    "write an index or a token store into a LanceDB database, for retrieval by inner product or MaxSim at scale, or a "
    "token store into a Lucene index, for re-ranking"
)
EXAMPLE = "pyserini-optical export stores/corpus databases/corpus"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("collection", metavar="INDEX_OR_STORE", help="folder made by `encode`: an index or token store")
    parser.add_argument("database", metavar="DATABASE", help="folder to make")
    parser.add_argument(
        "--engine",
        choices=("lancedb", "lucene"),
        default="lancedb",
        help="lucene takes a token store, and wants Pyserini 2.3 or later (default: lancedb)",
    )
    parser.add_argument("--corpus", help="the corpus that was encoded, to have titles and texts in the table too")
    parser.add_argument(
        "--index",
        choices=("ivf-flat", "ivf-rq"),
        help="build an approximate index: vectors by cluster, whole or in a bit a dimension (default: none, exact)",
    )


def run(args: argparse.Namespace) -> None:
    """Export; print the folder."""
    if args.engine == "lucene":
        from pyserini_optical.retrieve import export_to_lucene

        if args.corpus or args.index:
            raise InputError("--corpus and --index are for LanceDB", remedy="leave them out")
        print(export_to_lucene(args.collection, args.database))
        return
    from pyserini_optical.retrieve import export_collection

    print(export_collection(args.collection, args.database, corpus=args.corpus, index=args.index))
