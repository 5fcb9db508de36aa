"""Teach an English dense retriever another language from sentence pairs, and search with it in Pyserini.

Importing this package loads neither torch nor the JVM: the public names load what they need when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pyserini_optical.errors import CheckpointError, InputError, OpticalError, RecipeError, SetupError

if TYPE_CHECKING:
    from pyserini_optical.distillation import distill as distill
    from pyserini_optical.distillation import fine_tune as fine_tune
    from pyserini_optical.distillation import make_training_data as make_training_data
    from pyserini_optical.distillation import train_generator as train_generator
    from pyserini_optical.evaluate import align as align
    from pyserini_optical.evaluate import compare as compare
    from pyserini_optical.generation import generate as generate
    from pyserini_optical.integration import OpticalDocumentEncoder as OpticalDocumentEncoder
    from pyserini_optical.integration import OpticalQueryEncoder as OpticalQueryEncoder
    from pyserini_optical.integration import prepare as prepare
    from pyserini_optical.models import load_cross_encoder as load_cross_encoder
    from pyserini_optical.models import load_encoder as load_encoder
    from pyserini_optical.retrieve import encode_corpus as encode_corpus
    from pyserini_optical.retrieve import encode_tokens as encode_tokens
    from pyserini_optical.retrieve import export_collection as export_collection
    from pyserini_optical.retrieve import export_to_lucene as export_to_lucene
    from pyserini_optical.retrieve import fuse as fuse
    from pyserini_optical.retrieve import rerank as rerank
    from pyserini_optical.retrieve import search as search
    from pyserini_optical.translation import translate as translate

__version__ = "0.1.0"

_HOME = {
    "distill": "pyserini_optical.distillation",
    "fine_tune": "pyserini_optical.distillation",
    "make_training_data": "pyserini_optical.distillation",
    "train_generator": "pyserini_optical.distillation",
    "align": "pyserini_optical.evaluate",
    "compare": "pyserini_optical.evaluate",
    "generate": "pyserini_optical.generation",
    "OpticalDocumentEncoder": "pyserini_optical.integration",
    "OpticalQueryEncoder": "pyserini_optical.integration",
    "load_cross_encoder": "pyserini_optical.models",
    "load_encoder": "pyserini_optical.models",
    "prepare": "pyserini_optical.integration",
    "encode_corpus": "pyserini_optical.retrieve",
    "encode_tokens": "pyserini_optical.retrieve",
    "export_collection": "pyserini_optical.retrieve",
    "export_to_lucene": "pyserini_optical.retrieve",
    "fuse": "pyserini_optical.retrieve",
    "rerank": "pyserini_optical.retrieve",
    "search": "pyserini_optical.retrieve",
    "translate": "pyserini_optical.translation",
}

__all__ = [
    "CheckpointError",
    "InputError",
    "OpticalDocumentEncoder",
    "OpticalError",
    "OpticalQueryEncoder",
    "RecipeError",
    "SetupError",
    "__version__",
    "align",
    "compare",
    "distill",
    "encode_corpus",
    "encode_tokens",
    "export_collection",
    "export_to_lucene",
    "fine_tune",
    "fuse",
    "generate",
    "load_cross_encoder",
    "load_encoder",
    "make_training_data",
    "prepare",
    "rerank",
    "search",
    "train_generator",
    "translate",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
