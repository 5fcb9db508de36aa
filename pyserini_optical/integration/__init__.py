"""All that knows Pyserini: a Java for it, its releases, the encoder class ``optical``, its commands, its BM25.

Importing this package loads neither Pyserini, nor the JVM, nor torch; :func:`prepare` makes the first ``import
pyserini`` work.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyserini_optical.integration.encoders import OpticalDocumentEncoder as OpticalDocumentEncoder
    from pyserini_optical.integration.encoders import OpticalQueryEncoder as OpticalQueryEncoder
    from pyserini_optical.integration.java import ensure_java as ensure_java
    from pyserini_optical.integration.lucene import analyzer_for as analyzer_for
    from pyserini_optical.integration.lucene import bm25_index as bm25_index
    from pyserini_optical.integration.lucene import bm25_search as bm25_search
    from pyserini_optical.integration.lucene import trec_eval as trec_eval
    from pyserini_optical.integration.modules import java_class as java_class
    from pyserini_optical.integration.modules import prepare as prepare
    from pyserini_optical.integration.modules import run_module as run_module
    from pyserini_optical.integration.plugin import register as register

_HOME = {
    "OpticalDocumentEncoder": "encoders",
    "OpticalQueryEncoder": "encoders",
    "analyzer_for": "lucene",
    "bm25_index": "lucene",
    "bm25_search": "lucene",
    "ensure_java": "java",
    "java_class": "modules",
    "prepare": "modules",
    "register": "plugin",
    "run_module": "modules",
    "trec_eval": "lucene",
}

__all__ = [
    "OpticalDocumentEncoder",
    "OpticalQueryEncoder",
    "analyzer_for",
    "bm25_index",
    "bm25_search",
    "ensure_java",
    "java_class",
    "prepare",
    "register",
    "run_module",
    "trec_eval",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
