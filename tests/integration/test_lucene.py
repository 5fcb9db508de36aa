from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from pyserini_optical.data import write_run
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.integration import analyzer_for, bm25_index, bm25_search, trec_eval
from pyserini_optical.integration.lucene import bm25_record

PASSAGES = [
    ("007", "Bees", "Bees dance, bees sing."),
    ("d1", "Tides", "The moon raises the tides."),
    ("d2", "", "मधुमक्खियाँ नाचती हैं 🐝"),
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "passages.jsonl.xz"
    with lzma.open(path, "wt", encoding="utf-8") as file:
        for name, title, text in PASSAGES:
            file.write(json.dumps({"id": name, "title": title, "text": text}) + "\n")
    return path


def test_index_and_search_keep_ids_and_name_the_analyzer(corpus: Path, tmp_path: Path) -> None:
    index = tmp_path / "indexes" / "en"
    record = bm25_index(corpus, index, "en")
    assert (record.analyzer, record.fields, record.passages) == ("DefaultEnglishAnalyzer", ("text",), 3)
    assert bm25_record(index) == record
    run = bm25_search(index, {"01": "dancing bee", "1": "tides", "2": "Jupiter", "3": ""}, "en", k=2)
    assert {topic: list(hits) for topic, hits in run.items()} == {"01": ["007"], "1": ["d1"], "2": [], "3": []}
    assert list(bm25_search(index, {"hi": "🐝 मधुमक्खियाँ"})["hi"]) == ["d2"]
    assert sorted(path.name for path in index.parent.iterdir()) == ["en"]


@pytest.mark.parametrize("language", ["sw", "ha", "yo"])
def test_whitespace_analyzer_runs_on_both_sides(corpus: Path, tmp_path: Path, language: str) -> None:
    assert bm25_index(corpus, tmp_path / "index", language).analyzer == "WhitespaceAnalyzer"
    run = bm25_search(tmp_path / "index", {"as written": "Bees", "stemmed": "bee", "with its comma": "dance,"})
    assert {topic: list(hits) for topic, hits in run.items()} == {
        "as written": ["007"],
        "stemmed": [],
        "with its comma": ["007"],
    }


def test_analyzers_by_language(corpus: Path, tmp_path: Path) -> None:
    assert analyzer_for("es") == "SpanishAnalyzer"
    assert analyzer_for("so") == "WhitespaceAnalyzer"
    assert analyzer_for("en") == analyzer_for("xx") == analyzer_for("SW") == "DefaultEnglishAnalyzer"
    for language in ("hi", "zh", "xx"):
        assert bm25_index(corpus, tmp_path / language, language).analyzer == analyzer_for(language)


def test_titles_are_indexed_on_demand(corpus: Path, tmp_path: Path) -> None:
    bm25_index(corpus, tmp_path / "both", "hi", fields=("title", "text"))
    assert list(bm25_search(tmp_path / "both", {"1": "Tides"})["1"]) == ["d1"]
    with pytest.raises(InputError, match="passage d2 has no title"):
        bm25_index(corpus, tmp_path / "titles", fields=["title"])
    assert not (tmp_path / "titles").exists()
    with pytest.raises(InputError, match="author"):
        bm25_index(corpus, tmp_path / "titles", fields=("author",))


def test_wrong_use_is_said(corpus: Path, tmp_path: Path) -> None:
    bm25_index(corpus, tmp_path / "index", "hi")
    with pytest.raises(CheckpointError, match=r"'hi' \(HindiAnalyzer\), not 'en'"):
        bm25_search(tmp_path / "index", {"1": "x"}, "en")
    with pytest.raises(InputError, match="is there already"):
        bm25_index(corpus, tmp_path / "index", "en")
    with pytest.raises(InputError, match="no such file"):
        bm25_index(tmp_path / "absent.jsonl", tmp_path / "other")
    with pytest.raises(InputError, match="cannot be written"):
        bm25_index(corpus, corpus / "inside")
    assert not (tmp_path / "other").exists()
    (tmp_path / "index" / "bm25.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"bm25\.json: missing or damaged"):
        bm25_search(tmp_path / "index", {"1": "x"})


def test_trec_eval(tmp_path: Path) -> None:
    qrels, run = tmp_path / "qrels.txt.xz", tmp_path / "run.txt.gz"
    with lzma.open(qrels, "wt") as file:
        file.write("01 0 d1 1\n1 0 d2 1\n3 0 d9 1\n")
    write_run(run, {"01": {"d1": 2.0, "d2": 1.0}, "1": {"d1": 2.0, "d2": 1.0}}, "test")
    values = trec_eval(qrels, run, ["recip_rank", "ndcg_cut.10"])
    assert values["recip_rank"] == {"01": 1.0, "1": 0.5, "all": 0.5}
    assert values["ndcg_cut_10"] == {"01": 1.0, "1": 0.6309, "all": 0.5436}
    assert trec_eval(qrels, run, ["recip_rank"], depth=1)["recip_rank"]["all"] == 0.3333
    assert trec_eval(qrels, run, ["official"])["recip_rank"]["all"] == values["recip_rank"]["all"]
    with pytest.raises(InputError, match="nonsense"):
        trec_eval(qrels, run, ["nonsense"])
