from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from pyserini_optical.errors import CheckpointError
from pyserini_optical.models.query_generator import QueryGenerator
from pyserini_optical.models.transformer import load_transformer
from pyserini_optical.models.warm_generator import warm_generator


def test_both_halves_begin_as_the_encoder(tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    encoder = load_transformer(str(tiny), "cpu")
    tokenizer, model = warm_generator(str(tiny), max_length=20, seed=1)
    weights = model.state_dict()
    for name, weight in encoder[0].auto_model.state_dict().items():
        assert torch.equal(weights[f"encoder.{name}"], weight)
        if not name.startswith("pooler."):  # which reads whole texts
            assert torch.equal(weights[f"decoder.bert.{name}"], weight)
    same, other = (warm_generator(str(tiny), max_length=20, seed=seed)[1].state_dict() for seed in (1, 2))
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    differ = [name for name in weights if not torch.equal(weights[name], other[name])]
    assert differ
    assert all("crossattention" in name or "cls.predictions" in name for name in differ)
    assert "MISSING" not in "".join(capfd.readouterr())

    folder = tmp_path / "generator"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    loaded = QueryGenerator(str(folder), "cpu")
    assert loaded.passage_length == 20
    assert all(torch.equal(weights[name], weight) for name, weight in loaded.model.state_dict().items())
    assert len(loaded.generate(["the river", "a farmer"], "sw", 2, seed=1)) == 2
    one, another = loaded.score(["who?"] * 2, ["the river", "a farmer"], ["en"] * 2)
    assert one != another  # the decoder attends to the passage


def test_passages_are_cut_where_the_encoder_has_no_places_left(tiny: Path) -> None:
    places = load_transformer(str(tiny), "cpu")[0].auto_model.config.max_position_embeddings
    assert warm_generator(str(tiny), max_length=places + 9, seed=0)[0].model_max_length == places


def test_an_encoder_that_cannot_write_is_refused(tiny: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer
    from transformers import DistilBertConfig, DistilBertModel

    folder = tmp_path / "bare"
    DistilBertModel(DistilBertConfig(vocab_size=300, dim=16, n_layers=1, n_heads=1, hidden_dim=16)).save_pretrained(
        folder
    )
    load_transformer(str(tiny), "cpu").tokenizer.save_pretrained(folder)
    SentenceTransformer(modules=[Transformer(str(folder))], device="cpu").save(str(tmp_path / "distilbert"))
    with pytest.raises(CheckpointError, match="kind of encoder cannot write"):
        warm_generator(str(tmp_path / "distilbert"), max_length=20, seed=0)
    glossed = tmp_path / "glossed"
    shutil.copytree(tiny, glossed)
    (glossed / "glosses.tsv").touch()
    with pytest.raises(CheckpointError, match="reads its texts through glosses, which a generator cannot"):
        warm_generator(str(glossed), max_length=20, seed=0)
    with pytest.raises(CheckpointError, match="missing"):
        warm_generator(str(tmp_path / "missing"), max_length=20, seed=0)
