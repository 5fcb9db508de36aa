from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyserini_optical.data import read_corpus, read_topics
from pyserini_optical.errors import CheckpointError, InputError, RecipeError
from pyserini_optical.models.new_generator import NewGenerator, new_generator
from pyserini_optical.models.query_generator import IGNORED, Decoding, QueryGenerator, mean_log_likelihood


@pytest.fixture(scope="module")
def loaded(generator: Path) -> QueryGenerator:
    return QueryGenerator(str(generator), "cpu")


@pytest.fixture(scope="module")
def passages(toy_collection: Path) -> list[str]:
    return [passage.text for passage in read_corpus(toy_collection / "corpus.jsonl")]


@pytest.fixture(scope="module")
def questions(toy_collection: Path) -> list[str]:
    return list(read_topics(toy_collection / "topics.sw.tsv").values())


@pytest.mark.usefixtures("in_float32")
def test_the_score_is_the_mean_log_probability_of_the_tokens(
    loaded: QueryGenerator, questions: list[str], passages: list[str]
) -> None:
    question, passage = questions[0], passages[0]
    read = loaded.tokenizer(f"sw: {passage}", return_tensors="pt")
    tokens = loaded.tokenizer(text_target=question)["input_ids"]
    assert tokens[-1] == loaded.tokenizer.eos_token_id
    total, before = 0.0, [loaded.model.config.decoder_start_token_id]
    with torch.inference_mode():
        for token in tokens:  # one at a time, as it would be written
            logits = loaded.model(**read, decoder_input_ids=torch.tensor([before])).logits[0, -1]
            total += float(logits.log_softmax(dim=0)[token])
            before.append(token)
    assert loaded.score([question], [passage], ["sw"])[0] == pytest.approx(total / len(tokens), abs=1e-4)


@pytest.mark.usefixtures("in_float32")
def test_padding_and_batches_change_no_score(loaded: QueryGenerator, questions: list[str], passages: list[str]) -> None:
    asked, read = [*questions[:6], "nani?"], [*passages[:6], passages[0]]
    alone = [float(loaded.score([q], [p], ["sw"])[0]) for q, p in zip(asked, read, strict=True)]
    for batch_size in (2, 7):
        together = loaded.score(asked, read, ["sw"] * len(asked), batch_size=batch_size)
        assert together == pytest.approx(np.array(alone), abs=1e-4)
    assert loaded.score([], [], []).shape == (0,)


def test_the_teacher_finds_the_passage_of_a_question(
    loaded: QueryGenerator, questions: list[str], passages: list[str]
) -> None:
    asked = questions[:10]
    scores = np.array([loaded.score([q] * len(passages), passages, ["sw"] * len(passages)) for q in asked])
    ranks = (scores > scores[np.arange(10), np.arange(10)][:, None]).sum(axis=1)
    assert ranks.mean() < 0.5 * (len(passages) - 1) / 2  # half of what chance gives


def test_the_same_seed_writes_the_same_questions(loaded: QueryGenerator, passages: list[str]) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first = loaded.generate(passages[:4], "sw", 3, seed=1)
    assert torch.rand(1) == expected  # the caller's random state is as it was
    assert [len(row) for row in first] == [3, 3, 3, 3]
    assert loaded.generate(passages[:4], "sw", 3, seed=1) == first
    assert loaded.generate(passages[:4], "sw", 3, seed=2) != first


def test_the_tag_chooses_the_language(loaded: QueryGenerator, passages: list[str]) -> None:
    beam = Decoding("beam")
    foreign, english = (loaded.generate(passages[:8], language, 1, decoding=beam) for language in ("sw", "en"))
    assert sum(row[0].startswith("nani") for row in foreign) >= 6
    assert sum(row[0].startswith("who") for row in english) >= 6
    assert loaded.generate(passages[:8], "en", 1, seed=5, decoding=beam) == english
    with pytest.raises(InputError, match="no language code"):
        loaded.generate(passages[:1], "")


