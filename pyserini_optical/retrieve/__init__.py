"""Encoding corpora and searching them; the public names are loaded when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyserini_optical.retrieve.encoding import encode_corpus as encode_corpus
    from pyserini_optical.retrieve.searching import search as search

__all__ = ["encode_corpus", "search"]

_HOME = {"encode_corpus": "encoding", "search": "searching"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
