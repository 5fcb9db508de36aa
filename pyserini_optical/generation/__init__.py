"""Synthetic topics: questions that a query generator writes about the passages of a corpus, filtered.

The public names are loaded when first used: importing this package does not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyserini_optical.generation.filters import GenerationReport as GenerationReport
    from pyserini_optical.generation.settings import Generation as Generation
    from pyserini_optical.generation.topics import RoundTrip as RoundTrip
    from pyserini_optical.generation.topics import generate as generate
    from pyserini_optical.generation.topics import generate_questions as generate_questions

__all__ = ["Generation", "GenerationReport", "RoundTrip", "generate", "generate_questions"]

_HOME = {
    "Generation": "settings",
    "GenerationReport": "filters",
    "RoundTrip": "topics",
    "generate": "topics",
    "generate_questions": "topics",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
