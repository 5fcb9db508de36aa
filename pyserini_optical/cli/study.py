"""``pyserini-optical study``: a whole experiment."""

from __future__ import annotations

import argparse

from pyserini_optical.cli.settings import add_settings

HELP = "run a whole experiment: encoders and baselines on one collection, compared by qrels if any; goes on if cut off"
EXAMPLE = "pyserini-optical study pyserini_optical/quickstart/study.yaml --set language=es"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("study", metavar="STUDY", help="YAML file")
    add_settings(parser)
    parser.add_argument("--output", metavar="DIR", help="folder for runs and report (default: the file's folder)")
    parser.add_argument(
        "--work",
        default="work",
        metavar="DIR",
        help="folder for encoders and indexes, shared by studies (default: work)",
    )


def run(args: argparse.Namespace) -> None:
    """Run the study; print its comparison, or where its runs are if it has no qrels."""
    from pyserini_optical.evaluate import to_terminal
    from pyserini_optical.progress import results
    from pyserini_optical.study import make_study

    runs, comparison = make_study(args.study, args.output, settings=args.settings, work=args.work)
    if comparison is not None:
        results().print(to_terminal(comparison))
    else:
        for name, file in runs.items():
            print(f"{name}\t{file}")
