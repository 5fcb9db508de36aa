from __future__ import annotations

import importlib
import re
import subprocess
import sys
from typing import Any

import pytest

import pyserini_optical
from pyserini_optical.errors import OpticalError

HEAVY = ("torch", "transformers", "sentence_transformers", "pyserini", "jnius", "faiss", "ranx", "numba", "ot")
PARTS = ("integration", "models", "distillation", "retrieve", "evaluate", "study", "translation")


@pytest.mark.parametrize("name", pyserini_optical.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value: Any = getattr(pyserini_optical, name)
    if name != "__version__":
        assert value.__name__ == name
        assert value.__doc__


def test_the_list_of_public_names_is_complete() -> None:
    assert pyserini_optical.__all__ == sorted(pyserini_optical.__all__)
    lazy = set(pyserini_optical._HOME)
    errors = {"OpticalError"} | {kind.__name__ for kind in OpticalError.__subclasses__()}
    assert set(pyserini_optical.__all__) == lazy | errors | {"__version__"}
    with pytest.raises(AttributeError, match="no attribute 'disstill'"):
        pyserini_optical.disstill  # noqa: B018


@pytest.mark.parametrize("part", PARTS)
def test_every_part_lists_what_it_has(part: str) -> None:
    module = importlib.import_module(f"pyserini_optical.{part}")
    for name in module.__all__:
        assert getattr(module, name) is not None


def loaded(code: str) -> set[str]:
    """Run Python code in a process of its own; give the heavy packages that it imported."""
    code += f"\nimport sys; print('loaded', *[name for name in {HEAVY} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(answer.stdout.splitlines()[-1].split()[1:])


def test_importing_the_package_and_its_parts_loads_nothing_heavy() -> None:
    parts = ", ".join(f"pyserini_optical.{part}" for part in PARTS)
    assert loaded(f"import pyserini_optical, {parts}, pyserini_optical.cli, pyserini_optical.quickstart") == set()


def test_help_loads_nothing_heavy() -> None:
    from pyserini_optical.cli import COMMANDS

    code = f"""
from pyserini_optical.cli import main
for arguments in [["--help"], ["--version"], *([command, "--help"] for command in {COMMANDS})]:
    try:
        main(arguments)
    except SystemExit as stop:
        assert stop.code == 0, arguments
"""
    assert loaded(code) == set()


def test_the_version_is_the_one_that_is_installed() -> None:
    from importlib import metadata

    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", pyserini_optical.__version__)
    assert metadata.version("pyserini-optical") == pyserini_optical.__version__
