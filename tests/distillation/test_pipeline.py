from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyserini_optical.data import Manifest, Pair, fingerprint
from pyserini_optical.distillation import Recipe, distill, pipeline
from pyserini_optical.distillation.checkpoint import Checkpoint
from pyserini_optical.distillation.development import MateRetrieval
from pyserini_optical.errors import CheckpointError, InputError, RecipeError
from pyserini_optical.models import load_encoder
from pyserini_optical.models.transformer import load_transformer, weights_fingerprint
from pyserini_optical.objectives import DistillationLoss

STEPS = 24  # 240 pairs, batches of 20, 2 epochs
Make = Callable[..., Recipe]


@pytest.fixture(scope="module")
def make(tiny: Path, toy_files: tuple[Path, Path]) -> Make:
    bitext, development = toy_files

    def recipe(**changes: Any) -> Recipe:
        from pyserini_optical.distillation.recipe import StudentRecipe, TrainingRecipe

        training: dict[str, Any] = {
            "epochs": 2,
            "batch_size": 20,
            "learning_rate": 1e-2,
            "checkpoint_steps": 5,
            "patience": 9,
        }
        training |= changes.pop("training", {})
        student: dict[str, Any] = {"vocabulary": 150, "start": "pieces"} | changes.pop("student", {})
        settings: dict[str, Any] = {
            "name": "toy",
            "teacher": str(tiny),
            "bitext": [str(bitext)],
            "development": str(development),
            "objectives": [
                {"name": "token-alignment", "coupling": {"name": "ipot", "iterations": 20}},
                {"name": "contrastive", "weight": 0.5},
            ],
        }
        return Recipe(**settings | changes, student=StudentRecipe(**student), training=TrainingRecipe(**training))

    return recipe


