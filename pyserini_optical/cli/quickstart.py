"""``pyserini-optical quickstart``: the whole way on the bundled collection."""

from __future__ import annotations

import argparse

HELP = "distil, encode, search and compare on the bundled collection, offline, in minutes"
EXAMPLE = "pyserini-optical quickstart --work work/quickstart"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--work", default="work/quickstart", metavar="DIR", help="folder for what is made (default: work/quickstart)"
    )


def run(args: argparse.Namespace) -> None:
    """Run the bundled study and say what to try next."""
    from pyserini_optical.quickstart import quickstart

    quickstart(args.work)
