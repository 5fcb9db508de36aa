"""Encoding corpora, searching them and re-ranking; the public names are loaded when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyserini_optical.retrieve.encoding import encode_corpus as encode_corpus
    from pyserini_optical.retrieve.export import export_collection as export_collection
    from pyserini_optical.retrieve.fusion import Fusion as Fusion
    from pyserini_optical.retrieve.fusion import fuse as fuse
    from pyserini_optical.retrieve.fusion import tune_fusion as tune_fusion
    from pyserini_optical.retrieve.lucene_export import export_to_lucene as export_to_lucene
    from pyserini_optical.retrieve.reranking import rerank as rerank
    from pyserini_optical.retrieve.searching import search as search
    from pyserini_optical.retrieve.token_encoding import encode_tokens as encode_tokens

__all__ = [
    "Fusion",
    "encode_corpus",
    "encode_tokens",
    "export_collection",
    "export_to_lucene",
    "fuse",
    "rerank",
    "search",
    "tune_fusion",
]

_HOME = {
    "Fusion": "fusion",
    "encode_corpus": "encoding",
    "encode_tokens": "token_encoding",
    "export_collection": "export",
    "export_to_lucene": "lucene_export",
    "fuse": "fusion",
    "rerank": "reranking",
    "search": "searching",
    "tune_fusion": "fusion",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
