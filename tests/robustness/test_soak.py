"""The soak test in a short form; `make soak` is the long one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pyserini_optical.errors import OpticalError
from pyserini_optical.integration import ensure_java

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "soak.py"


def test_killed_commands_end_in_the_same_bytes(minilm: str, tmp_path: Path) -> None:
    try:
        ensure_java()
        commands = ["distill", "encode", "encode --tokens", "translate", "rerank", "study"]
    except OpticalError:
        commands = ["distill", "encode", "encode --tokens", "translate", "rerank"]
    output = tmp_path / "soak.json"
    arguments = ["--kills", "2", "--commands", *commands, "--output", str(output)]
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(output.read_text())["commands"]
    assert [one["command"] for one in found] == commands
    for one in found:
        assert one["wrong"] == []
        assert one["kills"] == 2
        assert one["finished"] >= 1
        assert one["files"] >= 1


def test_it_sees_what_is_different(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("soak", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    soak = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "soak", soak)
    spec.loader.exec_module(soak)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / ".hidden").write_text("left")
    (tmp_path / "training.json").write_text('{"loss": 1,\n"train_runtime": 2.5,\n"eval_samples_per_second": 3}')
    before = soak._contents(tmp_path)
    assert set(before) == {"x/.hidden", "training.json"}
    (tmp_path / "training.json").write_text('{"loss": 1,\n"train_runtime": 2.75,\n"eval_samples_per_second": 4}')
    assert soak._contents(tmp_path) == before
    (tmp_path / "training.json").write_text('{"loss": 2,\n"train_runtime": 2.5,\n"eval_samples_per_second": 3}')
    assert soak._contents(tmp_path) != before
