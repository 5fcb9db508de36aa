"""What a user does with Pyserini, in a process of its own; what came out is written as JSON.

Usage: ``python scenario.py WORK CHECKPOINT``, the Pyserini to be tried first on ``PYTHONPATH``. ``WORK`` holds
``corpus/passages.jsonl``, ``lucene/passages.jsonl``, ``topics.tsv``, ``queries.jsonl`` and ``qrels.txt``. Network
connections are refused and listed.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import socket
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

attempts: list[str] = []


def refuse_network() -> None:
    """Let every look-up and connection fail at once, and remember it."""

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        attempts.append(str(host))
        raise socket.gaierror("no network in this test")

    def connect(self: socket.socket, address: Any) -> None:
        attempts.append(str(address))
        raise OSError("no network in this test")

    socket.getaddrinfo = resolve
    socket.socket.connect = connect  # type: ignore[method-assign,assignment]


def stock(module: str, arguments: str) -> None:
    """Run a module of Pyserini as it is."""
    sys.argv = [module, *arguments.split()]
    runpy.run_module(f"pyserini.{module}", run_name="__main__")


def optical(arguments: str) -> int:
    """Run ``pyserini-optical pyserini ARGUMENTS``; give its exit status."""
    from pyserini_optical.cli import pyserini as command

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    try:
        command.run(parser.parse_args(arguments.split()))
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def stock_steps(checkpoint: str) -> None:
    """Encode and search with Pyserini's own classes."""
    from pyserini_optical.integration.java import ensure_java
    from pyserini_optical.integration.versions import mend_imports

    ensure_java()
    mend_imports()
    auto = f"--encoder {checkpoint} --encoder-class auto --pooling mean --l2-norm --device cpu"
    stock("encode", f"input --corpus corpus output --embeddings stock encoder {auto}")
    stock("encode", f"input --corpus corpus output --embeddings stock-index --to-faiss encoder --dimension 384 {auto}")
    stock("search.faiss", f"--index stock-index --topics topics.tsv --output stock.run --hits 5 {auto}")


def optical_steps(checkpoint: str) -> dict[str, int]:
    """Do all by ``pyserini-optical pyserini``."""
    output = "input --corpus corpus --fields title text output --embeddings"
    fields = "--encoder-class optical --fields title text"
    encoder = f"--encoder {checkpoint} --device cpu --batch-size 4"
    search = f"--topics topics.tsv --hits 5 --encoder {checkpoint} --device cpu"
    hybrid = f"dense --index index --encoder {checkpoint} --encoder-class optical --device cpu sparse --index bm25"
    steps = {
        "encode": f"encode {output} vectors encoder {encoder} --encoder-class optical",
        "encode to faiss": f"encode {output} index --to-faiss encoder {encoder} {fields}",
        "encode inferred": f"encode {output} inferred encoder {encoder}",
        "search.faiss": f"search.faiss --index index --output dense.run --encoder-class optical {search}",
        "search.faiss inferred": f"search.faiss --index index --output inferred.run {search} --batch-size 2",
        "search.faiss raw": "search.faiss --index index --output raw.run --topics queries.jsonl "
        f"--topics-format raw_jsonl --hits 5 --encoder {checkpoint} --encoder-class optical --device cpu",
        "encode.query": f"encode.query --topics topics.tsv --output encoded/embedding.pkl --encoder {checkpoint}",
        "search.faiss encoded": "--unpickle search.faiss --index index --topics topics.tsv "
        "--encoded-queries encoded --hits 5 --output encoded.run",
        "index.lucene": "index.lucene -collection JsonCollection -input lucene -index bm25 -threads 1 "
        "-generator DefaultLuceneDocumentGenerator -storeRaw -quiet",
        "search.lucene": "search.lucene --index bm25 --topics topics.tsv --output bm25.run --bm25 --hits 5",
        "search.hybrid": f"search.hybrid {hybrid} fusion run --topics topics.tsv --output hybrid.run --hits 5",
        "fusion": "fusion --method rrf --runs dense.run bm25.run --output fused.run",
        "eval.trec_eval": "eval.trec_eval -c -m recip_rank qrels.txt dense.run",
        "--help": "search.faiss --help",
        "wrong use": "search.faiss --no-such-option",
    }
    os.makedirs("encoded")
    return {name: optical(arguments) for name, arguments in steps.items()}


def searcher_steps(checkpoint: str) -> dict[str, Any]:
    """Use the searchers from Python."""
    from pyserini.encode import document_encoder_class_map, query_encoder_class_map
    from pyserini.search.faiss import FaissSearcher

    from pyserini_optical.integration import OpticalQueryEncoder, bm25_index, bm25_search, trec_eval
    from pyserini_optical.integration.lucene import bm25_record

    topics = dict(line.rstrip("\n").split("\t") for line in Path("topics.tsv").read_text("utf-8").splitlines())

    def search(encoder: Any) -> dict[str, list[str]]:
        searcher = FaissSearcher("index", encoder)
        return {topic: [hit.docid for hit in searcher.search(text, 5)] for topic, text in topics.items()}

    bm25_index("corpus", "own-bm25", "en", fields=("text",))
    return {
        "classes": [next(iter(document_encoder_class_map)), next(iter(query_encoder_class_map))],
        "object": search(OpticalQueryEncoder(checkpoint)),
        "string": search(checkpoint),
        "bm25": {topic: list(hits) for topic, hits in bm25_search("own-bm25", topics, "en", 5).items()},
        "analyzer": bm25_record("own-bm25").analyzer,
        "trec_eval": trec_eval("qrels.txt", "dense.run", ["recip_rank"], depth=5),
    }


def main() -> None:
    """Go through all steps."""
    work, checkpoint = sys.argv[1:]
    os.chdir(work)
    refuse_network()
    seconds: dict[str, float] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = step()
        seconds[name] = round(time.perf_counter() - start, 1)
        return result

    timed("stock", lambda: stock_steps(checkpoint))
    status = timed("optical", lambda: optical_steps(checkpoint))
    found = timed("python", lambda: searcher_steps(checkpoint))
    import pyserini

    outcome = {
        "version": metadata.version("pyserini"),
        "home": str(Path(str(pyserini.__file__)).parent),
        "key": os.environ.get("OPENAI_API_KEY"),
        "attempts": attempts,
        "status": status,
        "seconds": seconds,
        **found,
    }
    Path("outcome.json").write_text(json.dumps(outcome), "utf-8")


if __name__ == "__main__":
    main()
