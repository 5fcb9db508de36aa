"""``pyserini-optical translate``: topics or a corpus in another language."""

from __future__ import annotations

import argparse

HELP = "translate topics, or a JSONL corpus, by a model, rules, a word list or a bitext; goes on where it was cut off"
EXAMPLE = "pyserini-optical translate dictionary:sw-en.tsv topics.sw.tsv topics.en.tsv --reference topics.human.tsv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "translator",
        metavar="TRANSLATOR",
        help="marian:MODEL, apertium:PAIR, dictionary:FILE, table:FILE, learned:BITEXT or glosses:CHECKPOINT; "
        "options as ?key=value",
    )
    parser.add_argument("source", metavar="TOPICS", help="file with a line `id<TAB>text` a topic, or a JSONL corpus")
    parser.add_argument("output", metavar="OUT", help="file to write (.gz and .xz are compressed)")
    parser.add_argument("--reference", metavar="FILE", help="topics in the target language: print BLEU and chrF")
    parser.add_argument(
        "--work", default="work", metavar="DIR", help="folder for finished translations, as of study (default: work)"
    )


def run(args: argparse.Namespace) -> None:
    """Translate; print the output's path, and the quality."""
    from pyserini_optical.translation import translate

    quality = translate(args.translator, args.source, args.output, reference=args.reference, work=args.work)
    print(args.output)
    if quality is not None:
        print(quality)
