"""Several processes on one distillation, started as users start them; on the CPU, by gloo."""

from __future__ import annotations

import functools
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

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch.utils.data import SequentialSampler
from toy_recipe import Make

from pyserini_optical.distillation import distill
from pyserini_optical.distillation.pipeline import _check_shares
from pyserini_optical.distillation.sampler import SharedBatches
from pyserini_optical.errors import RecipeError, SetupError
from pyserini_optical.models.device import has_fast_bfloat16
from pyserini_optical.processes import alike, count, first, is_first, refuse_others
from pyserini_optical.progress import progress, say

Write = Callable[..., Path]

# 49 pairs in batches of 16: the last batch of an epoch is one pair, of which the second process has no share.
RECIPE: dict[str, Any] = {
    "name": "toy",
    "limit": 49,
    "objectives": [
        {"name": "token-alignment", "coupling": {"name": "ipot", "iterations": 20}},
        {"name": "contrastive", "weight": 0.5},
        {"name": "sentence-mse", "side": "english"},
    ],
    "student": {"vocabulary": 150, "start": "pieces"},
    "training": {"epochs": 3, "batch_size": 16, "learning_rate": 1e-3, "checkpoint_steps": 3, "patience": 9},
}
BRIEF = RECIPE["training"] | {"epochs": 1}

# What hangs on the clock.
BFLOAT16 = has_fast_bfloat16("cpu")
CLOCK = ("eval_runtime", "eval_samples_per_second", "eval_steps_per_second")


