from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import count, made_up, write_corpus

from pyserini_optical.data import Pair, order_hits, read_run, write_run
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.models import load_encoder
from pyserini_optical.retrieve import encode_tokens, rerank, search
from pyserini_optical.retrieve.maxsim import maxsim

TEXTS = ["the old boat", "a new boat", "the old river", "nothing of that", "-", "quite another"]
TOPICS = {"007": "old boat", "7": "river"}
RUN = {
    "007": {"0003": 9.0, "0002": 8.0, "0001": 7.0, "0000": 6.0, "0004": 5.0},
    "7": {"0005": 2.0, "0004": 1.5, "0002": 1.0},
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus.jsonl", TEXTS)


@pytest.fixture
def store(corpus: Path, tmp_path: Path) -> Path:
    return encode_tokens(made_up(), corpus, tmp_path / "store")


def test_passages_with_the_querys_words_come_first(store: Path, tmp_path: Path) -> None:
    found = rerank(made_up(), store, TOPICS, RUN, tmp_path / "out.txt.gz", tag="mine")
    assert list(found) == ["007", "7"]
    assert next(iter(found["007"])) == "0000"
    assert next(iter(found["7"])) == "0002"
    assert found["007"]["0000"] == pytest.approx(2, abs=1e-3)
    assert found["007"]["0004"] == -2  # no token
    assert {topic: set(hits) for topic, hits in found.items()} == {topic: set(hits) for topic, hits in RUN.items()}
    written = read_run(tmp_path / "out.txt.gz")
    assert {topic: order_hits(hits) for topic, hits in written.items()} == {
        topic: order_hits(hits) for topic, hits in found.items()
    }


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_what_is_below_the_depth_keeps_its_order_and_stays_below(depth: int, store: Path) -> None:
    found = rerank(made_up(), store, TOPICS, RUN, depth=depth)
    for topic, hits in found.items():
        before = [passage for passage, _ in order_hits(RUN[topic])]
        after = [passage for passage, _ in order_hits(hits)]
        assert after == list(hits)
        assert set(after[:depth]) == set(before[:depth])
        assert after[depth:] == before[depth:]
        assert len(set(hits.values())) == len(hits)


def test_a_corpus_gives_what_its_store_gives_and_only_the_runs_passages_are_encoded(store: Path, corpus: Path) -> None:
    encoder = made_up()
    found = rerank(encoder, corpus, TOPICS, RUN, depth=2)
    assert count(encoder) == 4
    assert found == rerank(made_up(), store, TOPICS, RUN, depth=2)


def test_files_and_mappings_are_the_same(store: Path, tmp_path: Path) -> None:
    (tmp_path / "topics.tsv").write_text("".join(f"{topic}\t{text}\n" for topic, text in TOPICS.items()))
    write_run(tmp_path / "run.txt", RUN, "first")
    found = rerank(made_up(), store, tmp_path / "topics.tsv", tmp_path / "run.txt", tmp_path / "out.txt")
    assert found == rerank(made_up(), store, TOPICS, RUN)
    assert {line.split()[-1] for line in (tmp_path / "out.txt").read_text().splitlines()} == {"made-up"}


def test_searching_a_store_scores_every_passage(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyserini_optical.retrieve.searching._PASSAGES", 4)
    monkeypatch.setattr("pyserini_optical.retrieve.searching._QUERIES", 1)
    everything = {topic: dict.fromkeys((f"{number:04d}" for number in range(6)), 0.0) for topic in TOPICS}
    expected = rerank(made_up(), store, TOPICS, everything)
    for hits in (1000, 6, 3, 1):
        found = search(made_up(), store, TOPICS, tmp_path / "run.txt", hits=hits)
        for topic in TOPICS:
            best = order_hits(expected[topic])[:hits]
            assert [passage for passage, _ in order_hits(found[topic])] == [passage for passage, _ in best]
            assert found[topic] == pytest.approx(dict(best), abs=1e-5)
    assert search(made_up(), store, {}) == {}


def test_a_real_encoder_scores_as_its_token_vectors_do(tiny: Path, toy_pairs: list[Pair], tmp_path: Path) -> None:
    texts = [pair.english for pair in toy_pairs[:40]]
    corpus = write_corpus(tmp_path / "corpus.jsonl", texts)
    encoder = load_encoder(str(tiny), "cpu")
    query = "the old teacher sees a boat"
    passages = encoder.passage_tokens(texts)
    lengths = np.array([len(passage) for passage in passages])
    expected = maxsim(encoder.query_tokens([query]), np.concatenate(passages), lengths)[0]
    run = {"q": {f"{number:04d}": 1.0 for number in range(40)}}
    found = rerank(str(tiny), corpus, {"q": query}, run, device="cpu")["q"]
    assert [found[f"{number:04d}"] for number in range(40)] == pytest.approx(expected.tolist(), abs=1e-2)
    store = encode_tokens(encoder, corpus, tmp_path / "store", codes="4-bit")
    assert list(search(encoder, store, {"q": query}, hits=1)["q"]) == [next(iter(found))]


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        {"run": {"007": {"0009": 1.0}}},
        InputError,
        "passage '0009' of topic '007' is not in .*; give the corpus, token",
    ),
    ({"run": {"8": {"0001": 1.0}}}, InputError, "topic '8' has no text among the topics; give the topics of this run"),
    ({"depth": 0}, InputError, "depth 0 asked for; ask for one or more"),
    ({"tag": "two words"}, InputError, "run tag 'two words' holds white space"),
    ({"by": "guess"}, InputError, "unknown way to re-rank 'guess'; choose from maxsim, pooled"),
    ({"encoder": made_up(fingerprint="b")}, CheckpointError, "token vectors of another document encoder"),
    ({"encoder": made_up(dimension=8)}, CheckpointError, "has token vectors of 16 dimensions, made-up of 8"),
]


@pytest.mark.parametrize(("wish", "error", "problem"), BAD)
def test_bad_wishes(
    wish: dict[str, Any], error: type[Exception], problem: str, store: Path, corpus: Path, tmp_path: Path
) -> None:
    wish = {"encoder": made_up(), "run": RUN, **wish}
    for place in (store,) if error is CheckpointError else (store, corpus):
        with pytest.raises(error, match=problem) as caught:
            rerank(corpus=place, topics=TOPICS, output=tmp_path / "out.txt", **wish)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.txt").exists()


def test_the_runs_file_is_named(store: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "run.txt", {"7": {"none": 1.0}}, "first")
    with pytest.raises(InputError, match=r"run\.txt: passage 'none' of topic '7' is not in .*store"):
        rerank(made_up(), store, TOPICS, tmp_path / "run.txt")


def test_topics_without_hits_and_passages_below_the_depth_need_no_tokens(corpus: Path) -> None:
    found = rerank(made_up(), corpus, TOPICS, {"007": {}, "7": {"0001": 2.0, "unknown": 1.0}}, depth=1)
    assert found["007"] == {}
    assert list(found["7"]) == ["0001", "unknown"]
    assert json.dumps(found)
