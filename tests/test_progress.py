from __future__ import annotations

import io
import sys

import pytest

from pyserini_optical.progress import progress, results, say


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_lines_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("counting things", 40) as advance:
        for _ in range(40):
            advance(1)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) == 10
    assert lines[0].startswith("counting things: 4/40 (")
    assert lines[-1].startswith("counting things: 40/40 (")


def test_what_was_done_before_is_not_counted_as_speed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 2.0])
    monkeypatch.setattr("pyserini_optical.progress.time.monotonic", lambda: next(clock))
    with progress("counting things", 100, done=90) as advance:
        advance(10)
    assert capsys.readouterr().err == "counting things: 100/100 (5.0 a second)\n"


def test_nothing_to_do_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("counting things", 0):
        pass
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with progress("counting things", 4, done=1) as advance:
        advance(3)
        say("in between")
    shown = terminal.getvalue()
    assert "4/4" in shown
    assert "counting things" in shown
    assert "in between" in shown


def test_results_are_not_folded_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    results().print("word " * 39)
    out, err = capsys.readouterr()
    assert (out.count("\n"), err) == (1, "")
