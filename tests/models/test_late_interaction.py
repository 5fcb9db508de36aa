from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoder

from pyserini_optical.errors import CheckpointError
from pyserini_optical.models import load_encoder
from pyserini_optical.models.fixed_dimensional import FixedDimensional
from pyserini_optical.models.late_interaction import (
    is_late_interaction,
    load_late_interaction,
    project,
    raw_tokens,
    token_dimension,
    unweighed,
    weigh_queries,
    weighs_queries,
)
from pyserini_optical.models.provenance import Provenance
from pyserini_optical.models.transformer import load_transformer, save_transformer, weights_fingerprint

TEXTS = ["the old river", "a", "the teacher often sees a small boat today", "", "the old river"]


@pytest.fixture
def late(tiny: Path, tmp_path: Path) -> Path:
    """A late-interaction checkpoint with a projection to 16 dimensions."""
    torch.manual_seed(1)
    save_transformer(project(load_transformer(str(tiny), "cpu"), 16), tmp_path / "late")
    return tmp_path / "late"


def projection(folder: Path) -> Path:
    (file,) = folder.glob("*Dense*/model.safetensors")
    return file


def test_what_a_model_was_made_for(tiny: Path, late: Path) -> None:
    assert is_late_interaction(str(late))
    assert not is_late_interaction(str(tiny))
    assert token_dimension(load_late_interaction(str(late), "cpu")) == 16
    assert token_dimension(load_late_interaction(str(tiny), "cpu")) == 32


def test_tokens_of_a_pooled_model_are_its_transformers_without_special_ones(tiny: Path) -> None:
    encoder = load_encoder(str(tiny), "cpu")
    model = load_transformer(str(tiny), "cpu")
    outputs: Any = model.encode(TEXTS, output_value="token_embeddings")
    for found in (encoder.query_tokens(TEXTS), encoder.passage_tokens(tuple(TEXTS))):
        assert [vectors.dtype for vectors in found] == [np.float32] * 5
        for vectors, output in zip(found, outputs, strict=True):
            tokens = output[1:-1].float().numpy()
            assert vectors.shape == (len(tokens), encoder.token_dimension)
            unit = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
            np.testing.assert_allclose(vectors, unit, atol=2e-2)
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert encoder.query_tokens([]) == []


def test_raw_tokens_share_the_weights_that_are_loaded(tiny: Path) -> None:
    model = load_transformer(str(tiny), "cpu")
    assert raw_tokens(model)[0] is model[0]
    encoder = load_encoder(str(tiny), "cpu")
    encoder.encode_queries(["a"])
    encoder.query_tokens(["a"])
    encoder.passage_tokens(["a"])
    assert len(encoder._pooled) == len(encoder._late) == 1


def test_a_fresh_projection_keeps_angles_as_far_as_it_can(tiny: Path) -> None:
    model = load_transformer(str(tiny), "cpu")
    raw, projected = (
        np.asarray(each.encode_query("the old river", convert_to_numpy=True))
        for each in (raw_tokens(model), project(model, 32))
    )
    np.testing.assert_allclose(projected @ projected.T, raw @ raw.T, atol=1e-4)


def test_tokens_of_a_late_interaction_model_are_sentence_transformers_own(late: Path) -> None:
    encoder = load_encoder(str(late), "cpu")
    assert encoder.late_interaction
    model = load_late_interaction(str(late), "cpu")
    for found, expected in (
        (encoder.query_tokens(TEXTS), model.encode_query(TEXTS, convert_to_numpy=True)),
        (encoder.passage_tokens(TEXTS), model.encode_document(TEXTS, convert_to_numpy=True)),
    ):
        for vectors, theirs in zip(found, expected, strict=True):
            assert vectors.shape == (len(theirs), 16)
            np.testing.assert_allclose(vectors, theirs, atol=2e-2)


