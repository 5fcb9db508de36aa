"""``pyserini-optical rerank``: the top of a run in a better order."""

from __future__ import annotations

import argparse

HELP = "re-order the first passages of each topic of a run; a cross-encoder goes on where it was interrupted"
EXAMPLE = "pyserini-optical rerank encoders/optical-sw stores/corpus topics.sw.tsv run.txt reranked.txt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "encoder", metavar="MODEL", help="encoder or cross-encoder: folder, hub name or package:NAME/FOLDER"
    )
    parser.add_argument(
        "corpus",
        metavar="CORPUS",
        help="JSONL; or for maxsim a token store (`encode --tokens`) or its Lucene export; for pooled an index",
    )
    parser.add_argument("topics", metavar="TOPICS", help="file with a line `id<TAB>text` a topic")
    parser.add_argument("run", metavar="RUN", help="TREC run to re-order")
    parser.add_argument("output", metavar="OUT", help="TREC run to write (.gz and .xz are compressed)")
    parser.add_argument(
        "--by",
        choices=("maxsim", "pooled", "cross-encoder"),
        default="maxsim",
        help="token vectors, single vectors, or question and passage read together (default: maxsim)",
    )
    parser.add_argument("--depth", type=int, default=100, help="passages a topic to re-order (default: 100)")
    parser.add_argument("--tag", help="the run's name in its last column (default: the model's name)")
    parser.add_argument("--device", help="torch device (default: the first GPU, else cpu)")


def run(args: argparse.Namespace) -> None:
    """Re-rank; print the run's path."""
    from pyserini_optical.retrieve import rerank

    rerank(
        args.encoder,
        args.corpus,
        args.topics,
        args.run,
        args.output,
        by=args.by,
        depth=args.depth,
        tag=args.tag,
        device=args.device,
    )
    print(args.output)
