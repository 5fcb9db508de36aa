"""The benchmark of late interaction in a short form: that it still runs and says what it should, not how fast it is."""

from __future__ import annotations

import importlib.util
import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from pyserini_optical.data import Pair


def load() -> Any:
    path = Path(__file__).parents[2] / "benchmarks" / "late_interaction.py"
    spec = importlib.util.spec_from_file_location("benchmark_late_interaction", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def data(toy_pairs: list[Pair], tmp_path: Path) -> Path:
    """Passages of the toy language in the layout of the real data; each topic asks for its own words."""
    texts = [pair.english for pair in toy_pairs]
    (tmp_path / "corpus").mkdir()
    (tmp_path / "topics" / "mlqa-r").mkdir(parents=True)
    lines = [json.dumps({"id": f"{number}", "text": text}) for number, text in enumerate(texts)]
    (tmp_path / "corpus" / "wikipedia-en.jsonl.xz").write_bytes(lzma.compress("\n".join(lines).encode()))
    folder = tmp_path / "topics" / "mlqa-r"
    (folder / "en.tsv").write_text("".join(f"q{number}\t{texts[number]}\n" for number in range(200, 212)))
    (folder / "qrels.txt").write_text("".join(f"q{number} 0 {number} 1\n" for number in range(200, 212)))
    return tmp_path


def test_every_way_is_measured(
    data: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = load()
    monkeypatch.setattr(benchmark, "SHAPES", ((10, 3, 8),))
    monkeypatch.setattr(benchmark, "DEPTHS", (5, 20, 270))
    arguments = ["--data", str(data), "--encoder", str(tiny), "--work", str(data / "work")]
    wish = ["--queries", "6", "--limit", "270", "--output", str(data / "out.json")]
    assert benchmark.main([*arguments, *wish]) == 0
    content = json.loads((data / "out.json").read_text())
    rows = {row["way"]: row for row in content["rows"]}
    assert content["topics"] == {"name": "mlqa-r", "number": 6}
    exact = rows["exact, float16"]
    ratios = ("kept_of_exact_100", "of_exact_recall", "of_exact_time", "of_exact_time_singly")
    assert all(exact[ratio] == 1 for ratio in ratios)
    assert exact["mrr_10"] > 0.99  # a passage is found by its own words
    assert (exact["of_float32_bytes"], exact["mrr_10_lost"]) == (pytest.approx(0.5, rel=0.01), 0)
    assert rows["exact, 4-bit"]["kept_of_exact_100"] > 0.9
    assert exact["store_bytes"] > 3 * rows["exact, 4-bit"]["store_bytes"] > 4 * rows["exact, 2-bit"]["store_bytes"]
    flat = {way.split("rerank ")[1]: row for way, row in rows.items() if "flat + rerank" in way}
    assert set(flat) == {"5, float16", "20, float16", "270, float16", "270, 4-bit", "270, 2-bit"}
    assert flat["270, float16"]["kept_of_exact_100"] == pytest.approx(1, abs=0.02)
    assert {way.split()[2].strip(",") for way in rows if way.startswith("FDE")} == {"flat", "hnsw", "pq"}
    assert flat["270, float16"]["recall_100"] == 1  # as above
    assert all(row["milliseconds"] > 0 and row["milliseconds_singly"] > 0 for row in rows.values())
    out = capsys.readouterr().out
    assert out.count("\n") == len(rows) + 2
    assert {path.name for path in (data / "work" / "mlqa-r-270").iterdir()} == {"corpus.jsonl", "tokens"}


def test_missing_data_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load().main(["--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith("no such file; check the path\n")
