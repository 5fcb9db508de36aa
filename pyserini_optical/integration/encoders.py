"""Encoder classes as Pyserini calls them, thin over :func:`pyserini_optical.models.load_encoder`.

They need no Pyserini: its searchers and commands take any object with ``encode``. How texts are encoded (model,
pooling, length, prefix) is written in the checkpoint, so what Pyserini passes on about that is accepted and not used.
Of a checkpoint made for late interaction they give fixed-dimensional encodings, so that Pyserini's indexes of single
vectors retrieve by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Query: TypeAlias = str | dict[str, Any]
"""A query's text, or the dictionary with ``qid`` and ``query`` that ``--topics-format raw_jsonl`` makes of it."""


def is_optical(encoder: str) -> bool:
    """Tell whether an encoder's name means the class ``optical``.

    It does if it is a folder with ``optical.json``, begins with ``package:``, or holds the word ``optical``, which is
    how Pyserini itself infers classes from names; the folders that it lies in do not count.
    """
    path = Path(encoder)
    return "optical" in path.name.lower() or encoder.startswith("package:") or (path / "optical.json").is_file()


class OpticalQueryEncoder:
    """Encodes queries for ``FaissSearcher``, ``HybridSearcher`` and Pyserini's commands.

    Parameters
    ----------
    encoder_dir : str
        Checkpoint: a path, a hub name or ``package:PACKAGE/FOLDER``.
    device : str, optional
        Torch device; the first GPU, else the CPU, by default.
    **kwargs
        What Pyserini passes to every query encoder (``tokenizer_name``, ``prefix``, ``fp16`` …); not used.

    Raises
    ------
    CheckpointError
        There is no usable model of that name.
    """

    def __init__(self, encoder_dir: str, device: str | None = None, **kwargs: Any) -> None:
        from pyserini_optical.models import load_encoder

        self._encoder = load_encoder(str(encoder_dir), device)

    def encode(self, query: str, **kwargs: Any) -> NDArray[np.float32]:
        """Encode one query.

        Returns
        -------
        ndarray of float32, shape (dimension,)
            Unit vector, or fixed-dimensional encoding.
        """
        vector: NDArray[np.float32] = self.encode_batch([query])[0]
        return vector

    def encode_batch(self, queries: Sequence[Query], **kwargs: Any) -> NDArray[np.float32]:
        """Encode several queries, texts or dictionaries with the key ``query``.

        Returns
        -------
        ndarray of float32, shape (len(queries), dimension)
            Unit vectors, or fixed-dimensional encodings.
        """
        return self._encoder.encode_queries([q["query"] if isinstance(q, dict) else q for q in queries])


class OpticalDocumentEncoder:
    """Encodes passages for ``pyserini.encode``, with the model that the checkpoint names for documents.

    Parameters
    ----------
    model_name : str
        Checkpoint: a path, a hub name or ``package:PACKAGE/FOLDER``.
    device : str, optional
        Torch device; the first GPU, else the CPU, by default.
    **kwargs
        What Pyserini passes to every document encoder; not used.

    Raises
    ------
    CheckpointError
        There is no usable model of that name.
    """

    def __init__(self, model_name: str, device: str | None = None, **kwargs: Any) -> None:
        from pyserini_optical.models import load_encoder

        self._encoder = load_encoder(str(model_name), device)

    def encode(self, texts: Sequence[str], titles: Sequence[str] | None = None, **kwargs: Any) -> NDArray[np.float32]:
        """Encode passages by their texts; titles are taken and not used, as everywhere in this package.

        Returns
        -------
        ndarray of float32, shape (len(texts), dimension)
            Unit vectors, or fixed-dimensional encodings.
        """
        return self._encoder.encode_passages(list(texts))

    encode_batch = encode
