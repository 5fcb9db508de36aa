"""``pyserini-optical generate``: synthetic topics and qrels for a corpus."""

from __future__ import annotations

import argparse

from pyserini_optical.errors import InputError

HELP = "write synthetic topics and qrels for a corpus, by a query generator; goes on where it was cut off"
EXAMPLE = "pyserini-optical generate encoders/query-generator corpus.jsonl topics.tsv qrels.txt --language sw"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("generator", metavar="GENERATOR", help="query generator: a folder, or a hub name")
    parser.add_argument("corpus", metavar="CORPUS", help="JSONL file, or folder of such")
    parser.add_argument("topics", metavar="OUT_TOPICS", help="file to write, `id<TAB>question` a line")
    parser.add_argument("qrels", metavar="OUT_QRELS", help="file to write: which passage each question is about")
    parser.add_argument("--language", required=True, metavar="CODE", help="language of the questions, such as sw")
    parser.add_argument("--number", type=int, default=1, metavar="N", help="questions a passage (default: 1)")
    parser.add_argument("--passages", type=int, metavar="N", help="so many passages, drawn (default: all)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of drawing and sampling (default: 0)")
    parser.add_argument("--beam", type=int, metavar="N", help="beam search with N beams (default: sampling)")
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T", help="of sampling (default: 1)")
    parser.add_argument("--top-p", type=float, default=0.95, metavar="P", help="of sampling (default: 0.95)")
    parser.add_argument(
        "--examples",
        nargs="+",
        metavar="CODE=TOPICS",
        help="topics by language: leave out questions that look more like another language than CODE",
    )
    parser.add_argument(
        "--round-trip",
        nargs=2,
        metavar=("ENCODER", "INDEX"),
        help="leave out questions whose passage this encoder does not find again",
    )
    parser.add_argument("--top", type=int, default=20, metavar="K", help="with --round-trip: among K (default: 20)")


def run(args: argparse.Namespace) -> None:
    """Generate; print the files and what was kept."""
    from pyserini_optical.generation import Generation, RoundTrip, generate
    from pyserini_optical.models.query_generator import Decoding

    beam = args.beam is not None
    decoding = Decoding("beam" if beam else "sample", args.temperature, args.top_p, *([args.beam] if beam else []))
    report = generate(
        args.generator,
        args.corpus,
        args.topics,
        args.qrels,
        language=args.language,
        setting=Generation(args.passages, args.number, decoding),
        seed=args.seed,
        examples=_examples(args.examples or []),
        round_trip=RoundTrip(args.round_trip[0], args.round_trip[1], args.top) if args.round_trip else None,
    )
    print(f"{args.topics}\n{args.qrels}\n{report}")


def _examples(given: list[str]) -> dict[str, str]:
    found = {}
    for each in given:
        language, equals, path = each.partition("=")
        if not language or not equals or not path:
            raise InputError(f"--examples {each}", remedy="write CODE=TOPICS, such as sw=topics.sw.tsv")
        found[language] = path
    return found
