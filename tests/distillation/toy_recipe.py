"""What tests of whole distillations share: 240 pairs, batches of 20, 2 epochs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pyserini_optical.distillation import Recipe

STEPS = 24
Make = Callable[..., Recipe]


def weights(folder: Path) -> bytes:
    """Give the bytes of a checkpoint's weights."""
    return (folder / "model.safetensors").read_bytes()