@pytest.fixture(scope="module")
def write(tiny: Path, toy_files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Writes a recipe, with changes; its teacher has no dropout, which is another in each process."""
    teacher = shutil.copytree(tiny, tmp_path_factory.mktemp("calm") / "model")
    config = json.loads((teacher / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (teacher / "config.json").write_text(json.dumps(config))
    files = {"teacher": str(teacher), "bitext": [str(toy_files[0])], "development": str(toy_files[1])}

    def recipe(path: Path, **changes: Any) -> Path:
        path.write_text(yaml.safe_dump(RECIPE | files | changes))
        return path

    return recipe


def start(*command: str | Path) -> subprocess.Popen[str]:
    """Start a command twice by torchrun."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return subprocess.Popen([*torchrun, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait for the end; give what it printed."""
    try:
        return process.communicate(timeout=300)
    finally:
        process.terminate()  # which torchrun hands on


def check_same(one: Path, two: Path) -> None:
    """Check that two checkpoints hold the same log and weights, but for what is rounded."""
    logs = [json.loads((folder / "training.json").read_text()) for folder in (one, two)]
    assert len(logs[0]) == len(logs[1]) > 0
    for entries in zip(*logs, strict=True):
        first, second = ({name: value for name, value in entry.items() if name not in CLOCK} for entry in entries)
        assert second == pytest.approx(first, rel=3e-2 if BFLOAT16 else 1e-4, abs=5e-3 if BFLOAT16 else 1e-6)
    # A softmax does not feel the keys' bias; its gradient is nothing but rounding, which Adam blows up.
    weights = [
        {name: weight for name, weight in load_file(folder / "model.safetensors").items() if "key.bias" not in name}
        for folder in (one, two)
    ]
    far = 1e-2 if BFLOAT16 else 1e-4  # where gradients are nearly zero
    torch.testing.assert_close(weights[1], weights[0], rtol=far, atol=far)
    names = [sorted(path.relative_to(folder) for path in folder.rglob("*")) for folder in (one, two)]
    assert names[0] == names[1]


def test_killed_and_run_again_two_processes_make_what_one_makes(write: Write, tmp_path: Path) -> None:
    recipe = write(tmp_path / "recipe.yaml")
    command = ("-m", "pyserini_optical", "distill", recipe, "--output", tmp_path / "toy")
    process = start(*command)
    deadline = time.monotonic() + 300
    # In the middle of the second epoch.
    while not (tmp_path / ".toy.work" / "trainer" / "checkpoint-6" / "manifest.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for number in (process.pid, *map(int, children)):
        os.kill(number, signal.SIGKILL)
    assert len(children) == 2
    end(process)
    assert not (tmp_path / "toy").exists()

    process = start(*command)
    out, err = end(process)
    assert process.returncode == 0, err
    assert out == f"{tmp_path / 'toy'}\n"
    # One of them speaks, and nobody else.
    known = "bitext: |drawn: |at the start: |going on at |distilling, steps: |step |.* mtime may not be"
    assert [line for line in err.splitlines() if not re.match(known, line)] == []
    assert len(re.findall("^going on at step 6 of 12$", err, re.MULTILINE)) == 1
    check_same(distill(recipe, tmp_path / "alone"), tmp_path / "toy")


def test_late_interaction_the_stages_on_questions_and_a_training_that_diverges(
    write: Write, toy_collection: Path, tmp_path: Path
) -> None:
    topics, translations, qrels, corpus = (
        str(toy_collection / name) for name in ("topics.sw.tsv", "topics.en.tsv", "qrels.txt", "corpus.jsonl")
    )
    relevance = {"topics": [topics], "translations": [translations], "qrels": [qrels], "corpus": corpus}
    quick = {"language": "sw", "topics": [topics], "qrels": [qrels], "corpus": corpus, "rounds": 2, "bm25": False}
    recipes = [
        write(
            tmp_path / "late.yaml",
            late_interaction=True,
            objectives=RECIPE["objectives"][:2],
            mini_batch_size=3,
            training=BRIEF,
        ),
        write(
            tmp_path / "stages.yaml",
            training=BRIEF,
            relevance=relevance | {"candidates": 0, "training": BRIEF},
            quick=quick | {"objectives": [{"name": "info-nce"}], "training": BRIEF},
        ),
        # Each of them finds that out.
        write(tmp_path / "diverges.yaml", training=BRIEF | {"learning_rate": 1e38}),
    ]
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from pyserini_optical.distillation import distill\n"
        "for recipe in sys.argv[1:]:\n"
        "    distill(recipe, recipe.replace('.yaml', '-two'))\n"
    )
    process = start(script, *recipes)
    _, err = end(process)
    assert process.returncode == 1
    assert err.count("RecipeError: training diverged") == 1, err
    for recipe in recipes[:2]:
        check_same(distill(recipe, tmp_path / "alone" / recipe.stem), tmp_path / f"{recipe.stem}-two")


def test_what_is_wrong_is_said_once_and_ends_all(write: Write, tmp_path: Path) -> None:
    recipe = write(tmp_path / "recipe.yaml", bitext=["nowhere.tsv"])
    process = start("-m", "pyserini_optical", "distill", recipe, "--output", tmp_path / "toy")
    out, err = end(process)
    assert (process.returncode, out) == (1, "")
    # Below it torchrun gives a report of its own.
    assert [line for line in err.splitlines() if line.startswith("pyserini-optical")] == [
        "pyserini-optical distill: nowhere.tsv: no such file; check the path"
    ]
    assert err.startswith("pyserini-optical distill: ")
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the second of two processes."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("pyserini_optical.processes._MOMENT", 0.0)


@pytest.mark.usefixtures("second")
def test_the_second_process_says_nothing_once_it_has_met_the_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (count(), is_first()) == (2, False)
    # As on a node of a cluster that sets these for everything that runs there.
    say("alone")
    assert capsys.readouterr().err == "alone\n"
    met = functools.cache(lambda: None)
    met()
    monkeypatch.setattr("pyserini_optical.processes._join", met)
    say("hello")
    with progress("counting", 10) as advance:
        advance(10)
    with pytest.raises(SystemExit) as ended, alike():
        raise RecipeError("what the first one says")
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("size", ["", "1", "many"])
def test_without_others_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv("WORLD_SIZE", size)
    monkeypatch.setenv("RANK", "0")
    with first():
        assert (count(), is_first()) == (1, True)
    refuse_others("this")
    with pytest.raises(RecipeError), first():
        raise RecipeError("no")


def test_what_cannot_be_shared_is_refused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(
        RecipeError, match=r"training\.batch_size is 20, which 3 processes cannot share evenly; set it to"
    ):
        _check_shares(make())
    with pytest.raises(SetupError, match="fine-tune runs in one process"):
        refuse_others("fine-tune")


def test_shares_are_of_one_length_and_make_up_the_batch() -> None:
    from sentence_transformers.base.sampler import DefaultBatchSampler

    whole = DefaultBatchSampler(SequentialSampler(range(14)), batch_size=6, drop_last=False)
    shares = list(SharedBatches(whole, 3))
    assert shares == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11], [12], [13], [12]]
    assert len(SharedBatches(whole, 3)) == 9


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_lost_process_is_one_sentence(monkeypatch: pytest.MonkeyPatch, rank: str) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    ended = pytest.raises(SetupError, match="another process is lost") if rank == "0" else pytest.raises(SystemExit)
    with ended, alike():
        raise RuntimeError("[pair.cc:537] Connection closed by peer [127.0.0.1]:1234\nmore")
    # What else goes wrong is not taken for it.
    with pytest.raises(RuntimeError, match="shapes"), alike():
        raise RuntimeError("shapes do not fit")
