from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pyserini_optical.distillation import Recipe, distill
from pyserini_optical.distillation.recipe import StudentRecipe, TrainingRecipe
from pyserini_optical.errors import RecipeError
from pyserini_optical.objectives import DistillationLoss

STEPS = 6  # 240 pairs in batches of 40


def recipe(tiny: Path, toy_files: tuple[Path, Path]) -> Recipe:
    return Recipe(
        name="toy",
        teacher=str(tiny),
        bitext=[str(toy_files[0])],
        objectives=[{"name": "contrastive"}],
        student=StudentRecipe(vocabulary=150, start="pieces"),
        training=TrainingRecipe(epochs=1, batch_size=40, checkpoint_steps=STEPS),
    )


def spoil(monkeypatch: pytest.MonkeyPatch, which: Callable[[int], bool], value: float = torch.nan) -> None:
    """Make the loss of some batches, counted from 1, a number that is none."""
    forward, done = DistillationLoss.forward, 0

    def spoilt(self: DistillationLoss, *arguments: Any) -> Any:
        nonlocal done
        done += 1
        losses = forward(self, *arguments)
        return {name: loss * value for name, loss in losses.items()} if which(done) else losses

    monkeypatch.setattr(DistillationLoss, "forward", spoilt)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_batch_that_is_no_number_is_skipped_counted_and_said(
    tiny: Path,
    toy_files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: float,
) -> None:
    spoil(monkeypatch, lambda batch: batch in (2, 4), value)
    folder = distill(recipe(tiny, toy_files), tmp_path / "toy")
    log = json.loads((folder / "training.json").read_text())
    skipped = [entry for entry in log if "skipped_batches" in entry]
    assert skipped == [{"step": 2, "skipped_batches": 1}, {"step": 4, "skipped_batches": 2}]
    assert "step 4: the gradient is not finite, so this batch is skipped (2 so far)" in capsys.readouterr().err


def test_a_skipped_batch_changes_nothing(
    tiny: Path, toy_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The warm-up's first step has the learning rate zero, all others are skipped: nothing is learnt.
    spoil(monkeypatch, lambda batch: batch > 1)
    trained = distill(recipe(tiny, toy_files), tmp_path / "toy")
    start = recipe(tiny, toy_files)
    untrained = distill(Recipe(**vars(start) | {"training": TrainingRecipe(epochs=0)}), tmp_path / "start")
    assert (trained / "model.safetensors").read_bytes() == (untrained / "model.safetensors").read_bytes()


def test_only_bad_batches_end_the_training(
    tiny: Path, toy_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, lambda batch: True)
    with pytest.raises(RecipeError, match=f"diverged: {STEPS} batches in a row"):
        distill(recipe(tiny, toy_files), tmp_path / "toy")
    assert not (tmp_path / "toy").exists()
