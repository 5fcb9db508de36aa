"""An encoder without a model, and corpora without sense: what streaming, resuming and searching need, and no more."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.models import Encoder


class Made:
    """Vectors drawn by chance from the text, the same for the same text; ``encoded`` counts passages."""

    name, device = "made-up", "cpu"

    def __init__(self, dimension: int = 16, fingerprint: str = "a", fail_after: int | None = None) -> None:
        self.dimension = self.token_dimension = dimension
        self.weighs_queries = False
        self.document_fingerprint = self.token_fingerprint = fingerprint
        self.encoded = 0
        self._fail_after = fail_after

    def encode_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode, or be interrupted."""
        if self._fail_after is not None and self.encoded >= self._fail_after:
            raise KeyboardInterrupt
        self.encoded += len(texts)
        return self.encode_queries(texts)

    def passage_tokens(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Encode words one by one, or be interrupted."""
        if self._fail_after is not None and self.encoded >= self._fail_after:
            raise KeyboardInterrupt
        self.encoded += len(texts)
        return self.query_tokens(texts)

    def query_tokens(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Encode words one by one; a dash is no word."""
        return [self.encode_queries([word for word in text.split() if word != "-"]) for text in texts]

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode the text itself, so that a passage is found by its own words."""
        draws = [np.random.default_rng(zlib.crc32(text.encode())).standard_normal(self.dimension) for text in texts]
        vectors = np.array(draws, dtype=np.float32).reshape(len(texts), self.dimension)
        unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def made_up(dimension: int = 16, fingerprint: str = "a", fail_after: int | None = None) -> Encoder:
    """Give such an encoder under the type that the functions ask for."""
    return cast(Encoder, Made(dimension, fingerprint, fail_after))


def count(encoder: Encoder) -> int:
    """Give how many passages it has encoded."""
    return cast(Made, encoder).encoded


def write_corpus(path: Path, texts: Iterable[str]) -> Path:
    """Write passages with ids 0000, 0001, …"""
    lines = (json.dumps({"id": f"{number:04d}", "text": text}) for number, text in enumerate(texts))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Give the bytes of all files but the manifest."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}