def test_single_vectors_of_a_late_interaction_model_are_fixed_dimensional(late: Path) -> None:
    encoder = load_encoder(str(late), "cpu")
    assert encoder.fixed_dimensional == FixedDimensional()
    queries, passages = encoder.encode_queries(TEXTS), encoder.encode_passages(TEXTS)
    assert queries.shape == passages.shape == (5, encoder.dimension) == (5, 2560)
    expected = FixedDimensional().encode_queries(encoder.query_tokens(TEXTS))
    np.testing.assert_allclose(queries, expected, atol=1e-5)
    assert not np.allclose(queries, passages)


def test_the_shape_is_the_checkpoints_or_else_its_document_encoders(late: Path, tmp_path: Path) -> None:
    shutil.copytree(late, tmp_path / "student")
    theirs, own = FixedDimensional(repetitions=3), FixedDimensional(repetitions=2, seed=5)
    Provenance(fixed_dimensional=theirs).save(late)
    Provenance(documents=str(late)).save(tmp_path / "student")
    student, teacher = load_encoder(str(tmp_path / "student"), "cpu"), load_encoder(str(late), "cpu")
    assert student.fixed_dimensional == theirs
    assert student.document_fingerprint == teacher.document_fingerprint
    Provenance(documents=str(late), fixed_dimensional=own).save(tmp_path / "student")
    student = load_encoder(str(tmp_path / "student"), "cpu")
    assert student.fixed_dimensional == own
    # Another shape is another index, but the same token store.
    assert student.document_fingerprint != teacher.document_fingerprint
    assert student.token_fingerprint == teacher.token_fingerprint


def test_documents_of_a_pooled_teacher_are_read_token_by_token(late: Path, tiny: Path) -> None:
    save_transformer(raw_tokens(load_transformer(str(tiny), "cpu")), late)
    Provenance(documents=str(tiny), documents_fingerprint=weights_fingerprint(str(tiny))).save(late)
    encoder, teacher = load_encoder(str(late), "cpu"), load_encoder(str(tiny), "cpu")
    assert encoder.late_interaction
    assert encoder.token_fingerprint == teacher.token_fingerprint
    assert encoder.document_fingerprint != teacher.document_fingerprint
    assert encoder.encode_passages(["the old river"]).shape == (1, 2560)
    np.testing.assert_allclose(
        encoder.passage_tokens(["the old river"])[0], teacher.passage_tokens(["the old river"])[0], atol=1e-5
    )


def test_a_pooled_encoder_over_late_interaction_documents_is_refused(late: Path, tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "student")
    Provenance(documents=str(late)).save(tmp_path / "student")
    encoder = load_encoder(str(tmp_path / "student"), "cpu")
    with pytest.raises(CheckpointError, match=r"its document encoder .*late was made for late inter") as caught:
        encoder.encode_passages(["a"])
    assert "\n" not in str(caught.value)


def test_token_vectors_of_different_lengths_are_refused(late: Path, tiny: Path) -> None:
    Provenance(documents=str(tiny)).save(late)
    encoder = load_encoder(str(late), "cpu")
    encoder.query_tokens(["a"])
    with pytest.raises(CheckpointError, match=r"vectors of different dimensions, .*late of 16 and .*model of 32"):
        encoder.passage_tokens(["a"])


def test_the_fingerprint_covers_the_projection(late: Path, tiny: Path) -> None:
    before = weights_fingerprint(str(late))
    assert before.startswith(weights_fingerprint(str(tiny)))
    weights = load_file(projection(late))
    save_file({name: weight * 2 for name, weight in weights.items()}, projection(late))
    assert weights_fingerprint(str(late)) != before


def test_weights_that_are_no_numbers(late: Path) -> None:
    weights = load_file(projection(late))
    save_file({name: weight * float("nan") for name, weight in weights.items()}, projection(late))
    encoder = load_encoder(str(late), "cpu")
    for encode in (encoder.query_tokens, encoder.encode_passages):
        with pytest.raises(CheckpointError, match="NaN or infinite vector for 'the river'"):
            encode(["", "the river"])


