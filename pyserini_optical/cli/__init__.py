"""The command line: ``pyserini-optical COMMAND``, the same as ``python -m pyserini_optical COMMAND``.

Each command is a module of this package with ``HELP`` (one line), ``EXAMPLE`` (a command that can be typed),
``add_arguments(parser)`` and ``run(args)``, which calls one function of the Python interface and prints.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from pyserini_optical.errors import OpticalError

COMMANDS = ("quickstart", "distill", "encode", "search", "compare", "study", "pyserini", "doctor")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyserini-optical",
        description="Teach an English retriever another language from sentence pairs alone, and search with it in Pyserini.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"{__name__}.{name}")
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
    """Run one command; return its exit status: 0 done, 1 failed (one sentence on stderr), 2 wrong use, 130 interrupted."""
    args = _parser().parse_args(arguments)
    try:
        args.execute(args)
    except OpticalError as error:
        print(f"pyserini-optical {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            f"pyserini-optical {args.command}: interrupted; the same command goes on where it stopped", file=sys.stderr
        )
        return 130
    return 0
