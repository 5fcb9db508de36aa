"""The benchmarks of speed and growth in a short form: that they run and compare what they say, not how fast it is."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from pyserini_optical.models.device import has_fast_bfloat16


def run(name: str, *arguments: object) -> dict[str, Any]:
    """Run a benchmark; give what it keeps."""
    *_, output = arguments
    assert importlib.import_module(name).main([str(argument) for argument in arguments]) == 0
    content: dict[str, Any] = json.loads(Path(str(output)).read_text(encoding="utf-8"))
    assert content["versions"]
    assert content["machine"]["threads"]
    return content


def test_distillation(tmp_path: Path, tiny: Path, toy_files: tuple[Path, Path]) -> None:
    small = ["--teacher", tiny, "--pairs", 200, "--rounds", 2]
    rows = run("distillation", *toy_files, *small, "--output", tmp_path / "made.json")["rows"]
    assert [row["way"] for row in rows] == ["transport (IPOT)", "sentence MSE", "sentence-transformers", "ours"]
    assert all(row["seconds"] > 0 and math.isfinite(row["ratio"]) for row in rows)
    assert rows[1]["ratio"] == rows[2]["ratio"] == 1
    # Ours stopped because it was as good, or because the pairs were at an end.
    assert rows[3]["error x 100"] <= rows[2]["error x 100"] or rows[3]["pairs"] >= 200


def test_encoding(tmp_path: Path, tiny: Path, toy_collection: Path) -> None:
    topics, qrels = toy_collection / "topics.en.tsv", toy_collection / "qrels.txt"
    judged = ["--topics", topics, "--qrels", qrels, "--encoder", tiny, "--passages", 30]
    made = run("encoding", toy_collection / "corpus.jsonl", *judged, "--output", tmp_path / "made.json")
    assert (made["passages"], made["topics"]) == (30, 30)
    ours, stock = made["rows"]
    assert stock["way"] == "pyserini.encode"
    # Mean pooling and unit length on both sides: the same vectors, so the same ranking.
    assert ours["nDCG@10"] == pytest.approx(stock["nDCG@10"], abs=2e-2 if has_fast_bfloat16("cpu") else 1e-6)
    assert ours["nDCG@10"] > 0.1
    assert ours["peak MiB"] > 100


def test_searching(tmp_path: Path, tiny: Path, toy_collection: Path) -> None:
    from pyserini_optical.retrieve import encode_corpus

    encode_corpus(str(tiny), toy_collection / "corpus.jsonl", tmp_path / "index")
    small = ["--encoder", tiny, "--hits", 10, "--rounds", 1]
    where = [tmp_path / "index", toy_collection / "topics.en.tsv"]
    rows = run("searching", *where, *small, "--output", tmp_path / "made.json")["rows"]
    assert [row["way"] for row in rows if row["way"] != "launcher"] == ["ours", *["ours", "pyserini.search.faiss"] * 3]
    assert all(row["seconds"] > 0 for row in rows)


def test_growth(tmp_path: Path, minilm: str, toy_collection: Path, toy_files: tuple[Path, Path]) -> None:
    import growth

    files = ["--bitext", toy_files[0], "--corpus", toy_collection / "corpus.jsonl"]
    plot = tmp_path / "growth.svg"
    rows = run("growth", *files, "--most", 10, "--passages", 40, "--plot", plot, "--output", tmp_path / "made.json")
    assert [(row["work"], row["size"]) for row in rows["rows"]] == [("search, queries", 1), ("search, queries", 10)]
    assert all(row["peak MiB"] > 50 for row in rows["rows"])
    assert "<svg" in plot.read_text(encoding="utf-8")
    series = [{"size": 10**k, "seconds": 3.0 * 10 ** (2 * k)} for k in range(4)]
    assert growth.exponent(series) == pytest.approx(2)
    assert growth.exponent(series[:1]) is None


def test_growth_of_a_start(tmp_path: Path, minilm: str, toy_files: tuple[Path, Path]) -> None:
    import growth
    from measuring import random_teacher

    given = argparse.Namespace(bitext=str(toy_files[0]), teacher=tmp_path / "teacher")
    random_teacher(given.teacher)
    growth.start(given, 300, tmp_path)()
    assert (tmp_path / "student" / "model.safetensors").is_file()


def test_repeated_texts_are_not_the_same() -> None:
    from growth import repeated

    texts = list(repeated(["one two three four", "five"], 4))
    assert texts[:2] == ["one two three four", "five"]
    assert texts[2] != texts[0]
    assert sorted(texts[2].split()) == sorted(texts[0].split())
    assert texts[3] == "five"


def test_the_memory_is_that_of_the_process_alone() -> None:
    from measuring import process

    kept = bytearray(200 << 20)
    kept[::4096] = b"x" * len(kept[::4096])
    assert process([sys.executable, "-S", "-c", "pass"]).peak_mib < 60


def test_a_process_that_fails_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    from measuring import guarded, optical, process

    assert guarded(lambda: print(process(optical("encode", "nowhere", "none.jsonl", "index")))) == 1
    said = capsys.readouterr().err
    assert "ended with status 1" in said.splitlines()[-1]
    assert "Traceback" not in said


def test_sizes(tmp_path: Path, tiny: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(
        "".join(json.dumps({"id": str(n), "text": "the old farmer sees a river"}) + "\n" for n in range(600))
    )
    made = run("sizes", corpus, "--encoder", tiny, "--passages", 512, "--output", tmp_path / "made.json")
    sizes = {row["kind"]: row["bytes a passage"] for row in made["rows"]}
    assert len(sizes) == 6
    # A byte for every 8 of 32 dimensions, and an id of at most three digits on its line.
    assert 32 * 4 + 2 <= sizes["index, flat"] <= 32 * 4 + 5
    assert 4 + 2 <= sizes["index, pq"] <= 4 + 5
    assert sizes["token store, float16"] > sizes["token store, 4-bit"] > sizes["token store, 2-bit"]
    # Six words, of which none is cut, and the two markers at most.
    assert 6 <= made["tokens a passage"] <= 8