def test_a_broken_projection_is_told_in_one_line(late: Path) -> None:
    projection(late).write_bytes(projection(late).read_bytes()[:40])
    with pytest.raises(CheckpointError, match="late: the model cannot be loaded") as caught:
        load_encoder(str(late), "cpu").query_tokens(["a"])
    assert "\n" not in str(caught.value)
    (late / "config_sentence_transformers.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config_sentence_transformers\.json is damaged"):
        is_late_interaction(str(late))


def test_pieces_stand_where_they_are_in_the_text(tiny: Path) -> None:
    encoder = load_encoder(str(tiny), "cpu")
    text = "The  old river, xq "
    pieces = encoder.query_pieces(text)
    assert [piece.text for piece in pieces] == ["the", "old", "river", ",", "x", "##q"]
    assert [text[piece.start : piece.end].lower() for piece in pieces] == ["the", "old", "river", ",", "x", "q"]
    assert len(pieces) == len(encoder.query_tokens([text])[0])
    long = "the old river " * 100
    cut = encoder.passage_pieces(long)
    assert len(cut) == len(encoder.passage_tokens([long])[0]) == 62
    assert all(long[piece.start : piece.end] == piece.text for piece in cut)


def test_pieces_of_markers_and_expansion_stand_nowhere(late: Path) -> None:
    model = load_late_interaction(str(late), "cpu")
    model.prompts = {"query": "q ", "document": "d "}
    model[0].query_expansion = {"strategy": "min", "length": 12}
    save_transformer(model, late)
    encoder = load_encoder(str(late), "cpu")
    pieces = encoder.query_pieces("old river")
    assert len(pieces) == len(encoder.query_tokens(["old river"])[0]) == 10
    assert [tuple(piece) for piece in pieces[:4]] == [("q", 0, 0), ("old", 0, 3), ("river", 4, 9), ("[MASK]", 0, 0)]
    assert [tuple(piece) for piece in encoder.passage_pieces("a")] == [("d", 0, 0), ("a", 0, 1)]


def as_pylate(late: Path, folder: Path, kind: str | None) -> Path:
    """Write a checkpoint as PyLate does: flat settings, its own projection class, nothing behind it."""
    shutil.copytree(late, folder)
    (dense,) = folder.glob("*Dense*")
    for other in folder.glob("[2-9]_*"):
        shutil.rmtree(other)
    config = json.loads((dense / "config.json").read_text())
    (dense / "config.json").write_text(
        json.dumps({key: value for key, value in config.items() if not key.startswith("module_")})
    )
    modules = [("", "sentence_transformers.models.Transformer"), (dense.name, "pylate.models.Dense.Dense")]
    (folder / "modules.json").write_text(
        json.dumps([{"idx": n, "name": str(n), "path": path, "type": kind} for n, (path, kind) in enumerate(modules)])
    )
    settings = {
        "query_prefix": "river ",
        "document_prefix": "boat ",
        "query_length": 12,
        "document_length": 20,
        "attend_to_expansion_tokens": False,
        "skiplist_words": ["the"],
    } | ({} if kind is None else {"model_type": kind})
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("kind", ["ColBERT", None])
def test_pylates_checkpoints_come_with_their_markers_lengths_and_skipped_words(
    late: Path, tmp_path: Path, kind: str | None
) -> None:
    encoder = load_encoder(str(as_pylate(late, tmp_path / "pylate", kind)), "cpu")
    assert encoder.late_interaction
    (query,) = encoder.query_tokens(["the old river"])
    assert query.shape == (12, 16)
    pieces = [piece.text for piece in encoder.query_pieces("the old river")]
    assert pieces[:2] == ["[CLS]", "river"]
    assert pieces[-1] == "[MASK]"
    assert "the" not in [piece.text for piece in encoder.passage_pieces("the old river")]
    assert len(encoder.passage_tokens(["the old river " * 20])[0]) <= 20


