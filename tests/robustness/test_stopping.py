"""Signals, full disks, folders that cannot be written to or that vanish: one sentence, and what is finished stays."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyserini_optical.cli import main
from pyserini_optical.data import Pair


def write_corpus(path: Path, texts: Iterable[str]) -> Path:
    """Write passages with ids 0, 1, …"""
    path.write_text("".join(json.dumps({"id": f"{n}", "text": text}) + "\n" for n, text in enumerate(texts)))
    return path


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """Let no file grow over a number of bytes, which fails as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _interruptible() -> None:
    """Undo what a shell does to commands in the background, lest tests that run there fail."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


COMMAND = """
import sys
from pyserini_optical.cli import main
from pyserini_optical.retrieve import sharding
sharding._SHARD = 16
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("number", "status", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")]
)
def test_a_signal_in_the_middle(
    number: signal.Signals, status: int, said: str, tiny: Path, toy_pairs: list[Pair], tmp_path: Path
) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", [f"{pair.english} {n}" for n in range(8) for pair in toy_pairs])
    arguments = ["encode", str(tiny), str(corpus), str(tmp_path / "index")]
    command = [sys.executable, "-c", COMMAND, *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_interruptible)
    work = tmp_path / ".index.work"
    while len(list(work.glob("0*/0*.docid"))) < 2 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == status
    assert err.splitlines()[-1] == f"pyserini-optical encode: {said}; run it again, what is finished is kept"
    assert "Traceback" not in err
    kept = sorted(path.name for path in work.rglob("*"))
    assert len([name for name in kept if name.endswith(".docid")]) >= 2
    assert not [name for name in kept if name.startswith(".")], "no half-written file is left"
    assert {path.name for path in tmp_path.iterdir()} == {"corpus.jsonl", ".index.work"}


def test_sigterm_is_handled_as_before_when_the_command_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyserini_optical.retrieve.searching.search", lambda *_, **__: os.kill(os.getpid(), 15))
    before = signal.getsignal(signal.SIGTERM)
    assert main(["search", "encoder", "index", "topics", "run"]) == 143
    assert signal.getsignal(signal.SIGTERM) == before
    # A thread may set no handler, and can run commands all the same.
    monkeypatch.setattr("pyserini_optical.retrieve.searching.search", lambda *_, **__: None)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(main(["search", "encoder", "index", "topics", "run"])))
    thread.start()
    thread.join()
    assert found == [0]


JAVA = """
import os, signal, sys
from pyserini_optical.cli import main
from pyserini_optical.integration.modules import java_class
from pyserini_optical.retrieve import searching

def search(*args, **kwargs):
    java_class("java.lang.String")
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    sum(range(10**7))

searching.search = search
sys.exit(main(["search", "encoder", "index", "topics", "run"]))
"""


@pytest.mark.parametrize(("number", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_the_jvm_leaves_signals_to_us(number: str, status: int) -> None:
    from pyserini_optical.errors import OpticalError
    from pyserini_optical.integration import ensure_java

    try:
        ensure_java()
    except OpticalError as error:
        pytest.skip(str(error))
    command = [sys.executable, "-c", JAVA, number]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=_interruptible)
    assert done.returncode == status
    assert done.stderr.splitlines()[-1].startswith("pyserini-optical search: ")


def refusing(number: int, when: Callable[[str], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system refuse to open some files for writing."""
    opened = os.open

    def refuse(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and isinstance(path, str | Path) and when(str(path)):
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", refuse)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("pyserini-optical ")]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_to_is_said_before_the_work(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refusing(number, lambda path: path.startswith(str(tmp_path)), monkeypatch)
    # There is no such encoder, which would be said next.
    assert main(["search", "encoder", "index", "topics", str(tmp_path / "run.txt")]) == 1
    reason = os.strerror(number)
    remedy = "choose an output directory that can be written to"
    assert lines(capsys) == [f"pyserini-optical search: {tmp_path / 'run.txt'}: cannot be written ({reason}); {remedy}"]


def test_what_is_made_can_be_used_where_nothing_can_be_written(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", ["the old boat", "a new house"])
    arguments = ["encode", str(tiny), str(corpus), str(tmp_path / "index")]
    assert main(arguments) == 0
    refusing(errno.EROFS, lambda path: path.startswith(str(tmp_path)), monkeypatch)
    assert main(arguments) == 0
    assert "is there already" in capsys.readouterr().err


def test_a_lost_temporary_directory_is_not_missed(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "lost"))
    corpus = write_corpus(tmp_path / "corpus.jsonl", ["the old boat", "a new house"])
    (tmp_path / "topics.tsv").write_text("1\tthe old boat\n")
    index, run = str(tmp_path / "index"), str(tmp_path / "run.txt")
    assert main(["encode", str(tiny), str(corpus), index]) == 0
    assert main(["search", str(tiny), index, str(tmp_path / "topics.tsv"), run]) == 0
    assert main(["rerank", str(tiny), str(corpus), str(tmp_path / "topics.tsv"), run, str(tmp_path / "b.txt")]) == 0


def test_a_work_folder_that_vanishes_is_said_and_made_again(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pyserini_optical.retrieve import sharding

    corpus = write_corpus(tmp_path / "corpus.jsonl", [f"the old boat {n}" for n in range(40)])
    arguments = ["encode", str(tiny), str(corpus), str(tmp_path / "index")]
    savez, calls = np.savez, iter(range(99))

    def losing(*args: Any, **kwargs: Any) -> None:
        if next(calls) == 1:
            shutil.rmtree(tmp_path / ".index.work")
        savez(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(sharding, "_SHARD", 16)
        patch.setattr(np, "savez", losing)
        assert main(arguments) == 1
    assert len(lines(capsys)) == 1
    assert main(arguments) == 0
    assert {path.name for path in (tmp_path / "index").iterdir()} == {"index", "docid", "manifest.json"}


def test_a_full_disk_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "words.tsv").write_text("mto\triver\n")
    (tmp_path / "topics.tsv").write_text("".join(f"{n}\tmto mto mto mto\n" for n in range(2000)))
    output = tmp_path / "english.tsv"
    command = ["translate", f"dictionary:{tmp_path / 'words.tsv'}", str(tmp_path / "topics.tsv"), str(output)]
    output.write_text("what was there before\n")
    with full_disk(10_000):
        assert main(command) == 1
    assert lines(capsys) == [
        f"pyserini-optical translate: {output}: File too large; check the disk and its permissions"
    ]
    assert output.read_text() == "what was there before\n"
    assert {path.name for path in tmp_path.iterdir()} == {"words.tsv", "topics.tsv", "english.tsv"}
