from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pyserini_optical.errors import CheckpointError
from pyserini_optical.models import load_encoder
from pyserini_optical.models.fixed_dimensional import FixedDimensional
from pyserini_optical.models.late_interaction import (
    is_late_interaction,
    load_late_interaction,
    project,
    raw_tokens,
    token_dimension,
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
