"""Encoders as retrieval uses them: texts in, unit vectors out; which model reads what is written in the checkpoint.

A checkpoint is a sentence-transformers folder with ``optical.json`` beside the weights. The student reads queries; the
documents are read by the model that ``optical.json`` names under ``documents`` (the frozen English teacher, unless the
recipe says ``self``), so an index that the teacher made serves every student of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import write_text
from pyserini_optical.errors import CheckpointError, OpticalError
from pyserini_optical.models.device import autocast, choose_device
from pyserini_optical.models.names import resolve_model
from pyserini_optical.models.transformer import load_transformer, weights_fingerprint

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

OPTICAL_JSON = "optical.json"


@dataclass(frozen=True)
class Provenance:
    """What ``optical.json`` says: how the checkpoint is used, and what made it.

    Attributes
    ----------
    documents : str
        ``self``, or the name of the model that encodes the documents.
    documents_fingerprint : str or None
        Fingerprint of that model's weights, checked when it is loaded.
    recipe : dict
        The recipe that made the checkpoint, as it ran.
    inputs : dict
        Fingerprints of the bitext and of the teacher.
    versions : dict
        Versions of the packages that were used.
    """

    documents: str = "self"
    documents_fingerprint: str | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write ``optical.json`` into a checkpoint."""
        with write_text(folder / OPTICAL_JSON) as stream:
            json.dump(asdict(self), stream, indent=2, ensure_ascii=False, sort_keys=True)
            stream.write("\n")

    @classmethod
    def load(cls, folder: str) -> Provenance:
        """Read ``optical.json`` of a checkpoint; a folder or hub model without one encodes its own documents.

        Raises
        ------
        CheckpointError
            The file is damaged or has an unknown form.
        """
        path = Path(folder) / OPTICAL_JSON
        if not path.is_file():
            return cls()
        try:
            found = cls(**json.loads(path.read_text(encoding="utf-8")))
            if not isinstance(found.documents, str) or not isinstance(found.documents_fingerprint, str | None):
                raise ValueError("documents and its fingerprint must be texts")
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise CheckpointError(f"{path}: damaged ({error}); distil or copy the checkpoint again") from None
        return found


class Encoder:
    """A query encoder with its document encoder.

    Parameters
    ----------
    name : str
        Path, hub name or ``package:…`` of the checkpoint.
    device : str, optional
        Torch device; the first GPU or else the CPU by default.

    Raises
    ------
    CheckpointError
        The checkpoint, or the document encoder that it names, is broken, missing or another one than it was made with.
    """

    def __init__(self, name: str, device: str | None = None) -> None:
        self.name = name
        self.device = choose_device(device)
        self.provenance = Provenance.load(resolve_model(name))
        self._models: dict[str, SentenceTransformer] = {}

    def _model(self, role: str) -> SentenceTransformer:
        """The transformer for ``queries`` or ``documents``, loaded when first used."""
        name = self.document_model if role == "documents" else self.name
        if name not in self._models:
            self._models[name] = load_transformer(name, self.device)
        return self._models[name]

    @cached_property
    def document_model(self) -> str:
        """Name of the model that encodes documents; its weights are those that the checkpoint was distilled from."""
        named = self.provenance.documents
        if named == "self":
            return self.name
        wanted = self.provenance.documents_fingerprint
        try:
            found = weights_fingerprint(named) if wanted else None
        except OpticalError as error:
            raise CheckpointError(
                f"{self.name}: its document encoder is not to be had ({error}); "
                f"set `documents` in {OPTICAL_JSON} to where that model lies now"
            ) from None
        if wanted and found != wanted:
            raise CheckpointError(
                f"{self.name}: {named} is not the document encoder that it was distilled from (other weights or "
                f"tokeniser); set `documents` in {OPTICAL_JSON} to the right folder"
            )
        return named

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the query encoder's weights and tokeniser."""
        return weights_fingerprint(self.name)

    @cached_property
    def document_fingerprint(self) -> str:
        """Fingerprint of the document encoder: it says which indexes this encoder can search."""
        return weights_fingerprint(self.document_model)

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return int(self._model("queries").get_embedding_dimension() or 0)

    def encode_queries(self, texts: Sequence[str], *, batch_size: int = 64) -> NDArray[np.float32]:
        """Encode queries.

        Returns
        -------
        ndarray of float32, shape (len(texts), dimension)
            Unit vectors, C-contiguous.
        """
        return self._encode("queries", texts, batch_size)

    def encode_passages(self, texts: Sequence[str], *, batch_size: int = 32) -> NDArray[np.float32]:
        """Encode passages, without their titles.

        Returns
        -------
        ndarray of float32, shape (len(texts), dimension)
            Unit vectors, C-contiguous.
        """
        return self._encode("documents", texts, batch_size)

    def _encode(self, role: str, texts: Sequence[str], batch_size: int) -> NDArray[np.float32]:
        import torch

        model = self._model(role)
        with torch.inference_mode(), autocast(self.device):
            vectors = model.encode(
                list(texts),
                batch_size=batch_size,
                convert_to_tensor=True,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        result = np.ascontiguousarray(vectors.float().cpu().numpy()).reshape(
            len(texts), int(model.get_embedding_dimension() or 0)
        )
        if not np.isfinite(result).all():
            row = int(np.flatnonzero(~np.isfinite(result).all(axis=1))[0])
            name = self.name if role == "queries" else self.document_model
            raise CheckpointError(f"{name}: NaN or infinite vector for {texts[row][:60]!r}; the weights are damaged")
        return result


def load_encoder(name: str, device: str | None = None) -> Encoder:
    """Load an encoder by path, hub name or ``package:…``; see :class:`Encoder`."""
    return Encoder(name, device)
