"""Pyserini's pickles of encoded queries: a pickle can hold code, so none is read unless the user says so."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyserini_optical.errors import InputError


@contextmanager
def refused() -> Iterator[None]:
    """Inside the block pandas reads no pickle (``--encoded-queries``), and Pyserini's searchers none either.

    What pickles in memory, as processes that talk to each other do, goes on working.
    """
    import pandas as pd

    theirs = pd.read_pickle, pickle.load

    def refuse(file: Any, *arguments: Any, **options: Any) -> Any:
        path = getattr(file, "name", file)
        remedy = "if it is your own, say so with `pyserini-optical pyserini --unpickle MODULE …`"
        raise InputError("a pickle, which can hold code, is not read", path=str(path), remedy=remedy)

    pd.read_pickle, pickle.load = refuse, refuse
    try:
        yield
    finally:
        pd.read_pickle, pickle.load = theirs
