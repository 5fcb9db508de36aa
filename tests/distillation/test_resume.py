"""Training that is cut off, killed, moved or stopped early, and gone on with by the same command."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_recipe import STEPS, Make, weights

from pyserini_optical.data import fingerprint
from pyserini_optical.distillation import Recipe, distill, pipeline
from pyserini_optical.distillation.checkpoint import Checkpoint
from pyserini_optical.distillation.development import MateRetrieval
from pyserini_optical.models.transformer import load_transformer
from pyserini_optical.objectives import DistillationLoss


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
    for name in ("models.teacher._array_file", "distillation.starting.fingerprint_files"):
        with monkeypatch.context() as patch:
            patch.setattr(f"pyserini_optical.{name}", lambda *_: (_ for _ in ()).throw(Killed))
            with pytest.raises(Killed):
                distill(make(), output)
    # The student is there without its manifest.
    assert [*output.with_name(".toy.work").glob("starts/.*/config.json")]
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
