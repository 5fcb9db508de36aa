"""The frozen teacher's side: token vectors of sentences, kept on disk; questions and passages, kept in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from pyserini_optical.data import Manifest, fingerprint, fingerprint_texts, write_beside
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.models.device import autocast
from pyserini_optical.objectives import Marginals, Representation, represent
from pyserini_optical.objectives.marginals import count_idf
from pyserini_optical.progress import Advance, say

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

Role: TypeAlias = Literal["query", "document"]


class TeacherVectors:
    """Token and sentence vectors of a list of English sentences, looked up by row number.

    With a ``cache`` they are computed once, in float16, into memory-mapped files there (2 bytes × dimension a token:
    the 40,000 pairs of a small bitext take about 1 GB at 384 dimensions); a finished cache of the same teacher and
    sentences is used again. Without one, or above ``limit``, the teacher runs at each look-up.

    Parameters
    ----------
    teacher : SentenceTransformer or MultiVectorEncoder
        The teacher; its weights are not changed. One for late interaction reads the sentences as queries.
    sentences : sequence of str
        The English side, in row order.
    cache : path, optional
        Folder for the vectors.
    fingerprint : str, optional
        Fingerprint of the teacher's weights, by which a finished cache is known again; needed with a cache.
    limit : int
        Largest cache, in bytes.
    marginals : Marginals, optional
        Which tokens take part in alignment, and how much each weighs; by default all but special ones, and alike.
    max_length : int
        Sentences are cut after so many tokens, or where the teacher itself cuts them.
    advance : callable, optional
        Called with the number of sentences that are done, while the cache is filled.
    """

    def __init__(
        self,
        teacher: SentenceTransformer | MultiVectorEncoder,
        sentences: Sequence[str],
        *,
        cache: Path | None = None,
        fingerprint: str | None = None,
        limit: int = 8 * 2**30,
        marginals: Marginals | None = None,
        max_length: int = 128,
        advance: Advance | None = None,
    ) -> None:
        self.teacher = teacher.eval()
        self.sentences = sentences
        self.max_length = min(max_length, teacher.max_seq_length or max_length)
        self._late = teacher.model_type == "MultiVectorEncoder"
        self._marginals = marginals or Marginals.of(teacher.tokenizer)
        self._store: _Store | None = None
        if cache is not None:
            if fingerprint is None:
                raise ValueError("a cache of teacher vectors needs the fingerprint of the teacher's weights")
            manifest = Manifest(
                step="teacher vectors",
                inputs={"teacher": fingerprint, "sentences": fingerprint_texts(sentences)},
                parameters={
                    "special_tokens": self._marginals.all_read,
                    "marginals": self._marginals.by,
                    "max_length": self.max_length,
                },
            )
            self._store = _open(cache, manifest, len(sentences)) or self._fill(cache, manifest, limit, advance)

    def rows(self, numbers: Sequence[int], device: torch.device) -> Representation:
        """Give the teacher's representation of these rows, padded to the longest of them."""
        if self._store is None:
            return self._run(numbers, device)
        offsets, tokens, masks, masses, pooled = self._store
        lengths = [int(offsets[n + 1] - offsets[n]) for n in numbers]
        shape = (len(numbers), max(lengths))
        vectors = np.zeros((*shape, tokens.shape[1]), dtype=np.float16)
        mask = np.zeros(shape, dtype=bool)
        mass = np.zeros(shape, dtype=np.float32)
        for row, (number, length) in enumerate(zip(numbers, lengths, strict=True)):
            span = slice(int(offsets[number]), int(offsets[number]) + length)
            vectors[row, :length] = tokens[span]
            mask[row, :length] = masks[span]
            mass[row, :length] = masses[span]
        return Representation(
            tokens=torch.from_numpy(vectors).to(device).float(),
            mask=torch.from_numpy(mask).to(device),
            pooled=None if self._late else torch.from_numpy(np.array(pooled[list(numbers)])).to(device),
            mass=torch.from_numpy(mass).to(device),
        )

    def input_ids(self, numbers: Sequence[int]) -> torch.Tensor:
        """Give the pieces of these rows, shape (rows, tokens of the longest), one for each token vector."""
        ids: torch.Tensor = self._features(numbers)["input_ids"]
        return ids

    def _run(self, numbers: Sequence[int], device: torch.device) -> Representation:
        features = {name: tensor.to(device) for name, tensor in self._features(numbers).items()}
        with torch.no_grad(), autocast(str(device)):
            return represent(self.teacher, features, self._marginals)

    def _features(self, numbers: Sequence[int]) -> dict[str, Any]:
        return query_features(self.teacher, [self.sentences[n] for n in numbers], self.max_length)

    def _lengths(self) -> list[int]:
        """Tokens of each sentence, those that a query is expanded by with them."""
        lengths: list[int] = []
        for start in range(0, len(self.sentences), 1024):
            features = self._features(range(start, min(start + 1024, len(self.sentences))))
            real = features["attention_mask"].bool() | features.get("query_expansion_positions", torch.tensor(0)).bool()
            lengths += real.sum(dim=1).tolist()
        return lengths

    def _fill(self, cache: Path, manifest: Manifest, limit: int, advance: Advance | None) -> _Store | None:
        """Compute the cache, the manifest last; nothing if it would be larger than the limit."""
        lengths = self._lengths()
        dimension = int(self.teacher.get_embedding_dimension() or 0)
        # A model for late interaction may end in a projection of its tokens, and has no sentence vectors.
        token_dimension = dimension if self._late else int(self.teacher[0].get_embedding_dimension() or 0)
        pooled_dimension = 0 if self._late else dimension
        if sum(lengths) * (2 * token_dimension + 5) + len(lengths) * (4 * pooled_dimension + 8) > limit:
            return None
        for left in (cache / _MANIFEST, *cache.glob(".*.npy")):  # the second: of a process that was killed
            left.unlink(missing_ok=True)
        names = _names(cache)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        total = int(offsets[-1])
        with (
            _array_file(names.tokens, np.float16, (total, token_dimension)) as tokens,
            _array_file(names.masks, np.bool_, (total,)) as masks,
            _array_file(names.masses, np.float32, (total,)) as masses,
            _array_file(names.pooled, np.float32, (len(lengths), pooled_dimension)) as pooled,
        ):
            order = np.argsort(lengths, kind="stable")
            for start in range(0, len(order), 64):
                numbers = order[start : start + 64].tolist()
                result = self._run(numbers, self.teacher.device)
                for row, number in enumerate(numbers):
                    span = slice(int(offsets[number]), int(offsets[number + 1]))
                    tokens[span] = result.tokens[row, : lengths[number]].half().cpu().numpy()
                    masks[span] = result.mask[row, : lengths[number]].cpu().numpy()
                    masses[span] = result.masses[row, : lengths[number]].cpu().numpy()
                if result.pooled is not None:
                    pooled[numbers] = result.pooled.cpu().numpy()
                if advance is not None:
                    advance(len(numbers))
        with write_beside(names.offsets) as temporary:
            np.save(temporary, offsets)
        outputs = {name.name: fingerprint(name) for name in names}
        replace(manifest, outputs=outputs).save(cache / _MANIFEST)
        return _open(cache, manifest, len(lengths))