def test_a_question_does_not_begin_inside_a_word(
    loaded: QueryGenerator, passages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded.tokenizer, "batch_decode", lambda *_, **__: ["##na nani  #1?"])
    assert loaded.generate(passages[:1], "sw") == [["na nani #1?"]]


def test_long_questions_and_passages_are_cut(generator: Path) -> None:
    short = QueryGenerator(str(generator), "cpu", passage_length=6, question_length=4)
    features = short.features(["nani " * 40, "nani"], ["the river " * 40] * 2, ["sw"] * 2)
    assert features["input_ids"].shape == (2, 6)
    assert features["labels"].shape == (2, 4)
    assert features["labels"][1, -1] == IGNORED
    whole = QueryGenerator(str(generator), "cpu")
    assert whole.passage_length == 24  # as it was trained
    assert short.fingerprint != whole.fingerprint


def test_bart_is_read_too(tmp_path: Path, loaded: QueryGenerator) -> None:
    from transformers import BartConfig, BartForConditionalGeneration

    config: dict[str, Any] = {"vocab_size": len(loaded.tokenizer), "d_model": 16, "max_position_embeddings": 64}
    config |= {f"{side}_{name}": 1 for side in ("encoder", "decoder") for name in ("layers", "attention_heads")}
    config |= {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "pad_token_id": 0, "eos_token_id": 1}
    config |= {"bos_token_id": 1, "decoder_start_token_id": 1, "forced_eos_token_id": 1}
    BartForConditionalGeneration(BartConfig(**config)).save_pretrained(tmp_path / "bart")
    loaded.tokenizer.save_pretrained(tmp_path / "bart")
    bart = QueryGenerator(str(tmp_path / "bart"), "cpu")
    assert np.isfinite(bart.score(["nani?"], ["the river"], ["sw"])).all()
    assert len(bart.generate(["the river"], "sw", 2)[0]) == 2


def test_the_likelihood_has_a_gradient(loaded: QueryGenerator) -> None:
    features = loaded.features(["nani mto?"], ["the river"], ["sw"])
    mean_log_likelihood(loaded.model, features).sum().backward()  # type: ignore[no-untyped-call]
    assert float(loaded.model.shared.weight.grad.abs().sum()) > 0
    loaded.model.zero_grad()


def test_broken_models_are_said(generator: Path, minilm: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a sequence-to-sequence model"):
        QueryGenerator(minilm)
    with pytest.raises(CheckpointError, match="no such model folder"):
        QueryGenerator(str(tmp_path / "nowhere"))
    copy = Path(shutil.copytree(generator, tmp_path / "copy"))
    (copy / "manifest.json").unlink()
    settings = json.loads((copy / "config.json").read_text())
    coded = settings | {"auto_map": {"AutoModelForSeq2SeqLM": "code.Model"}, "model_type": "own"}
    (copy / "code.py").write_text("raise SystemExit('ran')")
    (copy / "config.json").write_text(json.dumps(coded))
    with pytest.raises(CheckpointError, match="the model cannot be loaded"):
        QueryGenerator(str(copy))
    (copy / "config.json").write_text(json.dumps(settings))
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[:100])
    with pytest.raises(CheckpointError, match="the model cannot be loaded"):
        QueryGenerator(str(copy))
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="save the weights as safetensors"):
        QueryGenerator(str(copy))


def test_a_new_generator_is_the_same_for_the_same_seed(tiny: Path, passages: list[str]) -> None:
    size = NewGenerator(str(tiny), vocabulary=100, layers=1, width=8, heads=1, feed_forward=8)
    (tokenizer, first), (_, second), (_, third) = (
        new_generator(size, passages, max_length=16, seed=seed) for seed in (0, 0, 1)
    )
    weights = [model.shared.weight for model in (first, second, third)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    ids = tokenizer(passages[0])["input_ids"]
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == passages[0]
    with pytest.raises(RecipeError, match="heads must divide width"):
        NewGenerator(width=10, heads=3)
    for temperature in (0, math.nan, math.inf):
        with pytest.raises(RecipeError, match="temperature"):
            Decoding(temperature=temperature)