def as_stanford(late: Path, folder: Path) -> Path:
    """Write a checkpoint as Stanford's ColBERT does: BERT and projection in one file."""
    shutil.copytree(late, folder)
    (dense,) = folder.glob("*Dense*")
    weights = {f"bert.{name}": weight for name, weight in load_file(folder / "model.safetensors").items()}
    weights["linear.weight"] = load_file(dense / "model.safetensors")["linear.weight"]
    for path in [*folder.glob("[1-9]_*")]:
        shutil.rmtree(path)
    for file in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (folder / file).unlink()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["HF_ColBERT"]}
    (folder / "config.json").write_text(json.dumps(config))
    metadata = {"query_maxlen": 9, "doc_maxlen": 30, "query_token_id": "river", "doc_token_id": "boat"}
    (folder / "artifact.metadata").write_text(json.dumps(metadata))
    return folder


def test_stanfords_checkpoints_come_with_their_projection(late: Path, tmp_path: Path) -> None:
    folder = as_stanford(late, tmp_path / "stanford")
    encoder = load_encoder(str(folder), "cpu")
    (query,) = encoder.query_tokens(["the old teacher"])
    assert query.shape == (9, 16)
    assert [piece.text for piece in encoder.query_pieces("the old teacher")[:2]] == ["[CLS]", "river"]
    # The same transformer and projection as of the checkpoint that it was made of.
    theirs = load_late_interaction(str(late), "cpu")
    theirs[2].skiplist_words = []
    theirs[2].resolve_with_tokenizer(theirs.tokenizer)
    (expected,) = theirs.encode_document(["boat the old teacher"], convert_to_numpy=True)
    np.testing.assert_allclose(encoder.passage_tokens(["the old teacher"])[0], expected, atol=2e-2)
    weights = load_file(folder / "model.safetensors")
    del weights["linear.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"stanford: a ColBERT without its projection .*; fetch the model again"):
        load_encoder(str(folder), "cpu").query_tokens(["a"])


def test_the_fingerprint_covers_what_is_added_skipped_and_cut(late: Path) -> None:
    found = {weights_fingerprint(str(late))}
    settings = late / "config_sentence_transformers.json"
    content = json.loads(settings.read_text())
    settings.write_text(json.dumps(content | {"__version__": {"transformers": "another"}}, indent=4))
    assert weights_fingerprint(str(late)) in found
    settings.write_text(json.dumps(content | {"prompts": {"query": "q ", "document": ""}}))
    found.add(weights_fingerprint(str(late)))
    (mask,) = late.glob("*Mask*")
    skipping = json.loads((mask / "config.json").read_text()) | {"skiplist_words": ["the"]}
    (mask / "config.json").write_text(json.dumps(skipping))
    found.add(weights_fingerprint(str(late)))
    cut = late / "sentence_bert_config.json"
    cut.write_text(json.dumps(json.loads(cut.read_text()) | {"document_length": 7}))
    found.add(weights_fingerprint(str(late)))
    assert len(found) == 4


def test_markers_of_a_pooled_model_are_read_in_every_way(tiny: Path, tmp_path: Path) -> None:
    model = load_transformer(str(tiny), "cpu")
    model.prompts = {"query": "river ", "document": "boat "}
    save_transformer(model, tmp_path / "marked")
    marked, plain = load_encoder(str(tmp_path / "marked"), "cpu"), load_encoder(str(tiny), "cpu")
    np.testing.assert_allclose(
        marked.encode_queries(["the teacher"]), plain.encode_queries(["river the teacher"]), atol=1e-5
    )
    np.testing.assert_allclose(
        marked.encode_passages(["the teacher"]), plain.encode_passages(["boat the teacher"]), atol=1e-5
    )
    late = load_late_interaction(str(tmp_path / "marked"), "cpu")
    for found in (late, project(load_transformer(str(tmp_path / "marked"), "cpu"), 8)):
        assert found.prompts == model.prompts
    np.testing.assert_allclose(
        marked.query_tokens(["the teacher"])[0], plain.query_tokens(["river the teacher"])[0], atol=1e-5
    )


@pytest.mark.parametrize("file", ["modules.json", "config_sentence_transformers.json"])
def test_without_its_configuration_it_is_refused(file: str, late: Path) -> None:
    (late / file).unlink()
    encoder = load_encoder(str(late), "cpu")
    assert encoder.late_interaction
    for encode in (encoder.query_tokens, encoder.encode_passages):
        with pytest.raises(CheckpointError, match=f"late: made for late interaction, without {file}; fetch"):
            encode(["the river"])


def test_a_tokeniser_that_knows_more_pieces_than_the_weights(late: Path) -> None:
    settings = json.loads((late / "tokenizer.json").read_text())
    rows = len(load_late_interaction(str(late), "cpu").tokenizer)
    settings["added_tokens"].append(
        dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
        | {"id": rows, "content": "zzfoo"}
    )
    (late / "tokenizer.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=f"its tokeniser knows {rows + 1} pieces, its weights {rows}"):
        load_late_interaction(str(late), "cpu")


@pytest.mark.usefixtures("in_float32")
def test_documents_are_not_weighed(late: Path, tmp_path: Path) -> None:
    plain = load_encoder(str(late), "cpu")
    model = load_late_interaction(str(late), "cpu")
    weigh_queries(model, ["the old river", "the old boat", "the", "boat"])
    save_transformer(model, tmp_path / "weighed")
    # The document encoder of another student.
    shutil.copytree(late, tmp_path / "student")
    Provenance(documents=str(tmp_path / "weighed")).save(tmp_path / "student")
    student = load_encoder(str(tmp_path / "student"), "cpu")
    for found, wanted in zip(student.passage_tokens(TEXTS), plain.passage_tokens(TEXTS), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    # Stores from before this were of weighed vectors.
    assert student.token_fingerprint == f"{weights_fingerprint(str(tmp_path / 'weighed'))}:unweighed"
    assert plain.token_fingerprint == weights_fingerprint(str(late))


@pytest.mark.usefixtures("in_float32")
def test_queries_weigh_what_is_rare_more(late: Path, tmp_path: Path) -> None:
    model = load_late_interaction(str(late), "cpu")
    plain = load_encoder(str(late), "cpu")
    for texts in (["the"], ["the old river", "the old boat", "the", "boat"]):  # the second time in place of the first
        weigh_queries(model, texts)
    save_transformer(model, tmp_path / "weighed")
    Provenance(documents=str(late)).save(tmp_path / "weighed")
    encoder = load_encoder(str(tmp_path / "weighed"), "cpu")
    assert encoder.weighs_queries
    assert not plain.weighs_queries
    assert encoder.token_fingerprint == plain.token_fingerprint
    (found,), (unit,) = encoder.query_tokens(["the old river"]), plain.query_tokens(["the old river"])
    # Of four texts three have the first word, two the second, one the third; the rarest would be in none.
    idf = np.log1p([(4 - count + 0.5) / (count + 0.5) for count in (3, 2, 1, 0)])
    np.testing.assert_allclose(found, unit * (idf[:3] / idf[3])[:, None], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(encoder.passage_tokens(["the old river"])[0], axis=1), 1, atol=1e-6)
    # A query's fixed-dimensional encoding is a sum over its tokens, so that it weighs them too.
    assert encoder.encode_queries(["the old river"]).shape == (1, 2560)
    assert encoder.fingerprint != plain.fingerprint
    # Any program reads it.
    theirs = MultiVectorEncoder(str(tmp_path / "weighed"), device="cpu")
    np.testing.assert_allclose(theirs.encode_query("the old river", convert_to_numpy=True), found, atol=1e-5)
    assert not weighs_queries(unweighed(theirs))
    np.testing.assert_allclose(theirs.encode_query("the old river", convert_to_numpy=True), unit, atol=1e-5)
