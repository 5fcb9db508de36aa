from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from pyserini_optical.cli import pyserini as command
from pyserini_optical.errors import InputError, OpticalError
from pyserini_optical.integration import run_module
from pyserini_optical.integration.modules import runnable_modules


def test_modules_that_can_be_run() -> None:
    wanted = {"encode", "encode.query", "index.lucene", "index.faiss", "search.faiss", "search.lucene", "search.hybrid"}
    assert wanted | {"eval.trec_eval", "fusion"} <= set(runnable_modules())
    assert not {"util", "encode._auto"} & set(runnable_modules())


def test_unknown_modules_are_answered_with_near_names() -> None:
    with pytest.raises(InputError, match=r"no module 'search\.fais' .*search\.faiss"):
        run_module("search.fais", [])
    with pytest.raises(InputError, match=r"no module 'qqqq' .*encode"):
        run_module("qqqq", [])


def test_arguments_pass_through_untouched(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args(["fusion", "--method", "rrf", "-x", "--help", "a", "--", "b"])
    assert args.arguments == ["--method", "rrf", "-x", "--help", "a", "--", "b"]
    before = list(sys.argv)
    command.run(parser.parse_args(["pyserini.fusion", "--help"]))
    assert "pyserini-optical pyserini fusion" in capsys.readouterr().out
    assert sys.argv == before


def test_exit_status_is_that_of_the_module(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    with pytest.raises(SystemExit) as stop:
        command.run(parser.parse_args(["fusion", "--method", "rrf"]))
    assert stop.value.code == 2
    assert "required: --runs, --output" in capsys.readouterr().err


def test_an_exception_becomes_one_sentence(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.run")
    with pytest.raises(OpticalError, match=r"pyserini\.fusion failed .*missing\.run.*-X dev") as failure:
        run_module("fusion", ["--runs", missing, missing, "--output", str(tmp_path / "out")])
    assert "\n" not in str(failure.value)
