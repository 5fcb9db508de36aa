from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import made_up, write_corpus

from pyserini_optical.data import read_run
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.models import load_cross_encoder, load_encoder
from pyserini_optical.models.cross_encoder import start_cross_encoder
from pyserini_optical.models.transformer import save_transformer
from pyserini_optical.retrieve import encode_corpus, rerank, reranking

TOPICS = {"1": "the old boat", "2": "a new river"}
TEXTS = [
    f"the {adjective} {noun}" for adjective in ("old", "new", "red") for noun in ("boat", "river", "house", "road")
]
RUN = {topic: {f"{number:04d}": -float(number) for number in range(len(TEXTS))} for topic in TOPICS}


@pytest.fixture(scope="module")
def model(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained cross-encoder."""
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("cross") / "toy-cross"
    save_transformer(start_cross_encoder(str(tiny), 32, "cpu"), folder)
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus.jsonl", TEXTS)


def test_it_orders_as_the_cross_encoder_scores(model: Path, corpus: Path, tmp_path: Path) -> None:
    found = rerank(str(model), corpus, TOPICS, RUN, tmp_path / "out.txt", by="cross-encoder", depth=8, device="cpu")
    scorer = load_cross_encoder(str(model), "cpu")
    for topic, question in TOPICS.items():
        expected = scorer.scores([question] * 8, TEXTS[:8])
        assert [found[topic][f"{number:04d}"] for number in range(8)] == pytest.approx(expected.tolist(), abs=1e-5)
        assert list(found[topic])[:8] == [f"{number:04d}" for number in np.argsort(-expected)]
        assert list(found[topic])[8:] == [f"{number:04d}" for number in range(8, len(TEXTS))]
    assert list(read_run(tmp_path / "out.txt")["1"]) == list(found["1"])
    assert {line.split()[-1] for line in (tmp_path / "out.txt").read_text().splitlines()} == {"toy-cross"}
    assert rerank(scorer, corpus, TOPICS, RUN, by="cross-encoder", depth=8) == found
    assert {path.name for path in tmp_path.iterdir()} == {"corpus.jsonl", "out.txt"}


def test_after_a_kill_only_what_is_missing_is_scored(
    model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyserini_optical.retrieve.pair_scores._PART", 5)
    expected = rerank(str(model), corpus, TOPICS, RUN, by="cross-encoder", device="cpu")
    scorer = load_cross_encoder(str(model), "cpu")
    calls: list[int] = []

    def counted(scores: Callable[..., Any], fail_after: int) -> Callable[..., Any]:
        def call(questions: Sequence[str], passages: Sequence[str]) -> Any:
            if len(calls) == fail_after:
                raise KeyboardInterrupt
            calls.append(len(questions))
            return scores(questions, passages)

        return call

    usual = scorer.scores
    output = tmp_path / "out.txt"
    monkeypatch.setattr(scorer, "scores", counted(usual, 3))
    with pytest.raises(KeyboardInterrupt):
        rerank(scorer, corpus, TOPICS, RUN, output, by="cross-encoder")
    assert calls == [5, 5, 5]
    assert not output.exists()
    kept = tmp_path / ".out.txt.work"
    assert kept.is_dir()
    (kept / "000001.json").write_text("[1.0, 2")  # damaged: scored again
    calls.clear()
    monkeypatch.setattr(scorer, "scores", counted(usual, 99))
    found = rerank(scorer, corpus, TOPICS, RUN, output, by="cross-encoder")
    assert calls == [5, 5, 4]
    assert not kept.exists()
    for topic in TOPICS:
        assert list(found[topic]) == list(expected[topic])
        assert found[topic] == pytest.approx(expected[topic], abs=1e-5)


def test_scores_of_other_texts_do_not_serve(model: Path, corpus: Path, tmp_path: Path) -> None:
    scorer = load_cross_encoder(str(model), "cpu")
    work = tmp_path / ".out.txt.work"
    from pyserini_optical.data import Manifest

    work.mkdir()
    Manifest("score pairs", inputs={"model": scorer.fingerprint, "pairs": "others"}).save(work / "manifest.json")
    (work / "000000.json").write_text(json.dumps([9.0] * 24))
    found = rerank(scorer, corpus, TOPICS, RUN, tmp_path / "out.txt", by="cross-encoder")
    assert 9.0 not in found["1"].values()


def test_scores_are_kept_until_the_run_is_written(
    model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(reranking, "write_run", full)
        with pytest.raises(OSError, match="No space"):
            rerank(str(model), corpus, TOPICS, RUN, tmp_path / "out.txt", by="cross-encoder")
    assert (tmp_path / ".out.txt.work" / "000000.json").is_file()
    with pytest.raises(InputError, match="is a directory, cannot be written"):
        rerank(str(model), corpus, TOPICS, RUN, tmp_path, by="cross-encoder")


def test_by_pooled_vectors(tiny: Path, corpus: Path, tmp_path: Path) -> None:
    encoder = load_encoder(str(tiny), "cpu")
    found = rerank(encoder, corpus, TOPICS, RUN, by="pooled", depth=6)
    queries = encoder.encode_queries(list(TOPICS.values()))
    expected = queries @ encoder.encode_passages(TEXTS).T
    for row, topic in enumerate(TOPICS):
        head = {f"{number:04d}": float(expected[row, number]) for number in range(6)}
        assert {name: found[topic][name] for name in head} == pytest.approx(head, abs=1e-5)
        assert list(found[topic])[:6] == sorted(head, key=lambda name: -head[name])
    index = encode_corpus(encoder, corpus, tmp_path / "index")
    from_index = rerank(encoder, index, TOPICS, RUN, by="pooled", depth=6)
    for topic in TOPICS:
        assert from_index[topic] == pytest.approx(found[topic], abs=1e-4)
    assert rerank(encoder, corpus, TOPICS, {"1": {}, "2": {}}, by="pooled") == {"1": {}, "2": {}}
    with pytest.raises(CheckpointError, match="made by another document encoder"):
        rerank(made_up(dimension=32), index, TOPICS, RUN, by="pooled")
    with pytest.raises(InputError, match=r"passage '0099' of topic '1' is not in .*index"):
        rerank(encoder, index, TOPICS, {"1": {"0099": 1.0}}, by="pooled")


def test_a_model_of_another_kind_is_refused(model: Path, tiny: Path, corpus: Path) -> None:
    for name, by, problem in (
        (str(tiny), "cross-encoder", "not a cross-encoder"),
        (str(model), "maxsim", "a cross-encoder, which has no vectors; re-rank by cross-encoder"),
        (str(model), "pooled", "a cross-encoder, which has no vectors"),
        (load_encoder(str(tiny), "cpu"), "cross-encoder", "does not re-rank by cross-encoder"),
        (load_cross_encoder(str(model), "cpu"), "pooled", "does not re-rank by pooled"),
    ):
        with pytest.raises(CheckpointError, match=problem) as caught:
            rerank(name, corpus, TOPICS, RUN, by=by)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_a_passage_that_the_corpus_lacks_is_named(model: Path, corpus: Path) -> None:
    with pytest.raises(InputError, match="passage 'x' of topic '1' is not in"):
        rerank(str(model), corpus, TOPICS, {"1": {"x": 1.0}}, by="cross-encoder")
