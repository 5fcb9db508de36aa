from __future__ import annotations

import importlib.util
import json
import lzma
from pathlib import Path

import pytest

from pyserini_optical.data import Pair

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "lareqa.py"


@pytest.fixture
def data(toy_pairs: list[Pair], tmp_path: Path) -> Path:
    """A question for each sentence that says just the same, so that a reader of one language finds one answer."""
    (tmp_path / "lareqa").mkdir()
    (tmp_path / "topics" / "xquad").mkdir(parents=True)
    for side, name in (("foreign", "xx"), ("english", "en")):
        sentences = [getattr(pair, side) for pair in toy_pairs[:40]]
        text = "".join(f"{name}-{n:02}\t{sentence}\n" for n, sentence in enumerate(sentences))
        (tmp_path / "lareqa" / f"{name}.sentences.tsv.xz").write_bytes(lzma.compress(text.encode()))
        questions = "".join(f"q{n:02}\t{sentence}\n" for n, sentence in enumerate(sentences))
        (tmp_path / "topics" / "xquad" / f"{name}.tsv").write_text(questions)
    judged = (f"q{n:02} 0 {name}-{n:02} 1\n" for n in range(40) for name in ("xx", "en", "zz"))
    (tmp_path / "lareqa" / "qrels.txt").write_text("".join(judged))
    return tmp_path


def test_lareqa(data: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("benchmark_lareqa", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    output = tmp_path / "report.json"
    usual = [f"same={tiny}", "--data", str(data), "--output", str(output)]
    assert module.main([*usual, "--language", "xx"]) == 0
    foreign, english = json.loads(output.read_text())["rows"]
    assert (foreign["questions"], english["questions"]) == ("xx", "en")
    for row in (foreign, english):
        assert (row["pool"], row["topics"]) == (80, 40)
        # The same sentence comes first, so at least half of the precision is there; a third language does not count.
        assert row["RR@10"] > 0.9
        assert 0.45 < row["AP@1000"] < 1
        assert 0 < row["RankDistance@1000"] <= 80
    assert foreign["first_in_foreign"] > 0.9 > 0.1 > english["first_in_foreign"]
    assert "| xx + en, 80 | same | xx |" in capsys.readouterr().out
    assert module.main([*usual, "--language", "yy"]) == 1
    assert "yy.sentences.tsv.xz" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        module.main(["nameless", *usual[1:], "--language", "xx"])
