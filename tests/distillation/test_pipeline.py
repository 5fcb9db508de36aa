from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_recipe import Make, weights

from pyserini_optical.data import Manifest, Pair, read_bitext
from pyserini_optical.distillation import distill
from pyserini_optical.distillation.development import MateRetrieval
from pyserini_optical.errors import CheckpointError, InputError, RecipeError
from pyserini_optical.models import load_encoder
from pyserini_optical.models.late_interaction import project
from pyserini_optical.models.transformer import load_transformer, save_transformer, weights_fingerprint
from pyserini_optical.objectives import DistillationLoss


def test_a_checkpoint_says_what_it_is(undisturbed: Path, tiny: Path) -> None:
    names = {path.name for path in undisturbed.iterdir()}
    assert names >= {"model.safetensors", "tokenizer.json", "config.json", "modules.json", "1_Pooling", "README.md"}
    assert names >= {"optical.json", "manifest.json", "training.json"}
    assert not [path for path in undisturbed.rglob("*") if path.suffix in (".bin", ".pt", ".pth", ".pkl")]
    assert not undisturbed.with_name(".toy.work").exists()
    said = json.loads((undisturbed / "optical.json").read_text())
    assert said["documents"] == str(tiny)
    assert said["documents_fingerprint"] == said["inputs"]["teacher"] == weights_fingerprint(str(tiny))
    assert said["recipe"]["training"]["epochs"] == 2
    assert set(said["inputs"]) == {"bitext", "development", "teacher", "student"}
    assert "torch" in said["versions"]
    assert "# toy" in (undisturbed / "README.md").read_text()


def test_it_learns(make: Make, tiny: Path, toy_pairs: list[Pair], tmp_path: Path) -> None:
    start = distill(make(training={"epochs": 0}), tmp_path / "start")
    folder = distill(make(training={"epochs": 4, "batch_size": 8, "checkpoint_steps": 50}), tmp_path / "toy")
    evaluator = MateRetrieval(load_transformer(str(tiny)), toy_pairs[240:])
    before, after = (evaluator(load_transformer(str(path)))["mate_mrr"] for path in (start, folder))
    assert after > 2 * before
    log = json.loads((folder / "training.json").read_text())
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[-1] < 0.8 * losses[0]
    scores = {entry["step"]: entry["eval_mate_mrr"] for entry in log if "eval_mate_mrr" in entry}
    assert list(scores) == [50, 100, 120]
    assert after == pytest.approx(max(scores.values()), abs=1e-3)


def test_without_epochs_it_is_the_start(make: Make, tiny: Path, tmp_path: Path, toy_pairs: list[Pair]) -> None:
    from pyserini_optical.models.student import extend_student

    folder = distill(make(training={"epochs": 0}, objectives=[]), tmp_path / "start")
    expected = load_transformer(str(tiny), "cpu")
    extend_student(expected, toy_pairs[:240], vocabulary=150, start="pieces")
    saved = load_transformer(str(folder), "cpu").state_dict()
    assert all(torch.equal(weight, saved[name]) for name, weight in expected.state_dict().items())
    assert json.loads((folder / "training.json").read_text()) == []


def test_the_same_seed_gives_the_same_bytes(undisturbed: Path, make: Make, tmp_path: Path) -> None:
    assert weights(distill(make(), tmp_path / "again")) == weights(undisturbed)
    assert weights(distill(make(seed=1), tmp_path / "other")) != weights(undisturbed)


