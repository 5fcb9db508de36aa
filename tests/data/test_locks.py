from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pyserini_optical.data import one_process, only_process, waiting, write_text
from pyserini_optical.errors import InputError

HOLD = """
import sys
import threading
import time
from pyserini_optical.data import only_process
with only_process(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""

WRITE = """
import sys
import threading
import time
from pyserini_optical.data import write_text
with write_text(sys.argv[1]) as file:
    file.write("half")
    file.flush()
    print("written", flush=True)
    sys.stdin.read()
"""


def start(code: str, output: Path) -> subprocess.Popen[str]:
    """Start a process that says a word when it is where it should be, and ends with its standard input."""
    command = [sys.executable, "-c", code, str(output)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_second_process_is_refused_until_the_first_ends_or_is_killed(tmp_path: Path) -> None:
    output = tmp_path / "index"
    first = start(HOLD, output)
    expected = rf"index: is being made by process {first.pid}; wait until it has ended, or choose another output"
    with pytest.raises(InputError, match=expected), only_process(output):
        pass
    with only_process(tmp_path / "another"):
        pass
    first.communicate()
    assert names(tmp_path) == set()
    second = start(HOLD, output)
    second.send_signal(signal.SIGKILL)
    assert second.wait() == -signal.SIGKILL
    assert names(tmp_path) == {".index.lock"}
    with only_process(output):
        assert (tmp_path / ".index.lock").read_text().startswith(f"{os.getpid()} ")
    assert names(tmp_path) == set()


def test_one_process_is_refused_a_second_time_too(tmp_path: Path) -> None:
    with only_process(tmp_path / "x"):
        with pytest.raises(InputError, match=f"process {os.getpid()};"), only_process(tmp_path / "x"):
            pass
        assert names(tmp_path) == {".x.lock"}


def test_a_process_on_another_machine_is_named_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with only_process(tmp_path / "x"):
        monkeypatch.setattr("platform.node", lambda: "here")
        (tmp_path / ".x.lock").write_text("12 there")
        with pytest.raises(InputError, match="made by process 12 on there;"), only_process(tmp_path / "x"):
            pass


def test_a_lock_that_its_holder_just_removed_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock, lock = fcntl.flock, tmp_path / ".x.lock"

    def removed_before(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        lock.unlink()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", removed_before)
    with only_process(tmp_path / "x"):
        assert lock.exists()
        with pytest.raises(InputError, match="is being made by"), only_process(tmp_path / "x"):
            pass


def test_a_file_system_without_locks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with only_process(tmp_path / "x"), write_text(tmp_path / "x") as file:
        file.write("text")
    assert "has no locks, so take care that one process alone writes" in capsys.readouterr().err
    assert names(tmp_path) == {"x"}


def test_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match=r"file/x: cannot be written \(File exists\)"),
        only_process(tmp_path / "file" / "x"),
    ):
        pass

    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    (tmp_path / "made").mkdir()
    monkeypatch.setattr(os, "open", refuse)
    expected = r"x: cannot be written \(Read-only file system\); choose an output"
    with pytest.raises(InputError, match=expected), only_process(tmp_path / "x"):
        pass
    with only_process(tmp_path / "made"):  # which may need no writing
        pass


def test_folders_that_were_made_for_nothing_go_again(tmp_path: Path) -> None:
    with only_process(tmp_path / "a" / "b" / "x"):
        assert (tmp_path / "a" / "b").is_dir()
    assert names(tmp_path) == set()
    with only_process(tmp_path / "a" / "b" / "x"):
        (tmp_path / "a" / "kept").write_text("")
    assert names(tmp_path / "a") == {"kept"}


def test_the_decorator_finds_the_output_however_it_is_given(tmp_path: Path) -> None:
    @one_process("output")
    def locks(one: int, output: Path | None = None) -> set[str]:
        return names(tmp_path)

    assert locks(1) == locks(1, None) == set()
    assert locks(1, tmp_path / "x") == locks(1, output=tmp_path / "x") == {".x.lock"}
    assert locks.__name__ == "locks"


def test_what_a_killed_writer_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    output = tmp_path / "run.txt"
    (tmp_path / ".run.txt.notes.txt").write_text("somebody's")
    killed, living = start(WRITE, output), start(WRITE, output)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert len(names(tmp_path)) == 3
    with write_text(output) as file:
        file.write("whole")
    assert len(names(tmp_path)) == 3  # the living one's, the notes, the file
    living.communicate()
    assert names(tmp_path) == {"run.txt", ".run.txt.notes.txt"}
    assert output.read_text() == "half"


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(InputError, match="fifo: is not a regular file"), write_text(fifo):
        pass
    assert fifo.is_fifo()


def test_what_a_link_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to("real/there.txt")
    for text in ("first", "second"):
        with write_text(link) as file:
            file.write(text)
        assert link.is_symlink()
        assert (tmp_path / "real" / "there.txt").read_text() == text
    assert names(tmp_path) == {"real", "link.txt"}
    assert names(tmp_path / "real") == {"there.txt"}


def test_waiting_opens_no_more_and_more_files(tmp_path: Path) -> None:
    holder = start(HOLD, tmp_path / "out")
    assert holder.stdin is not None
    threading.Timer(1.5, holder.stdin.close).start()
    before = len(os.listdir("/proc/self/fd"))
    most = []
    timer = threading.Timer(1.0, lambda: most.append(len(os.listdir("/proc/self/fd"))))
    timer.start()
    with waiting(), only_process(tmp_path / "out"):
        timer.join()
        assert most[0] <= before + 3
    holder.wait()


def test_too_many_open_files_do_not_let_a_second_process_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    full = OSError(errno.EMFILE, "Too many open files")
    monkeypatch.setattr("pyserini_optical.data.locks._take", lambda *args, **options: (_ for _ in ()).throw(full))
    with pytest.raises(InputError, match="Too many open files"), only_process(tmp_path / "there"):
        pass


def test_it_waits_where_it_shall(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "out")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    threading.Timer(0.5, holder.stdin.close).start()
    started = time.monotonic()
    with waiting(), only_process(tmp_path / "out"):
        assert time.monotonic() - started > 0.4
    assert capsys.readouterr().err.count(f"is being made by process {holder.pid}; waiting for it") == 1
    holder.wait()
    # And not any more afterwards.
    with (
        only_process(tmp_path / "out"),
        pytest.raises(InputError, match="is being made by"),
        only_process(tmp_path / "out"),
    ):
        pass
