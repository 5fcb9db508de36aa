"""Pyserini's commands, run in this process with Java, our encoders and topic ids taken care of."""

from __future__ import annotations

import difflib
import importlib.util
import runpy
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

from pyserini_optical.errors import InputError, OpticalError, SetupError
from pyserini_optical.integration.java import ensure_java
from pyserini_optical.integration.pickles import refused
from pyserini_optical.integration.plugin import in_place_of_auto, register
from pyserini_optical.integration.versions import mend_imports


@cache
def prepare() -> None:
    """Make Pyserini ready: a Java, imports without network or API key, the encoder class ``optical``.

    To be called before ``import pyserini…``; further calls do nothing. It imports nothing of Pyserini itself.

    Raises
    ------
    SetupError
        Pyserini is not installed, or there is no usable Java.
    """
    pyserini_home()
    ensure_java()
    mend_imports()
    register()


def run_module(name: str, arguments: Sequence[str], *, unpickle: bool = False) -> int:
    """Run ``python -m pyserini.NAME ARGUMENTS`` in this process, prepared.

    Parameters
    ----------
    name : str
        A module of Pyserini that can be run, such as ``search.faiss``; a leading ``pyserini.`` may be there.
    arguments : sequence of str
        Handed on untouched.
    unpickle : bool
        Whether the module may read pickles, as ``search.faiss --encoded-queries`` wants to: they can hold code.

    Returns
    -------
    int
        The exit status that the module would give the shell.

    Raises
    ------
    InputError
        Pyserini has no such module.
    OpticalError
        The module raised an exception, or would have read a pickle.
    SetupError
        As :func:`prepare`.
    """
    name = name.removeprefix("pyserini.")
    known = runnable_modules()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or ["encode", "index.lucene", "search.faiss"]
        raise InputError(
            f"Pyserini {_version()} has no module {name!r} that can be run", remedy=f"perhaps {' or '.join(near)}"
        )
    prepare()
    saved = sys.argv
    sys.argv = [f"pyserini-optical pyserini {name}", *arguments]
    try:
        with ExitStack() as around:
            if name == "encode.query":
                around.enter_context(in_place_of_auto())
            if not unpickle:
                around.enter_context(refused())
            runpy.run_module(f"pyserini.{name}", run_name="__main__")
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except OpticalError:
        raise
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        raise OpticalError(
            f"pyserini.{name} failed ({type(error).__name__}: {reason}); check its arguments and files, or see the "
            f"traceback with `python -X dev -m pyserini_optical pyserini {name} …`"
        ) from error
    finally:
        sys.argv = saved
    return 0


def java_class(name: str) -> Any:
    """Give a Java class of the JVM that Pyserini uses, by its full name; the first call starts that JVM.

    Raises
    ------
    SetupError
        As :func:`prepare`.
    """
    prepare()
    from pyserini.pyclass import autoclass

    return autoclass(name)


def runnable_modules() -> list[str]:
    """Name the modules of the installed Pyserini that can be run, without importing any."""
    home = pyserini_home()
    names = set()
    for path in home.rglob("*.py"):
        parts = path.relative_to(home).with_suffix("").parts
        if parts[-1] == "__main__":
            names.add(".".join(parts[:-1]))
        elif "__main__" in path.read_text(encoding="utf-8"):
            names.add(".".join(parts))
    return sorted(names - {""})


def pyserini_home() -> Path:
    spec = importlib.util.find_spec("pyserini")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError("Pyserini is not installed; run `pip install pyserini`")
    return Path(spec.submodule_search_locations[0])


def _version() -> str:
    from importlib import metadata

    return metadata.version("pyserini")