def query_features(
    model: SentenceTransformer | MultiVectorEncoder, sentences: Sequence[str], max_length: int
) -> dict[str, torch.Tensor]:
    """Tokenise sentences as a model reads queries, cut after so many tokens or where it cuts itself."""
    late = model.model_type == "MultiVectorEncoder"
    how: dict[str, Any] = {"prompt": model.prompts.get("query")} | ({"task": "query"} if late else {})
    usual = model.max_seq_length
    model.max_seq_length = min(max_length, usual or max_length)
    try:
        features = model.preprocess(list(sentences), **how)
    finally:
        model.max_seq_length = usual
    return {name: value for name, value in features.items() if isinstance(value, torch.Tensor)}


def piece_idf(
    model: SentenceTransformer | MultiVectorEncoder, sentences: Sequence[str], max_length: int
) -> torch.Tensor:
    """Count how rare a model's pieces are in sentences, shape (pieces,); see :func:`count_idf`."""
    parts = (sentences[start : start + 1024] for start in range(0, len(sentences), 1024))
    pieces = (query_features(model, part, max_length)["input_ids"] for part in parts)
    return count_idf(pieces, len(model.tokenizer))


class TextVectors:
    """Questions or passages as a model retrieves with them, looked up by row number.

    They are encoded at once and kept in memory: pooled vectors, or for late interaction token vectors (4 bytes ×
    dimension a token).

    Parameters
    ----------
    model : SentenceTransformer or MultiVectorEncoder
        Its weights are not changed.
    texts : sequence of str
        In row order.
    role : {"query", "document"}
        What it reads them as.
    """

    def __init__(self, model: SentenceTransformer | MultiVectorEncoder, texts: Sequence[str], role: Role) -> None:
        self._vectors = encode_texts(model.eval(), texts, role)

    def rows(self, numbers: Sequence[int], device: torch.device) -> Representation:
        """Give the representation of these rows; that of a pooled model has no tokens."""
        if isinstance(self._vectors, torch.Tensor):
            pooled = self._vectors[list(numbers)].to(device)
            tokens = pooled.new_zeros(len(numbers), 0, pooled.shape[1])
            return Representation(tokens, tokens.new_zeros(tokens.shape[:2], dtype=torch.bool), pooled)
        vectors = [self._vectors[number] for number in numbers]
        mask = pad_sequence([vector.new_ones(len(vector), dtype=torch.bool) for vector in vectors], batch_first=True)
        return Representation(pad_sequence(vectors, batch_first=True).to(device), mask.to(device), None)


