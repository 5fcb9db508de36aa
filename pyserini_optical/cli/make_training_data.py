"""``pyserini-optical make-training-data``: English relevance labels as training data in another language."""

from __future__ import annotations

import argparse

HELP = "translate questions with relevance labels and find hard negatives, for fine-tune; goes on where it was cut off"
EXAMPLE = (
    "pyserini-optical make-training-data squad-train.tsv corpus.jsonl squad.es.jsonl --translator apertium:eng-spa "
    "--limit 6000"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "questions",
        metavar="QUESTIONS",
        help="English: `question<TAB>passage id<TAB>answer…` a line; with --qrels topics, `id<TAB>text`",
    )
    parser.add_argument("corpus", metavar="CORPUS", help="JSONL file, or flat directory of such")
    parser.add_argument("output", metavar="OUT", help="file to write, .jsonl, .jsonl.gz or .jsonl.xz")
    parser.add_argument("--qrels", metavar="FILE", help="what is relevant to the topics")
    parser.add_argument("--answers", metavar="FILE", help="`id<TAB>answer…` by topic; what holds one is no negative")
    parser.add_argument(
        "--translator",
        metavar="TRANSLATOR",
        help="from English: marian:MODEL, apertium:PAIR, dictionary:FILE?reverse=yes, learned:BITEXT?reverse=yes or "
        "table:TOPICS (default: the questions stay as they are)",
    )
    parser.add_argument(
        "--runs",
        metavar="RUN",
        nargs="+",
        default=[],
        help="TREC runs to take negatives from, by topic or by line number (default: BM25 searches)",
    )
    parser.add_argument(
        "--dense",
        metavar=("MODEL", "INDEX"),
        nargs=2,
        action="append",
        default=[],
        help="an encoder and its index or token store, to take negatives from too; may be repeated",
    )
    parser.add_argument("--negatives", type=int, default=20, help="negatives a question at most (default: 20)")
    parser.add_argument("--depth", type=int, default=50, help="hits of each list that are looked at (default: 50)")
    parser.add_argument("--limit", type=int, help="so many examples, drawn with the seed (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    parser.add_argument(
        "--work", default="work", metavar="DIR", help="folder for index and translations, as of study (default: work)"
    )


def run(args: argparse.Namespace) -> None:
    """Make the data; print its path."""
    from pyserini_optical.distillation import make_training_data

    made = make_training_data(
        args.questions,
        args.corpus,
        args.output,
        qrels=args.qrels,
        answers=args.answers,
        translator=args.translator,
        runs=args.runs,
        dense=[(model, index) for model, index in args.dense],
        negatives=args.negatives,
        depth=args.depth,
        limit=args.limit,
        seed=args.seed,
        work=args.work,
    )
    print(made)
