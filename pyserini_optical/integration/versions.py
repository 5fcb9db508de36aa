"""Where Pyserini's releases differ: every branch of this project over its versions is in this file.

========================================  ==================================================================
release                                   what is mended
========================================  ==================================================================
1.6, 2.0                                  ``import pyserini.encode`` fails without ``OPENAI_API_KEY``
2.4                                       ``import pyserini.search`` fetches two index descriptions
all                                       topic ids in digits become integers and lose leading zeros
========================================  ==================================================================

Nothing is imported ahead of time: each repair is done around the import of the module that needs it.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

Repair = Callable[[ModuleType], AbstractContextManager[None]]

_repairs: dict[str, list[Repair]] = {}


class _RepairingFinder:
    """Finds modules as Python does, and wraps the execution of those that have repairs."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _repairs:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_repaired(module: ModuleType) -> None:
            with ExitStack() as stack:
                for repair in _repairs[name]:
                    stack.enter_context(repair(module))
                execute(module)

        spec.loader.exec_module = execute_repaired  # type: ignore[method-assign]
        return spec


def around_import(name: str, repair: Repair) -> None:
    """Enter ``repair(module)`` around the first import of a module; at once, if it is imported already.

    Parameters
    ----------
    name : str
        Full name of the module.
    repair : callable
        Gives a context manager; what stands before its ``yield`` runs before the module's code, the rest after it.
    """
    if _RepairingFinder not in sys.meta_path:
        sys.meta_path.insert(0, _RepairingFinder)
    _repairs.setdefault(name, []).append(repair)
    if name in sys.modules:
        with repair(sys.modules[name]):
            pass


@cache
def mend_imports() -> None:
    """Let every supported Pyserini be imported with no network and no API key; further calls do nothing."""
    around_import("pyserini.encode", _without_openai_key)
    around_import("pyserini.prebuilt_index_info", _without_network)
    around_import("pyserini.query_iterator", _with_ids_as_text)


@contextmanager
def _without_openai_key(module: ModuleType) -> Iterator[None]:
    """1.6 and 2.0 make an OpenAI client while they are imported; it does nothing until it is used."""
    if os.environ.get("OPENAI_API_KEY"):
        yield
        return
    before = os.environ.get("OPENAI_API_KEY")
    os.environ["OPENAI_API_KEY"] = "not set"
    try:
        yield
    finally:
        del os.environ["OPENAI_API_KEY"]
        if before is not None:
            os.environ["OPENAI_API_KEY"] = before


@contextmanager
def _without_network(module: ModuleType) -> Iterator[None]:
    """2.4 looks up the targets of two aliases while it is imported; here they are looked up when they are used.

    Its catalogues fetch their entries with ``urlopen`` on first use. During the import that is answered with a stand-in
    for each entry that the source names; afterwards stand-ins become aliases, and the catalogues are empty again.
    """
    import urllib.request

    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    names = re.findall(r"""\b[A-Z_]+\[["']([^"']+)["']\]""", source)
    mark = "pyserini-optical stand-in"
    blank = {"description": mark, "urls": [], "md5": "", "size": 0}
    records = json.dumps([{**blank, "name": name, "filename": name} for name in names]).encode()
    fetch = urllib.request.urlopen
    urllib.request.urlopen = lambda *args, **kwargs: io.BytesIO(records)
    try:
        yield
    finally:
        urllib.request.urlopen = fetch
    if not hasattr(module, "urlopen"):
        return  # an older release: the descriptions are in its source
    vars(module)["urlopen"] = fetch
    parts = list(vars(module).values())
    for catalogue in parts:
        if hasattr(catalogue, "_info"):
            catalogue._info = None
    for table in parts:
        stand_ins = {alias: entry["filename"] for alias, entry in _entries(table) if entry.get("description") == mark}
        for catalogue in parts:
            if stand_ins and any(source is table for source in getattr(catalogue, "_sources", ())):
                catalogue._aliases.update(stand_ins)
        for alias in stand_ins:
            del table[alias]


def _entries(table: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(key, value) for key, value in table.items() if isinstance(value, dict)] if type(table) is dict else []


@contextmanager
def _with_ids_as_text(module: ModuleType) -> Iterator[None]:
    """Pyserini turns ids that are digits into integers; topics files of tab-separated lines are read here instead."""
    yield
    iterator = module.DefaultQueryIterator
    from_topics = iterator.from_topics

    def from_topics_as_text(cls: Any, topics_path: str) -> Any:
        if not re.search(r"\.(tsv|txt)(\.gz|\.xz)?$", topics_path):
            return from_topics.__func__(cls, topics_path)
        from pyserini_optical.data import read_topics

        topics = read_topics(topics_path)
        return cls({topic: {"title": text} for topic, text in topics.items()}, list(topics))

    iterator.from_topics = classmethod(from_topics_as_text)