@pytest.fixture(scope="module")
def undisturbed(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distill(make(), tmp_path_factory.mktemp("undisturbed") / "toy")


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


class Killed(BaseException):
    """Stands for the end of the process: nothing in between may catch it."""


def cut_off(monkeypatch: pytest.MonkeyPatch, at: int, output: Path, recipe: Recipe) -> None:
    """Distil up to the batch with that number, and no further."""
    done = 0
    forward = DistillationLoss.forward

    def counted(self: DistillationLoss, *arguments: Any) -> Any:
        nonlocal done
        done += 1
        if done > at:
            raise Killed
        return forward(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(DistillationLoss, "forward", counted)
        with pytest.raises(Killed):
            distill(recipe, output)


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


# In the first epoch between checkpoints, at its end, in the second one, just before the end.
@pytest.mark.parametrize("at", [7, 12, 17, 23])
def test_cut_off_and_run_again_it_gives_the_same_bytes(
    undisturbed: Path, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    output = tmp_path / "toy"
    cut_off(monkeypatch, at, output, make())
    assert not output.exists()
    assert weights(distill(make(), output)) == weights(undisturbed)
    assert f"going on at step {at - at % 5} of {STEPS}" in capsys.readouterr().err


def test_cut_off_three_times(undisturbed: Path, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "toy"
    for batches in (6, 8, 7):  # each from where the one before had its last checkpoint
        cut_off(monkeypatch, batches, output, make())
    assert weights(distill(make(), output)) == weights(undisturbed)


def test_cut_off_while_saving(undisturbed: Path, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: Any) -> None:
        raise Killed

    output = tmp_path / "toy"
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "model_card", die)
        with pytest.raises(Killed):
            distill(make(), output)
    assert not output.exists()
    assert weights(distill(make(), output)) == weights(undisturbed)


def test_cut_off_before_it_trains(
    undisturbed: Path, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "toy"
    with monkeypatch.context() as patch:
        patch.setattr("pyserini_optical.models.teacher._array_file", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            distill(make(), output)
    half = output.with_name(".toy.work") / ".start"
    half.mkdir()
    (half / "config.json").write_text("{")
    assert weights(distill(make(), output)) == weights(undisturbed)


@pytest.mark.parametrize("harm", ["no state", "half a state", "another state"])
def test_a_half_written_checkpoint_is_not_used(
    undisturbed: Path, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    output = tmp_path / "toy"
    cut_off(monkeypatch, 12, output, make())
    trainer = output.with_name(".toy.work") / "trainer"
    last = trainer / "checkpoint-10"
    shutil.copytree(last, trainer / "checkpoint-15")
    state = trainer / "checkpoint-15" / "trainer_state.json"
    if harm == "no state":
        state.unlink()
    else:
        state.write_text(state.read_text()[:90] if harm == "half a state" else "[]")
    (trainer / "checkpoint-15" / "optimizer.pt").write_bytes(b"half")
    assert weights(distill(make(), output)) == weights(undisturbed)


def test_killed_and_run_again_by_the_same_command(
    undisturbed: Path, tiny: Path, toy_files: tuple[Path, Path], tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"""
name: toy
teacher: {tiny}
bitext: {toy_files[0]}
development: {toy_files[1]}
objectives:
  - {{name: token-alignment, coupling: {{name: ipot, iterations: 20}}}}
  - {{name: contrastive, weight: 0.5}}
student: {{vocabulary: 150, start: pieces}}
training: {{epochs: 2, batch_size: 20, learning_rate: 1e-2, checkpoint_steps: 5, patience: 9}}
""")
    command = [sys.executable, "-m", "pyserini_optical", "distill", str(recipe)]
    output = tmp_path / "toy"
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not (tmp_path / ".toy.work" / "trainer" / "checkpoint-10").exists():  # as it begins to be written
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not output.exists()
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == str(output)
    assert weights(output) == weights(undisturbed)
    # Nothing on stderr but our own lines, and what transformers says of checkpoints that are written within a second.
    known = (
        "bitext: |at the start: |going on at |teacher's vectors|distilling, steps: |step |learning |.* mtime may not be"
    )
    assert [line for line in done.stderr.splitlines() if not re.match(known, line)] == []


def test_a_finished_one_is_left_alone(
    undisturbed: Path, make: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fingerprint(undisturbed)
    monkeypatch.setattr(pipeline, "_make", lambda *_: pytest.fail("it was made again"))
    assert distill(make(), undisturbed) == undisturbed
    assert "is there already" in capsys.readouterr().err
    assert fingerprint(undisturbed) == before


def test_moved_files_with_the_same_content_are_the_same(
    undisturbed: Path, make: Make, toy_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = shutil.copy(toy_files[0], tmp_path / "moved.tsv")
    monkeypatch.setattr(pipeline, "_make", lambda *_: pytest.fail("it was made again"))
    distill(make(bitext=[str(moved)]), undisturbed)


def test_another_recipe_or_a_damaged_output_is_made_anew(make: Make, tmp_path: Path) -> None:
    output = tmp_path / "toy"
    quick = {"epochs": 0.5}
    first = weights(distill(make(training=quick), output))
    second = weights(distill(make(training=quick, special_tokens=True), output))
    assert second != first
    (output / "model.safetensors").unlink()
    assert weights(distill(make(training=quick), output)) == first


def test_work_of_another_recipe_is_not_gone_on_with(
    undisturbed: Path, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "toy"
    cut_off(monkeypatch, 7, output, make(training={"learning_rate": 1e-3}))
    assert weights(distill(make(), output)) == weights(undisturbed)


def scripted(monkeypatch: pytest.MonkeyPatch, scores: dict[int, float], kept: dict[int, Any]) -> None:
    """Let the development set say what the test wants, and keep the weights of each step."""

    def say(self: MateRetrieval, model: Any, *_: Any, steps: int = -1, **__: Any) -> dict[str, float]:
        kept[steps] = {name: weight.clone() for name, weight in model.state_dict().items()}
        return {"mate_mrr": scores.get(steps, 0.0)}

    monkeypatch.setattr(MateRetrieval, "__call__", say)


def same_weights(folder: Path, expected: dict[str, torch.Tensor]) -> bool:
    saved = load_transformer(str(folder), "cpu").state_dict()
    return all(torch.equal(weight, saved[name]) for name, weight in expected.items())


def test_early_stopping_keeps_the_best(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[int, Any] = {}
    scripted(monkeypatch, {5: 0.1, 10: 0.6, 15: 0.5, 20: 0.4, 24: 0.9}, kept)
    folder = distill(make(training={"patience": 2}), tmp_path / "toy")
    assert max(kept) == 20
    assert same_weights(folder, kept[10])


@pytest.mark.parametrize("best", [5, 24])
def test_the_best_can_be_the_first_or_the_last(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, best: int
) -> None:
    kept: dict[int, Any] = {}
    scripted(monkeypatch, {best: 0.9}, kept)
    folder = distill(make(), tmp_path / "toy")
    assert max(kept) == STEPS
    assert same_weights(folder, kept[best])


@pytest.mark.parametrize("at", [12, 17])
def test_patience_and_the_best_survive_a_kill_and_a_move(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    kept: dict[int, Any] = {}
    scripted(monkeypatch, {5: 0.6, 10: 0.5, 15: 0.4, 20: 0.9}, kept)
    recipe = make(training={"patience": 3 if at == 17 else 2})
    (tmp_path / "here").mkdir()
    cut_off(monkeypatch, at, tmp_path / "here" / "toy", recipe)
    (tmp_path / "here").rename(tmp_path / "there")
    kept.pop(20, None)
    folder = distill(recipe, tmp_path / "there" / "toy")
    if at == 12:  # 10 and 15 were no better than 5: the end, though 20 would have been
        assert max(kept) == 15
        assert same_weights(folder, kept[5])
    else:
        assert same_weights(folder, kept[20])


def test_cut_off_after_early_stopping_it_does_not_go_on(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[int, Any] = {}
    scripted(monkeypatch, {5: 0.6, 10: 0.5, 15: 0.9}, kept)
    recipe = make(training={"patience": 1})
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            distill(recipe, tmp_path / "toy")
    folder = distill(recipe, tmp_path / "toy")
    assert max(kept) == 10
    assert same_weights(folder, kept[5])


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
