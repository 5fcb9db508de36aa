"""Encoders as retrieval uses them: texts in, vectors out; which model reads what is written in the checkpoint.

A checkpoint is a sentence-transformers folder with ``optical.json`` beside the weights. The student reads queries; the
documents are read by the model that ``optical.json`` names under ``documents`` (the frozen English teacher, unless the
recipe says ``self``), so an index that the teacher made serves every student of it.

Every encoder gives one vector a token, for late interaction. For single-vector search, a checkpoint made for late
interaction gives fixed-dimensional encodings of them, any other its pooled vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.errors import CheckpointError, OpticalError
from pyserini_optical.models.cross_encoder import is_cross_encoder
from pyserini_optical.models.device import autocast, choose_device
from pyserini_optical.models.fixed_dimensional import FixedDimensional, Vectors
from pyserini_optical.models.late_interaction import (
    has_word_weights,
    is_late_interaction,
    load_late_interaction,
    raw_tokens,
    token_dimension,
    unweighed,
    weighs_queries,
)
from pyserini_optical.models.names import resolve_model
from pyserini_optical.models.provenance import OPTICAL_JSON, Provenance
from pyserini_optical.models.transformer import load_transformer, weights_fingerprint

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

Role = Literal["queries", "documents"]


class Piece(NamedTuple):
    """A token as its vocabulary writes it, and where it stands in the text; markers of the model: nowhere, 0 and 0."""

    text: str
    start: int
    end: int


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
        if is_cross_encoder(name):
            raise CheckpointError(f"{name}: a cross-encoder, which has no vectors; re-rank by cross-encoder")
        self.name = name
        self.device = choose_device(device)
        self.provenance = Provenance.load(resolve_model(name))
        self._pooled: dict[str, SentenceTransformer] = {}
        self._late: dict[str, MultiVectorEncoder] = {}

    @cached_property
    def late_interaction(self) -> bool:
        """Whether the checkpoint was made for late interaction; then it has no pooled vectors."""
        return is_late_interaction(self.name)

    def _pooled_model(self, role: Role) -> SentenceTransformer:
        """The single-vector model for ``queries`` or ``documents``, loaded when first used."""
        name = self._name(role)
        if name not in self._pooled:
            if is_late_interaction(name):
                raise CheckpointError(
                    f"{self.name}: pools its vectors, but its document encoder {name} was made for late interaction; "
                    "re-rank or search with token vectors, or distil it from a pooled teacher"
                )
            self._pooled[name] = load_transformer(name, self.device)
        return self._pooled[name]

    def _late_model(self, role: Role) -> MultiVectorEncoder:
        """The late-interaction model for ``queries`` or ``documents``; a pooled one's token vectors as they are."""
        name = self._name(role)
        if name not in self._late:
            if is_late_interaction(name):
                model = load_late_interaction(name, self.device)
                # A model that weighs queries would weigh documents too.
                self._late[name] = model if name == self.name else unweighed(model)
            else:
                self._late[name] = raw_tokens(self._pooled_model(role))
            dimensions = {name: token_dimension(model) for name, model in self._late.items()}
            if len(set(dimensions.values())) > 1:
                had = " and ".join(f"{name} of {dimension}" for name, dimension in dimensions.items())
                raise CheckpointError(f"{self.name}: token vectors of different dimensions, {had}; distil it again")
        return self._late[name]

    def _name(self, role: Role) -> str:
        return self.document_model if role == "documents" else self.name

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
    def token_fingerprint(self) -> str:
        """Fingerprint of the document encoder's token vectors: it says with which token stores this encoder works."""
        marks = [weights_fingerprint(self.document_model)]
        if self.document_model != self.name and has_word_weights(self.document_model):
            marks.append("unweighed")
        return ":".join(marks)

    @cached_property
    def document_fingerprint(self) -> str:
        """Fingerprint of the document encoder's single vectors: it says which indexes this encoder can search."""
        shape = self.fixed_dimensional
        return self.token_fingerprint if shape is None else f"{self.token_fingerprint}:{shape}"

    @cached_property
    def fixed_dimensional(self) -> FixedDimensional | None:
        """Shape of the fixed-dimensional encodings that a checkpoint made for late interaction gives; else None."""
        if not self.late_interaction:
            return None
        documents = Provenance.load(resolve_model(self.document_model))
        return self.provenance.fixed_dimensional or documents.fixed_dimensional or FixedDimensional()

    @property
    def dimension(self) -> int:
        """Length of the single vectors."""
        shape = self.fixed_dimensional
        return int(self._pooled_model("queries").get_embedding_dimension() or 0) if shape is None else shape.length

    @property
    def token_dimension(self) -> int:
        """Length of the token vectors."""
        return token_dimension(self._late_model("queries"))

    @property
    def weighs_queries(self) -> bool:
        """Whether the tokens of queries weigh differently in MaxSim."""
        return weighs_queries(self._late_model("queries"))

    def encode_queries(self, texts: Sequence[str], *, batch_size: int = 64) -> Vectors:
        """Encode queries for single-vector search.

        Returns
        -------
        ndarray of float32, shape (len(texts), dimension)
            Unit vectors, or fixed-dimensional encodings if the checkpoint was made for late interaction; C-contiguous.
        """
        shape = self.fixed_dimensional
        if shape is None:
            return self._encode("queries", texts, batch_size)
        return shape.encode_queries(self.query_tokens(texts, batch_size=batch_size))

    def encode_passages(self, texts: Sequence[str], *, batch_size: int = 32) -> Vectors:
        """Encode passages, without their titles, as :meth:`encode_queries` does queries."""
        shape = self.fixed_dimensional
        if shape is None:
            return self._encode("documents", texts, batch_size)
        return shape.encode_passages(self.passage_tokens(texts, batch_size=batch_size))

    def query_tokens(self, texts: Sequence[str], *, batch_size: int = 64) -> list[Vectors]:
        """Encode queries for late interaction, one vector a token.

        Returns
        -------
        list of ndarray of float32, shape (tokens of the text, token_dimension)
            Unit vectors of the tokens that are scored, or as long as each weighs where the checkpoint says so
            (:attr:`weighs_queries`); no row where none is, as in an empty text.
        """
        return self._tokens("queries", texts, batch_size)

    def passage_tokens(self, texts: Sequence[str], *, batch_size: int = 32) -> list[Vectors]:
        """Encode passages for late interaction, without their titles, as :meth:`query_tokens` does queries."""
        return self._tokens("documents", texts, batch_size)

    def query_pieces(self, text: str) -> list[Piece]:
        """Give the tokens to which the rows of a query's token vectors belong."""
        return self._pieces("queries", text)

    def passage_pieces(self, text: str) -> list[Piece]:
        """Give the tokens to which the rows of a passage's token vectors belong."""
        return self._pieces("documents", text)

    def _encode(self, role: Role, texts: Sequence[str], batch_size: int) -> Vectors:
        import torch

        model = self._pooled_model(role)
        encode = model.encode_query if role == "queries" else model.encode_document
        with torch.inference_mode(), autocast(self.device):
            vectors = encode(
                list(texts),
                batch_size=batch_size,
                convert_to_tensor=True,
                show_progress_bar=False,
            )
        # In float32: a projection behind the pooling computes in bfloat16.
        unit = torch.nn.functional.normalize(vectors.float(), dim=-1)
        result: Vectors = np.ascontiguousarray(unit.cpu().numpy()).reshape(
            len(texts), int(model.get_embedding_dimension() or 0)
        )
        self._check(role, texts, np.array([np.isfinite(vector).all() for vector in result], dtype=bool))
        return result

    def _tokens(self, role: Role, texts: Sequence[str], batch_size: int) -> list[Vectors]:
        import torch

        model = self._late_model(role)
        encode = model.encode_query if role == "queries" else model.encode_document
        with torch.inference_mode(), autocast(self.device):
            found = encode(list(texts), batch_size=batch_size, convert_to_numpy=True, show_progress_bar=False)
        result: list[Vectors] = [vectors.astype(np.float32, copy=False) for vectors in found]
        self._check(role, texts, np.array([np.isfinite(vectors).all() for vectors in result], dtype=bool))
        if weighs_queries(model):
            return result
        # In float32, and whether or not the model itself does so.
        return [
            vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
            for vectors in result
        ]

    def _check(self, role: Role, texts: Sequence[str], finite: NDArray[np.bool_]) -> None:
        if not finite.all():
            text = texts[int(np.flatnonzero(~finite)[0])]
            problem = f"NaN or infinite vector for {text[:60]!r}; the weights are damaged"
            raise CheckpointError(f"{self._name(role)}: {problem}")

    def _pieces(self, role: Role, text: str) -> list[Piece]:
        import torch

        model = self._late_model(role)
        encode = model.encode_query if role == "queries" else model.encode_document
        with torch.inference_mode(), autocast(self.device):
            features: Any = encode(text, output_value=None, show_progress_bar=False)
        names = ("query",) if role == "queries" else ("document", "passage", "corpus")
        prompt = next((model.prompts[name] for name in names if name in model.prompts), None) or ""
        numbers = features["input_ids"].tolist()
        offsets = [(0, 0)] * len(numbers)  # those of query expansion, behind the text, stay so
        places = _places(model, prompt, text, len(numbers))
        offsets[: len(places)] = places
        texts = model.tokenizer.convert_ids_to_tokens(numbers)
        scored = features["attention_mask"].tolist()
        return [Piece(piece, *place) for piece, place, used in zip(texts, offsets, scored, strict=True) if used]


def _places(model: MultiVectorEncoder, prompt: str, text: str, length: int) -> list[tuple[int, int]]:
    """Give where each of a model's tokens stands in a text; what stands nowhere: 0 and 0."""
    from pyserini_optical.models.glosses import GlossTransformer

    how: Any = {"truncation": True, "max_length": length}
    first: Any = model[0]
    if isinstance(first, GlossTransformer) and (words := first.places(text)):
        glossed: Any = model.tokenizer([prompt, *(gloss for gloss, _, _ in words)], is_split_into_words=True, **how)
        return [words[word - 1][1:] if word else (0, 0) for word in glossed.word_ids()]
    plain: Any = model.tokenizer(prompt + text, return_offsets_mapping=True, **how)
    return [
        (max(start - len(prompt), 0), end - len(prompt)) if end > len(prompt) else (0, 0)
        for start, end in plain["offset_mapping"]
    ]


def load_encoder(name: str, device: str | None = None) -> Encoder:
    """Load an encoder by path, hub name or ``package:…``; see :class:`Encoder`."""
    return Encoder(name, device)
