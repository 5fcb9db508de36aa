from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "articles.py"


def test_every_passage_of_a_relevant_article_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("benchmark_articles", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    titles = {"a1": "Nile", "b1": "Lake Chad", "a2": "Nile", "c1": "", "c2": ""}
    corpus, qrels, output = (tmp_path / name for name in ("corpus.jsonl", "qrels.txt", "articles.txt"))
    corpus.write_text(
        "".join(json.dumps({"id": one, "title": title, "text": "water"}) + "\n" for one, title in titles.items())
    )
    qrels.write_text("1 0 a2 1\n1 0 b1 0\n2 0 c1 1\n3 0 b1 1\n3 0 a1 2\n4 0 b1 0\n")
    assert module.main([str(qrels), str(corpus), str(output)]) == 0
    found = [line.split() for line in output.read_text().splitlines()]
    assert {(topic, passage) for topic, _, passage, grade in found if grade == "1"} == {
        *(("1", "a1"), ("1", "a2"), ("2", "c1"), ("3", "b1"), ("3", "a1"), ("3", "a2"))
    }
    # What is judged irrelevant stays: a topic with nothing else counts as zero, as it did.
    assert [(topic, passage) for topic, _, passage, grade in found if grade == "0"] == [("1", "b1"), ("4", "b1")]

    output.unlink()
    qrels.write_text("1 0 elsewhere 1\n")
    assert module.main([str(qrels), str(corpus), str(output)]) == 1
    assert "passage 'elsewhere' of topic '1' is not in" in capsys.readouterr().err
    assert not output.exists()
