"""The inputs that `make fuzz` starts from, and those that it found trouble with, each given to its reader again."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz", HERE.parents[1] / "benchmarks" / "fuzz.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fuzz = _load()
INPUTS = sorted(path for path in HERE.glob("*/*") if path.suffix != ".pyc")


def test_every_target_has_inputs_and_they_are_small() -> None:
    assert {path.parent.name for path in INPUTS} == set(fuzz.TARGETS)
    assert sum(path.stat().st_size for path in INPUTS) < 50_000


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.relative_to(HERE).as_posix())
def test_it_ends_well_or_in_an_error_of_ours(path: Path) -> None:
    fuzz.replay(path.parent.name, path.read_bytes())


@pytest.mark.parametrize("target", [path.parent.name for path in INPUTS if path.name == "good"])
def test_the_good_input_is_read(target: str, tmp_path: Path) -> None:
    fuzz.TARGETS[target]((HERE / target / "good").read_bytes(), tmp_path)
