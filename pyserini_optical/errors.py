"""Every error that the package raises on purpose.

::

    OpticalError
    ├── InputError          a file or a text that cannot be used (says where and what to do)
    ├── RecipeError         a recipe or study file with an unknown, missing or impossible setting
    ├── CheckpointError     an encoder, index or store that is broken or does not fit another
    └── SetupError          something that must be installed first (Java, Pyserini, an extra)

The command line prints the message of any of them on stderr, without a traceback, and exits with status 1.
"""

from __future__ import annotations

from os import PathLike, fspath


class OpticalError(Exception):
    """Base of all errors that the package raises on purpose."""


class InputError(OpticalError):
    """A file or a text that cannot be used.

    The message reads ``file:line: what is wrong; remedy`` as far as the parts are known.

    Parameters
    ----------
    problem : str
        What is wrong, as a clause without a full stop.
    path : path-like, optional
        The file in which it stands.
    line : int, optional
        The line, counted from 1.
    remedy : str, optional
        What the user can do about it, as a clause without a full stop.
    """

    def __init__(
        self,
        problem: str,
        *,
        path: str | PathLike[str] | None = None,
        line: int | None = None,
        remedy: str | None = None,
    ) -> None:
        place = "" if path is None else fspath(path) + (f":{line}" if line is not None else "") + ": "
        super().__init__(place + problem + (f"; {remedy}" if remedy else ""))
        self.path = path
        self.line = line


class RecipeError(OpticalError):
    """A recipe or study file with an unknown, missing or impossible setting."""


class CheckpointError(OpticalError):
    """An encoder, index or store that is broken or does not fit another."""


class SetupError(OpticalError):
    """Something that must be installed or set up first."""
