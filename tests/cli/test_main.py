from __future__ import annotations

import io
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyserini_optical.cli import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    out, err = capsys.readouterr()
    assert f"example:\n  pyserini-optical {command}" in out
    assert err == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_is_right_use(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib
    import shlex

    module = importlib.import_module(f"pyserini_optical.cli.{command.replace('-', '_')}")
    monkeypatch.setattr(module, "run", lambda args: print(args.command))
    assert main(shlex.split(module.EXAMPLE)[1:]) == 0
    assert capsys.readouterr().out == f"{command}\n"


def test_the_list_of_commands_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(f"    {command}" in out for command in COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["distill"],
        ["encode", "encoder", "corpus"],
        ["encode", "encoder", "corpus", "index", "--index-type", "ivf"],
        ["encode", "encoder", "corpus", "store", "--tokens", "8-bit"],
        ["encode", "encoder", "corpus", "store", "--tokens", "--index-type", "pq"],
        ["search", "encoder", "index", "topics", "run", "--hits", "many"],
        ["rerank", "encoder", "store", "topics", "run"],
        ["rerank", "encoder", "store", "topics", "run", "out", "--by", "guess"],
        ["compare", "qrels", "run", "--test", "guess"],
        ["study", "study.yaml", "--unknown"],
        ["quickstart", "extra"],
        ["pyserini"],
    ],
)
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: pyserini-optical")
    assert "error: " in err.splitlines()[-1]


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("pyserini-optical 0.")


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def search(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("pyserini_optical.retrieve.searching.search", search)


SEARCH = ["search", "encoder", "index", "topics", "run"]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted; run it again"),
        (OSError(28, "No space left on device", "/a/b"), 1, "/a/b: No space left on device; check the disk and"),
        (OSError("8192 requested and 100 written"), 1, "8192 requested and 100 written; check the disk and"),
        (PermissionError(13, "Permission denied", b"/a/b"), 1, "/a/b: Permission denied; check the disk and its perm"),
        (OSError(5, "Input/output error", 7), 1, "Input/output error; check the disk"),
    ],
)
def test_interrupts_and_what_the_system_refuses(
    error: BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raising(error, monkeypatch)
    assert main(SEARCH) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"pyserini-optical search: {said}")
    assert err.count("\n") == 1


def test_a_message_stays_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from pyserini_optical import InputError

    raising(InputError("no such file", path="odd\nname"), monkeypatch)
    assert main(SEARCH) == 1
    assert capsys.readouterr().err == "pyserini-optical search: odd name: no such file\n"


def test_mistakes_of_the_program_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(ZeroDivisionError(), monkeypatch)
    with pytest.raises(ZeroDivisionError):
        main(SEARCH)


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """Let no file grow over a number of bytes, which fails as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_a_full_disk(kind: str, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(f'{{"id": "{number}", "text": "the old boat {number}"}}\n' for number in range(300)))
    arguments = ["encode", str(tiny), str(corpus), str(tmp_path / "index"), "--index-type", kind]
    # The graph is larger than the vectors, which are written first.
    with full_disk(20_000 if kind == "flat" else 45_000):
        assert main(arguments) == 1
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("encoding passages: ")]
    assert out == ""
    assert len(lines) == 1
    assert lines[0].startswith("pyserini-optical encode: ")
    assert "Traceback" not in err
    assert not (tmp_path / "index").exists()
    assert main(arguments) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"corpus.jsonl", "index"}


CLOSED = """
import sys
from pyserini_optical.cli import main
from pyserini_optical.retrieve import searching
searching.search = lambda *args, **kwargs: print("many lines\\n" * 100_000)
sys.exit(main(["search", "encoder", "index", "topics", "run"]))
"""


def test_a_closed_pipe_is_said_nowhere() -> None:
    process = subprocess.Popen([sys.executable, "-c", CLOSED], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait() == 1


def test_standard_output_without_unicode_gets_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyserini_optical.retrieve.searching.search", lambda *args, **kwargs: None)
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main([*SEARCH[:-1], "métrica-\udc80"]) == 0
    out.seek(0)
    assert out.read() == "m?trica-?\n"
