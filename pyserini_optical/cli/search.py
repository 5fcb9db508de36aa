"""``pyserini-optical search``: from topics to a TREC run."""

from __future__ import annotations

import argparse

HELP = "search an index or a token store for every topic and write a TREC run"
EXAMPLE = "pyserini-optical search encoders/optical-sw indexes/corpus topics.sw.tsv run.txt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("encoder", metavar="ENCODER", help="checkpoint: folder, hub name or package:NAME/FOLDER")
    parser.add_argument(
        "index",
        metavar="INDEX",
        help="folder made by `encode`, `export` or Pyserini; of a token store every passage is scored by MaxSim",
    )
    parser.add_argument("topics", metavar="TOPICS", help="file with a line `id<TAB>text` a topic")
    parser.add_argument("run", metavar="RUN", help="TREC run to write (.gz and .xz are compressed)")
    parser.add_argument("--hits", type=int, default=1000, help="passages a topic (default: 1000)")
    parser.add_argument("--tag", help="the run's name in its last column (default: the encoder's name)")
    parser.add_argument("--device", help="torch device (default: the first GPU, else cpu)")


def run(args: argparse.Namespace) -> None:
    """Search; print the run's path."""
    from pyserini_optical.retrieve import search

    search(args.encoder, args.index, args.topics, args.run, hits=args.hits, tag=args.tag, device=args.device)
    print(args.run)