def test_training_that_diverges_is_told_and_not_saved(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = DistillationLoss.forward

    def broken(self: DistillationLoss, *arguments: Any) -> Any:
        return {name: value * float("nan") for name, value in forward(self, *arguments).items()}

    monkeypatch.setattr(DistillationLoss, "forward", broken)
    with pytest.raises(RecipeError, match=r"lower training\.learning_rate"):
        distill(make(development=None), tmp_path / "toy")
    assert not (tmp_path / "toy").exists()


def test_documents_may_be_read_by_the_student(make: Make, tmp_path: Path) -> None:
    folder = distill(make(documents="self", training={"epochs": 0}), tmp_path / "toy")
    encoder = load_encoder(str(folder))
    assert encoder.document_model == str(folder)
    assert np.array_equal(encoder.encode_queries(["za mto"]), encoder.encode_passages(["za mto"]))


def test_a_teacher_by_relative_path_is_found_from_elsewhere(
    make: Make, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.parent)
    folder = distill(make(teacher="model", training={"epochs": 0}), tmp_path / "toy")
    monkeypatch.chdir(tmp_path)
    assert load_encoder(str(folder)).encode_passages(["the river"]).shape == (1, 32)


def test_a_student_of_its_own_model_keeps_its_vocabulary(make: Make, tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny, other)
    folder = distill(make(student={"model": str(other), "vocabulary": None}, training={"epochs": 0}), tmp_path / "toy")
    kept, given = load_transformer(str(folder)), load_transformer(str(tiny))
    assert kept.tokenizer.get_vocab() == given.tokenizer.get_vocab()
    assert all(torch.equal(weight, given.state_dict()[name]) for name, weight in kept.state_dict().items())


def test_a_student_of_another_size_is_refused(
    make: Make, random_model: Callable[..., None], toy_pairs: list[Pair], tmp_path: Path
) -> None:
    random_model(tmp_path / "small", [pair.foreign for pair in toy_pairs], dimension=16)
    with pytest.raises(RecipeError, match="32 dimensions and the student's 16"):
        distill(make(student={"model": str(tmp_path / "small"), "vocabulary": None}), tmp_path / "toy")
    assert not (tmp_path / "toy").exists()


def test_long_sentences_are_cut_where_the_models_cut_them(make: Make, tmp_path: Path) -> None:
    bitext = tmp_path / "long.tsv"
    bitext.write_text("".join(f"{'za mto ' * 60}{i}\t{'the river ' * 60}{i}\n" for i in range(4)))
    recipe = make(bitext=[str(bitext)], development=None, training={"epochs": 1, "max_length": 512})
    folder = distill(recipe, tmp_path / "toy")
    assert load_transformer(str(folder)).max_seq_length == 64


@pytest.mark.parametrize("start", ["plans", "table", "pieces"])
@pytest.mark.parametrize("foreign", ["the river", "... !"])
def test_a_bitext_without_a_new_piece_will_do(make: Make, start: Any, foreign: str, tmp_path: Path) -> None:
    bitext = tmp_path / "one.tsv"
    bitext.write_text(f"{foreign}\ta boat\n")
    recipe = make(bitext=[str(bitext)], development=None, student={"start": start}, training={"epochs": 1})
    assert load_encoder(str(distill(recipe, tmp_path / "toy"))).encode_queries(["the river"]).shape == (1, 32)


def test_a_prompt_is_the_students_too(make: Make, tiny: Path, tmp_path: Path) -> None:
    teacher = tmp_path / "teacher"
    model = load_transformer(str(tiny), "cpu")
    model.prompts = {"query": "the red river ", "document": "a "}
    save_transformer(model, teacher)
    folder = distill(make(teacher=str(teacher)), tmp_path / "toy")
    assert load_transformer(str(folder)).prompts == model.prompts
    # It was trained as it is asked: with its prompt it is nearer to its teacher than without.
    scores = {}
    for prompt in ("the red river ", ""):
        student = load_transformer(str(folder), "cpu")
        student.prompts = {"query": prompt, "document": ""}
        pairs = read_bitext(make().development or "")
        ours = student.encode_query([pair.foreign for pair in pairs], convert_to_numpy=True)
        theirs = model.encode_query([pair.english for pair in pairs], convert_to_numpy=True)
        scores[prompt] = float((ours * theirs).sum(axis=1).mean())
    assert scores["the red river "] > scores[""]


@pytest.mark.parametrize("part", ["teacher", "student"])
def test_a_model_of_another_kind_is_refused(make: Make, tiny: Path, part: str, tmp_path: Path) -> None:
    save_transformer(project(load_transformer(str(tiny), "cpu"), 16), tmp_path / "late")
    model = str(tmp_path / "late")
    changes: dict[str, Any] = {"teacher": model}
    if part == "student":
        changes = {"student": {"model": model, "vocabulary": None}}
    with pytest.raises(RecipeError, match="was made for late interaction; set late_interaction to true"):
        distill(make(**changes), tmp_path / "toy")
    assert {path.name for path in tmp_path.iterdir()} == {"late"}


def test_evaluation_text_is_not_trained_on(make: Make, toy_pairs: list[Pair], tmp_path: Path) -> None:
    topics = tmp_path / "topics.tsv"
    topics.write_text(f"01\t{toy_pairs[0].foreign}\n")
    start = {"epochs": 0}
    first = json.loads((distill(make(training=start), tmp_path / "a") / "manifest.json").read_text())
    second = json.loads(
        (distill(make(training=start, exclude=[str(topics)]), tmp_path / "b") / "manifest.json").read_text()
    )
    assert first["inputs"]["bitext"] != second["inputs"]["bitext"]


def test_an_output_that_is_not_ours_is_left_alone(make: Make, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not a checkpoint of ours"):
        distill(make(), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    assert (distill(make(training={"epochs": 0}), tmp_path / "empty") / "model.safetensors").is_file()


def test_what_is_missing_is_told_and_nothing_is_left(make: Make, tmp_path: Path) -> None:
    output = tmp_path / "out" / "toy"
    with pytest.raises(InputError, match="no such file"):
        distill(make(bitext=["/no/such/bitext.tsv"]), output)
    with pytest.raises(CheckpointError, match="no such model folder"):
        distill(make(teacher="/no/such/teacher"), output)
    with pytest.raises(InputError, match=r"recipe\.yaml: no such file"):
        distill(tmp_path / "recipe.yaml", output)
    assert not output.parent.exists()
    if os.geteuid():
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(InputError, match="cannot be written"):
            distill(make(), tmp_path / "locked" / "toy")


def test_an_index_of_ours_is_no_checkpoint_and_is_left_alone(make: Make, tmp_path: Path) -> None:
    index = tmp_path / "index"
    index.mkdir()
    Manifest("encode").save(index / "manifest.json")
    (index / "docid").write_text("007\n")
    with pytest.raises(InputError, match="not a checkpoint of ours"):
        distill(make(), index)
    assert (index / "docid").read_text() == "007\n"
