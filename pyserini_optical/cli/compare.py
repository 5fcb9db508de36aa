"""``compare``: measures of several runs, and which differences are more than chance."""

from __future__ import annotations

import argparse
from os import PathLike
from pathlib import Path

HELP = "compare TREC runs: measures as trec_eval gives them, significance, and a report"
EXAMPLE = "pyserini-optical compare qrels.txt bm25.txt optical=runs/sw.txt.gz --baseline bm25 --report report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``compare``."""
    parser.add_argument("qrels", metavar="QRELS", help="TREC qrels (plain, .gz or .xz)")
    parser.add_argument("runs", metavar="RUN", nargs="+", help="TREC runs, as PATH or NAME=PATH (plain, .gz or .xz)")
    parser.add_argument("--baseline", metavar="NAME", help="hold every other run against this one (default: all pairs)")
    parser.add_argument(
        "--measures",
        metavar="LIST",
        help="comma-separated, from RR, nDCG, AP, Success@k, R@k, P@k"
        " (default: RR@10,nDCG@10,Success@1,Success@10,R@100)",
    )
    parser.add_argument(
        "--test",
        choices=("fisher", "student", "tukey"),
        default="fisher",
        help="Fisher's randomisation test or the paired t-test, both with Holm's correction, or Tukey's HSD"
        " (default: fisher)",
    )
    parser.add_argument("--alpha", type=float, default=0.05, help="largest p called significant (default: 0.05)")
    parser.add_argument("--seed", type=int, default=42, help="of the random draws (default: 42)")
    parser.add_argument("--report", metavar="DIR", help="write report.md, report.tex and report.json to this directory")


def run(args: argparse.Namespace) -> None:
    """Compare, print, and write the report if asked for."""
    from rich.console import Console

    from pyserini_optical.evaluate import DEFAULT_MEASURES, compare, to_terminal
    from pyserini_optical.evaluate.comparison import name_runs
    from pyserini_optical.progress import results

    with Console(stderr=True).status("comparing"):
        comparison = compare(
            args.qrels,
            name_runs([_named(text) for text in args.runs]),
            baseline=args.baseline,
            measures=DEFAULT_MEASURES if args.measures is None else args.measures.split(","),
            test=args.test,
            alpha=args.alpha,
            seed=args.seed,
            report=args.report,
        )
    console = results()
    console.print(to_terminal(comparison))
    if args.report is not None:
        console.print(f"Written: report.md, report.tex, report.json in {args.report}", markup=False)


def _named(text: str) -> str | PathLike[str] | tuple[str, str]:
    name, sign, path = text.partition("=")
    # A file whose own name has the sign in it is still found.
    return (name, path) if sign and name and not Path(text).exists() else text
