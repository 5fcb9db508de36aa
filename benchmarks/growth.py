"""How cost grows with size: bitext, corpus and query batch, as a fitted exponent and a picture.

For example::

    python benchmarks/growth.py --bitext ../shared/data/bitext/de-en.tsv.xz \\
        --corpus ../shared/data/corpus/wikipedia-en.jsonl.xz --output growth.json --plot growth.svg

Three series: a student's start (vocabulary, table, plans) by sentence pairs; a Faiss index by passages; a search by
queries, over an index of ``--passages`` passages. Where more is wanted than a file has, it is repeated, with two words
of each text exchanged. The models are random and small, of MiniLM's 384 dimensions: what grows is what this project
wrote. Each size runs in a process of its own; its seconds are those of the work, without imports and without loading.
The exponent is the slope of log seconds over log size from the middle size on, where what is constant matters less;
1 is linear.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from measuring import Row, finish, guarded, process, random_teacher

from pyserini_optical.data import read_bitext, read_corpus, write_beside, write_text

SIZES = {
    "start, sentence pairs": (1_000, 3_000, 10_000, 30_000, 100_000),
    "encode, passages": (1_000, 10_000, 27_337, 100_000, 300_000, 1_000_000),
    "search, queries": (1, 10, 100, 300, 1_000),
}
DIMENSION, WORDS = 384, 12


def repeated(texts: Sequence[str], count: int) -> Iterator[str]:
    """Give so many texts of at most twelve words; from the second time on two words of each are exchanged."""
    draw = random.Random(0)
    for number in range(count):
        words = texts[number % len(texts)].split()[:WORDS]
        if number >= len(texts) and len(words) > 1:
            i, j = draw.sample(range(len(words)), 2)
            words[i], words[j] = words[j], words[i]
        yield " ".join(words)


def start(given: argparse.Namespace, size: int, folder: Path) -> Callable[[], object]:
    """Make a student's start."""
    from pyserini_optical.distillation import Recipe, distill
    from pyserini_optical.distillation.recipe import StudentRecipe, TrainingRecipe

    pairs = read_bitext(given.bitext)
    sides = [repeated([getattr(pair, side) for pair in pairs], size) for side in ("foreign", "english")]
    bitext = folder / "bitext.tsv"
    with write_text(bitext) as file:
        file.writelines(f"{foreign}\t{english}\n" for foreign, english in zip(*sides, strict=True))
    student = StudentRecipe(vocabulary=8_000, start="plans")
    training = TrainingRecipe(epochs=0, max_length=32)
    recipe = Recipe("student", str(given.teacher), [str(bitext)], [], student=student, training=training)
    return lambda: distill(recipe, folder / "student")


def encode(given: argparse.Namespace, size: int, folder: Path) -> Callable[[], object]:
    """Encode a corpus."""
    from pyserini_optical.models import load_encoder
    from pyserini_optical.retrieve import encode_corpus

    corpus = folder / "corpus.jsonl"
    with write_text(corpus) as file:
        for number, text in enumerate(repeated([passage.text for passage in read_corpus(given.corpus)], size)):
            file.write(json.dumps({"id": str(number), "text": text}) + "\n")
    encoder = load_encoder(str(given.teacher))
    return lambda: encode_corpus(encoder, corpus, folder / "index")


def search(given: argparse.Namespace, size: int, folder: Path) -> Callable[[], object]:
    """Search an index that is there."""
    from pyserini_optical.models import load_encoder
    from pyserini_optical.retrieve import search

    texts = [passage.text for passage in read_corpus(given.corpus)]
    topics = {str(number): text for number, text in enumerate(repeated(texts, size))}
    encoder = load_encoder(str(given.teacher))
    encoder.encode_queries(["first"])
    return lambda: search(encoder, given.index, topics, folder / "run.txt")


WORKS = dict(zip(SIZES, (start, encode, search), strict=True))


def one(given: argparse.Namespace) -> None:
    """Do one work at one size, and keep its seconds."""
    work, size = given.one
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        ready = WORKS[work](given, int(size), Path(folder))
        begun = time.perf_counter()
        ready()
        given.output.write_text(str(time.perf_counter() - begun))


def measure(given: argparse.Namespace, arguments: Sequence[str], folder: Path) -> Row:
    """Do every work at every size, each in a process of its own."""
    random_teacher(folder / "teacher", DIMENSION)
    made = ["--teacher", str(folder / "teacher"), "--index", str(folder / "index"), "--scratch", str(folder)]
    given.teacher = folder / "teacher"
    encode(given, given.passages, folder)()
    rows: list[Row] = []
    for work, sizes in SIZES.items():
        for size in (size for size in sizes if size <= given.most):
            told = folder / "seconds"
            child = [sys.executable, __file__, *arguments, *made, "--output", str(told), "--one", work, str(size)]
            cost = process(child)
            rows.append({"work": work, "size": size, "seconds": float(told.read_text()), "peak MiB": cost.peak_mib})
    for row in rows:
        row["exponent from the middle size on"] = exponent([other for other in rows if other["work"] == row["work"]])
    return {"passages": given.passages, "rows": rows}


def exponent(rows: Sequence[Row]) -> float | None:
    """Give the slope of log seconds over log size in the upper half of the sizes."""
    upper = rows[len(rows) // 2 :]
    if len(upper) < 2:
        return None
    slope, _ = np.polyfit(np.log([row["size"] for row in upper]), np.log([row["seconds"] for row in upper]), 1)
    return float(slope)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw seconds over size, both logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for work in dict.fromkeys(row["work"] for row in rows):
        series = [row for row in rows if row["work"] == work]
        slope = series[-1]["exponent from the middle size on"]
        label = work if slope is None else f"{work} (exponent {slope:.2f})"
        axes.loglog([row["size"] for row in series], [row["seconds"] for row in series], marker="o", label=label)
    axes.set_xlabel("size")
    axes.set_ylabel("seconds")
    axes.grid(alpha=0.3)
    axes.legend()
    # Without the date, so that the same figures give the same file.
    with write_beside(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table, write JSON and a picture."""
    typed = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--bitext", metavar="FILE", required=True)
    parser.add_argument("--corpus", metavar="FILE", required=True)
    parser.add_argument("--most", type=int, default=1_000_000, help="leave larger sizes out (default: 1,000,000)")
    parser.add_argument("--passages", type=int, default=27_337, help="that are searched (default: 27,337)")
    parser.add_argument("--output", metavar="FILE", type=Path, help="JSON")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="SVG")
    for hidden in ("--teacher", "--index", "--scratch"):
        parser.add_argument(hidden, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(typed)
    if given.one:
        return guarded(lambda: one(given))

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            content = measure(given, typed, Path(folder))
        finish(content, given.output)
        if given.plot:
            draw(content["rows"], given.plot)

    return guarded(whole)


if __name__ == "__main__":
    sys.exit(main())
