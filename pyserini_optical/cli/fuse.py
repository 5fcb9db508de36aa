"""``pyserini-optical fuse``: one run from several."""

from __future__ import annotations

import argparse
from typing import Any

HELP = "make one run of several; weights are tuned on development topics and saved for the test"
EXAMPLE = "pyserini-optical fuse rrf bm25.txt optical.txt fused.txt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("method", metavar="METHOD", help="ranx's name of a fusion method: rrf, wsum, mnz, …")
    parser.add_argument("runs", metavar="RUN", nargs="+", help="TREC runs, two or more")
    parser.add_argument("output", metavar="OUT", help="TREC run to write")
    parser.add_argument("--norm", help="how scores are normalised first (default: min-max)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--tune", metavar="QRELS", help="find the method's parameters on these development qrels")
    how.add_argument("--parameters", metavar="FILE", help="what --save wrote; for runs in the same order")
    parser.add_argument("--measure", default="nDCG@10", help="what tuning makes largest (default: nDCG@10)")
    parser.add_argument("--save", metavar="FILE", help="where the parameters that were tuned go")
    parser.add_argument("--hits", type=int, default=1000, help="passages a topic (default: 1000)")
    parser.add_argument("--tag", help="the run's name in its last column (default: the method)")


def run(args: argparse.Namespace) -> None:
    """Fuse; print the run's path."""
    from pyserini_optical.errors import InputError
    from pyserini_optical.retrieve.fusion import Fusion, fuse, tune_fusion

    if args.save and not args.tune:
        raise InputError("--save keeps what --tune finds", remedy="give --tune QRELS too")
    norm: Any = args.norm or "min-max"  # checked by whoever takes it
    if args.tune:
        fusion = tune_fusion(args.runs, args.tune, method=args.method, norm=norm, measure=args.measure)
    elif args.parameters:
        fusion = Fusion.load(args.parameters)
        if fusion.method != args.method:
            raise InputError(f"holds parameters of {fusion.method}, not of {args.method}", path=args.parameters)
        if args.norm not in (None, fusion.norm):
            raise InputError(f"was tuned with --norm {fusion.norm}", path=args.parameters, remedy="leave --norm out")
    else:
        fusion = Fusion(args.method, norm)
    fuse(args.runs, args.output, fusion=fusion, hits=args.hits, tag=args.tag)
    if args.save:
        fusion.save(args.save)
    print(args.output)
