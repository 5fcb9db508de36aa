"""What is shown: results on standard output; what is going on, and how far it has come, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyserini_optical.processes import speaks

if TYPE_CHECKING:
    from rich.console import Console

Advance = Callable[[int], None]


def say(message: str) -> None:
    """Print one line about what is going on, on stderr, so that standard output holds results only.

    Of several processes on one training only the first speaks.
    """
    if speaks():
        print(message, file=sys.stderr, flush=True)


def results() -> Console:
    """Give a console on standard output for tables; wide where that is no terminal, so that no line is folded."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 10_000
    return console


@contextmanager
def progress(what: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """Show progress while the block runs; it gets a function that says how many more are done.

    It is a bar on a terminal, and a plain line every tenth otherwise.

    Parameters
    ----------
    what : str
        What is being done, with its unit: ``encoding passages``.
    total : int
        How many there are.
    done : int
        How many were done before, by an earlier process.
    """
    if not speaks():
        yield lambda count: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=total, completed=done)
            yield lambda count: bar.advance(task, count)
    else:
        yield _lines(what, total, done)


def _lines(what: str, total: int, done: int) -> Advance:
    started, first = time.monotonic(), done
    tenth = 10 * done // max(total, 1)

    def advance(count: int) -> None:
        nonlocal done, tenth
        done += count
        if 10 * done // max(total, 1) > tenth:
            tenth = 10 * done // max(total, 1)
            rate = (done - first) / max(time.monotonic() - started, 1e-9)
            say(f"{what}: {done}/{total} ({rate:.1f} a second)")

    return advance
