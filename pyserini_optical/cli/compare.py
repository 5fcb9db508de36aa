"""``compare``: measures of several runs, and which differences are more than chance."""

from __future__ import annotations

import argparse
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from pyserini_optical.errors import InputError

if TYPE_CHECKING:
    from pyserini_optical.evaluate import Comparison

HELP = "compare TREC runs: measures as trec_eval gives them, significance, and a report"
EXAMPLE = "pyserini-optical compare qrels.txt bm25.txt optical=runs/sw.txt.gz --baseline bm25 --report report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``compare``."""
    parser.add_argument("qrels", metavar="QRELS", help="TREC qrels (plain, .gz or .xz)")
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="*",
        help="TREC runs, as PATH or NAME=PATH (plain, .gz or .xz); NAME=PATH,PATH for one system with several seeds."
        " In place of qrels and runs LANGUAGE=report.json of several languages, to pool them, or"
        " LANGUAGE=report.json,report.json of several seeds",
    )
    parser.add_argument("--baseline", metavar="NAME", help="hold every other run against this one (default: all pairs)")
    parser.add_argument(
        "--measures",
        metavar="LIST",
        help="comma-separated, from RR, nDCG, AP, Success@k, R@k, P@k, R@2kt (with --answers and --corpus),"
        " RankDistance@k (default: RR@10,nDCG@10,Success@1,Success@10,R@100)",
    )
    parser.add_argument(
        "--test",
        choices=("fisher", "student", "tukey"),
        default="fisher",
        help="Fisher's randomisation test or the paired t-test, or Tukey's HSD, which needs no correction"
        " (default: fisher)",
    )
    parser.add_argument(
        "--correction",
        choices=("holm", "benjamini-hochberg"),
        default="holm",
        help="for the number of comparisons on each measure (default: holm)",
    )
    parser.add_argument("--alpha", type=float, default=0.05, help="largest p called significant (default: 0.05)")
    parser.add_argument("--seed", type=int, default=42, help="of the random draws (default: 42)")
    parser.add_argument("--answers", metavar="FILE", help="answers for R@2kt, as ID, tab, ANSWER, tab, ANSWER …")
    parser.add_argument(
        "--report", metavar="DIR", help="write report.html, .md, .tex, .csv and .json to this directory"
    )
    parser.add_argument("--corpus", metavar="FILE", help="passages, for R@2kt and to be shown in the report")
    parser.add_argument(
        "--topics",
        metavar="[WHAT=]FILE",
        action="append",
        default=[],
        help="topics to be shown in the report, such as 'Swahili=topics.tsv'; once for each translation",
    )
    parser.add_argument(
        "--quantities",
        metavar="FILE",
        help="numbers about the runs that the report plots effectiveness against: a tab-separated table whose header"
        " begins with run",
    )


def run(args: argparse.Namespace) -> None:
    """Compare, print, and write the report if asked for."""
    from rich.console import Console

    from pyserini_optical.data.files import plain_suffix
    from pyserini_optical.evaluate import to_terminal
    from pyserini_optical.progress import results

    with Console(stderr=True).status("comparing"):
        comparison = _pool(args) if plain_suffix(args.qrels) == ".json" else _compare(args)
    console = results()
    console.print(to_terminal(comparison))
    if args.report is not None:
        written = f"Written: report.html, report.md, report.tex, report.csv, report.json in {args.report}"
        console.print(written, markup=False)


def _compare(args: argparse.Namespace) -> Comparison:
    from pyserini_optical.evaluate import DEFAULT_MEASURES, compare
    from pyserini_optical.evaluate.comparison import name_runs

    if not args.runs:
        raise InputError("no run is named to be compared", path=args.qrels, remedy="name TREC runs behind the qrels")
    if args.report is None and (unused := [name for name in ("topics", "quantities") if getattr(args, name)]):
        raise InputError(f"--{unused[0]} is for the report", remedy="name its folder by --report")
    return compare(
        args.qrels,
        name_runs([_named(text) for text in args.runs]),
        baseline=args.baseline,
        measures=DEFAULT_MEASURES if args.measures is None else args.measures.split(","),
        test=args.test,
        correction=args.correction,
        alpha=args.alpha,
        seed=args.seed,
        answers=args.answers,
        corpus=args.corpus,
        topics=_labelled(args.topics),
        quantities=args.quantities,
        report=args.report,
    )


def _pool(args: argparse.Namespace) -> Comparison:
    from pyserini_optical.evaluate import Inference, pool

    unused = [name for name in ("measures", "answers", "corpus", "topics", "quantities") if getattr(args, name)]
    if unused:
        remedy = "use it where the reports are made"
        raise InputError(f"--{unused[0]} is not for pooling reports", path=args.qrels, remedy=remedy)
    return pool(
        {language: _parts(path) for language, path in _labelled([args.qrels, *args.runs]).items()},
        baseline=args.baseline,
        inference=Inference(args.test, args.correction, args.alpha, args.seed),
        report=args.report,
    )


def _split(text: str) -> tuple[str, str]:
    name, sign, path = text.partition("=")
    # A file whose own name has the sign in it is still found.
    return (name, path) if sign and name and not Path(text).exists() else ("", text)


def _named(text: str) -> str | PathLike[str] | tuple[str, list[str]]:
    name, path = _split(text)
    if not name:
        return path
    return name, _parts(path)


def _parts(path: str) -> list[str]:
    return [path] if Path(path).exists() else [part for part in path.split(",") if part]


def _labelled(texts: list[str]) -> dict[str, str]:
    labelled: dict[str, str] = {}
    for text in texts:
        name, path = _split(text)
        name = name or Path(path).stem
        if name in labelled:
            raise InputError(f"a second file is called {name!r}", path=path, remedy="write it as WHAT=FILE")
        labelled[name] = path
    return labelled