def encode_texts(
    model: SentenceTransformer | MultiVectorEncoder, texts: Sequence[str], role: Role
) -> torch.Tensor | list[torch.Tensor]:
    """Encode texts as a model retrieves with them.

    Returns
    -------
    Tensor of float32, shape (len(texts), d), or list of Tensor of shape (tokens, d)
        Unit vectors; the list of a late-interaction model.
    """
    encode: Any = model.encode_query if role == "query" else model.encode_document
    with torch.inference_mode(), autocast(str(model.device)):
        if model.model_type == "MultiVectorEncoder":  # which normalises by itself
            return [vectors.float() for vectors in encode(texts, batch_size=64, show_progress_bar=False)]
        found: torch.Tensor = encode(texts, batch_size=64, show_progress_bar=False, convert_to_tensor=True)
    # In float32, where a linear layer at the end gives bfloat16.
    return functional.normalize(found.float(), dim=-1)


class _Store(NamedTuple):
    """Where each sentence's tokens begin, all token vectors, their masks and masses, and the sentence vectors."""

    offsets: NDArray[np.int64]
    tokens: NDArray[np.float16]
    masks: NDArray[np.bool_]
    masses: NDArray[np.float32]
    pooled: NDArray[np.float32]


class _Names(NamedTuple):
    offsets: Path
    tokens: Path
    masks: Path
    masses: Path
    pooled: Path


_MANIFEST = "manifest.json"

# By this vectors are known that were computed as they are here; raised when that changes.
COMPUTING = "2"


def _names(cache: Path) -> _Names:
    return _Names(*(cache / f"{name}.npy" for name in _Names._fields))


def _open(cache: Path, manifest: Manifest, sentences: int) -> _Store | None:
    """Open a finished cache of the same things; nothing if there is none or a file of it is damaged or cut off."""
    try:
        found = Manifest.load(cache / _MANIFEST)
        if not found.matches(manifest):
            return None
        found.check(cache, "it is made again")
        store = _Store(*(np.load(name, mmap_mode="r", allow_pickle=False) for name in _names(cache)))
    except CheckpointError as error:
        say(str(error))
        return None
    except (InputError, OSError, ValueError, EOFError):
        return None
    tokens = int(store.offsets[-1]) if len(store.offsets) == sentences + 1 else -1
    whole = {len(store.tokens), len(store.masks), len(store.masses)} == {tokens}
    return store if whole and len(store.pooled) == sentences else None


@contextmanager
def _array_file(path: Path, dtype: type, shape: tuple[int, ...]) -> Iterator[Any]:
    """Give a memory-mapped ``.npy`` array to fill; the file gets its name when the block ends well."""
    with write_beside(path) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
        if hasattr(os, "posix_fallocate"):
            # A page for which a full disk has no place would end the process without a word.
            with open(temporary, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.path.getsize(temporary))
        yield array
