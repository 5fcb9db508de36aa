"""The command line: ``pyserini-optical COMMAND``, the same as ``python -m pyserini_optical COMMAND``.

Each command is a module of this package with ``HELP`` (one line), ``EXAMPLE`` (a command that can be typed),
``add_arguments(parser)`` and ``run(args)``, which calls one function of the Python interface and prints.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pyserini_optical.errors import OpticalError
from pyserini_optical.processes import speaks

COMMANDS = (
    "quickstart",
    "distill",
    "make-training-data",
    "fine-tune",
    "train-generator",
    "generate",
    "encode",
    "search",
    "export",
    "rerank",
    "fuse",
    "translate",
    "compare",
    "align",
    "study",
    "pyserini",
    "doctor",
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyserini-optical",
        description="Teach an English retriever another language from sentence pairs, and search with it in Pyserini.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.HELP,
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(execute=module.run)
    return parser


def _version() -> str:
    from pyserini_optical import __version__

    return f"pyserini-optical {__version__}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command and its arguments; those of the process by default.

    Returns
    -------
    int
        Exit status: 0 done, 1 failed (with one sentence on stderr), 130 interrupted (SIGINT), 143 ended (SIGTERM);
        wrong use leaves with 2.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A table is better with a question mark in it than not at all, where the terminal has no Unicode.
        sys.stdout.reconfigure(errors="replace")
    args = _parser().parse_args(arguments)
    try:
        with _sigterm_raised():
            args.execute(args)
            sys.stdout.flush()
    except OpticalError as error:
        return _fail(args.command, str(error), 1)
    except BrokenPipeError:
        # `| head` has seen enough; what is left in the buffer would raise again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return _fail(args.command, f"{place}{error.strerror or error}; check the disk and its permissions", 1)
    except KeyboardInterrupt as stop:
        ended = isinstance(stop, _Terminated)
        problem = "ended by SIGTERM" if ended else "interrupted"
        status = 143 if ended else 130
        if not speaks():  # of several processes, which all end
            return status
        return _fail(args.command, f"{problem}; run it again, what is finished is kept", status)
    return 0


class _Terminated(KeyboardInterrupt):
    """SIGTERM came; what is half done is put away as after Ctrl-C."""


@contextmanager
def _sigterm_raised() -> Iterator[None]:
    """Raise on SIGTERM inside the block, in the thread that may have handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would cut the clean-up short
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _fail(command: str, message: str, status: int) -> int:
    print(f"pyserini-optical {command}: {' '.join(message.splitlines())}", file=sys.stderr)
    return status
