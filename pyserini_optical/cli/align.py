"""``pyserini-optical align``: which words of a sentence pair the encoder matches."""

from __future__ import annotations

import argparse

HELP = "show which words of a sentence pair a coupling matches, with its cost, and what each adds to MaxSim"
EXAMPLE = (
    'pyserini-optical align encoders/optical-sw "Nani aliandika wimbo?" "Who wrote the song?" '
    "--coupling ipot greedy --plot plan.html"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("encoder", metavar="ENCODER", help="checkpoint: folder, hub name or package:NAME/FOLDER")
    parser.add_argument("foreign", metavar="FOREIGN", help="sentence that the student reads")
    parser.add_argument("english", metavar="ENGLISH", help="its translation, which the document model reads")
    parser.add_argument(
        "--coupling",
        dest="couplings",
        metavar="NAME",
        nargs="+",
        default=["ipot"],
        help="couplings by the names that recipes use, side by side (default: ipot)",
    )
    parser.add_argument("--plot", metavar="FILE", help="draw heat maps and bipartite pictures, as .svg or .html")


def run(args: argparse.Namespace) -> None:
    """Align; print the words, and the picture's path."""
    from pyserini_optical.evaluate.matching import align
    from pyserini_optical.evaluate.matching_pictures import to_terminal
    from pyserini_optical.progress import results

    pair = align(args.encoder, args.foreign, args.english, args.couplings, plot=args.plot)
    console = results()
    console.print(to_terminal(pair))
    if args.plot:
        console.print(args.plot, markup=False)
