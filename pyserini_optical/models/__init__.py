"""Loading teachers and students, and giving a student the vocabulary of another language.

The public names are loaded when first used: importing this package does not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyserini_optical.models.cross_encoder import CrossEncoder as CrossEncoder
    from pyserini_optical.models.cross_encoder import load_cross_encoder as load_cross_encoder
    from pyserini_optical.models.encoder import Encoder as Encoder
    from pyserini_optical.models.encoder import load_encoder as load_encoder
    from pyserini_optical.models.names import resolve_model as resolve_model

__all__ = ["CrossEncoder", "Encoder", "load_cross_encoder", "load_encoder", "resolve_model"]

_HOME = {
    "CrossEncoder": "cross_encoder",
    "Encoder": "encoder",
    "load_cross_encoder": "cross_encoder",
    "load_encoder": "encoder",
    "resolve_model": "names",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
