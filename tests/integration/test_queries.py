from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyserini_optical.errors import InputError
from pyserini_optical.integration import bm25_index, bm25_search
from pyserini_optical.integration.analyzers import check_analyzer
from pyserini_optical.integration.lucene import bm25_record

PASSAGES = {
    "d1": "Bees dance, bees sing the blues.",
    "d2": "The moon raises the tides; bees sleep.",
    "d3": "Moon and moonlight.",
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "passages.jsonl"
    path.write_text("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in PASSAGES.items()))
    return path


def test_words_of_weight_one_are_the_text(corpus: Path, tmp_path: Path) -> None:
    bm25_index(corpus, tmp_path / "index")
    text, words, twice = bm25_search(
        tmp_path / "index",
        {
            "text": "the bees of the moon",
            "words": {"the": 1.0, "bees": 1.0, "moon": 1.0, "Jupiter": 1.0},
            "twice": {"bee": 0.5, "bees": 1.5, "moons": 2},
        },
    ).values()
    assert list(text) == ["d2", "d1", "d3"]
    assert words == pytest.approx(text, rel=1e-4)
    assert twice == pytest.approx({name: 2 * score for name, score in text.items()}, rel=1e-3)


def test_weights_decide_the_order(corpus: Path, tmp_path: Path) -> None:
    bm25_index(corpus, tmp_path / "index")
    queries = {"bees": {"bees": 0.9, "moon": 0.1}, "moon": {"bees": 0.1, "moon": 0.9}, "stop": {"the": 1.0}, "none": {}}
    found = bm25_search(tmp_path / "index", queries)
    assert next(iter(found["bees"])) == "d1"
    assert next(iter(found["moon"])) == "d3"
    assert found["stop"] == found["none"] == {}


def test_a_query_of_too_many_words_keeps_the_heaviest(corpus: Path, tmp_path: Path) -> None:
    bm25_index(corpus, tmp_path / "index")
    words = {f"word{n}": 0.1 for n in range(3000)} | {"bees": 0.2}
    assert set(bm25_search(tmp_path / "index", {"1": words})["1"]) == {"d1", "d2"}


def test_a_text_of_too_many_terms_keeps_the_most_frequent(corpus: Path, tmp_path: Path) -> None:
    bm25_index(corpus, tmp_path / "index")
    words = " ".join(f"word{n}" for n in range(3000))
    long, short = f"bees {words} bees", f"bees bees {'of the ' * 500}"
    found = bm25_search(tmp_path / "index", {"long": long, "short": short, "bees": "bees bees"})
    assert list(found["long"]) == list(found["bees"])
    assert found["long"] == pytest.approx(found["bees"], rel=1e-4)
    assert found["short"] == pytest.approx(found["bees"], rel=1e-4)
    with pytest.raises(InputError, match="0 hits asked for"):
        bm25_search(tmp_path / "index", {"1": "bees"}, k=0)


def test_other_settings_score_otherwise(corpus: Path, tmp_path: Path) -> None:
    bm25_index(corpus, tmp_path / "index")
    usual, other = (bm25_search(tmp_path / "index", {"1": "bees"}, k1=k1)["1"] for k1 in (0.9, 2.0))
    assert usual != other
    # Without length normalisation one term that stands once scores the same everywhere.
    flat = bm25_search(tmp_path / "index", {"1": "moon"}, b=0)["1"]
    assert flat["d2"] == pytest.approx(flat["d3"], abs=1e-3)


def test_the_standard_analyzer_lowers_case_and_keeps_every_form(corpus: Path, tmp_path: Path) -> None:
    record = bm25_index(corpus, tmp_path / "index", "sw", analyzer="standard")
    assert (record.language, record.analyzer) == ("sw", "DefaultEnglishAnalyzer (standard)")
    assert bm25_record(tmp_path / "index") == record
    found = bm25_search(tmp_path / "index", {"case": "BEES", "form": "bee", "stop": "The", "weights": {"Dance": 1.0}})
    assert {topic: set(hits) for topic, hits in found.items()} == {
        "case": {"d1", "d2"},
        "form": set(),
        "stop": {"d1", "d2"},
        "weights": {"d1"},
    }


def test_a_tokeniser_is_an_analyzer(corpus: Path, tiny: Path, tmp_path: Path) -> None:
    name = f"huggingface:{tiny / 'tokenizer.json'}"
    record = bm25_index(corpus, tmp_path / "index", "sw", analyzer=name)
    assert record.analyzer == f"HuggingFaceTokenizerAnalyzer ({name})"
    assert set(bm25_search(tmp_path / "index", {"1": "BEES"})["1"]) >= {"d1", "d2"}


@pytest.mark.parametrize("name", ["english", "huggingface:", "huggingface"])
def test_other_analyzers_are_refused(name: str, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown analyzer"):
        bm25_index(corpus, tmp_path / "index", analyzer=name)
    assert not (tmp_path / "index").exists()
    assert check_analyzer("") == ""
