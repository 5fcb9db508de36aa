"""The frozen teacher's token vectors of the English side, computed once and kept on disk, or computed as needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from pyserini_optical.data import Manifest, fingerprint_texts, write_beside
from pyserini_optical.errors import InputError
from pyserini_optical.models.device import autocast
from pyserini_optical.objectives import Representation, token_mask
from pyserini_optical.progress import Advance

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class TeacherVectors:
    """Token and sentence vectors of a list of English sentences, looked up by row number.

    With a ``cache`` they are computed once, in float16, into memory-mapped files there (2 bytes × dimension a token:
    the 40,000 pairs of a small bitext take about 1 GB at 384 dimensions); a finished cache of the same teacher and
    sentences is used again. Without one, or above ``limit``, the teacher runs at each look-up.

    Parameters
    ----------
    teacher : SentenceTransformer
        The teacher; its weights are not changed.
    sentences : sequence of str
        The English side, in row order.
    cache : path, optional
        Folder for the vectors.
    fingerprint : str, optional
        Fingerprint of the teacher's weights, by which a finished cache is known again; needed with a cache.
    limit : int
        Largest cache, in bytes.
    special_tokens : bool
        Whether [CLS], [SEP] and the tokeniser's other special tokens take part in token alignment.
    max_length : int
        Sentences are cut after so many tokens, or where the teacher itself cuts them.
    advance : callable, optional
        Called with the number of sentences that are done, while the cache is filled.
    """

    def __init__(
        self,
        teacher: SentenceTransformer,
        sentences: Sequence[str],
        *,
        cache: Path | None = None,
        fingerprint: str | None = None,
        limit: int = 8 * 2**30,
        special_tokens: bool = False,
        max_length: int = 128,
        advance: Advance | None = None,
    ) -> None:
        self.teacher = teacher.eval()
        self.sentences = sentences
        self.max_length = min(max_length, teacher.max_seq_length or max_length)
        special = [] if special_tokens else list(teacher.tokenizer.all_special_ids)
        self._special_ids = torch.tensor(special, dtype=torch.long)
        self._store: _Store | None = None
        if cache is not None:
            if fingerprint is None:
                raise ValueError("a cache of teacher vectors needs the fingerprint of the teacher's weights")
            manifest = Manifest(
                step="teacher vectors",
                inputs={"teacher": fingerprint, "sentences": fingerprint_texts(sentences)},
                parameters={"special_tokens": special_tokens, "max_length": self.max_length},
            )
            self._store = _open(cache, manifest, len(sentences)) or self._fill(cache, manifest, limit, advance)

    def rows(self, numbers: Sequence[int], device: torch.device) -> Representation:
        """Give the teacher's representation of these rows, padded to the longest of them."""
        if self._store is None:
            return self._run(numbers, device)
        offsets, tokens, masks, pooled = self._store
        lengths = [int(offsets[n + 1] - offsets[n]) for n in numbers]
        shape = (len(numbers), max(lengths))
        vectors = np.zeros((*shape, tokens.shape[1]), dtype=np.float16)
        mask = np.zeros(shape, dtype=bool)
        for row, (number, length) in enumerate(zip(numbers, lengths, strict=True)):
            span = slice(int(offsets[number]), int(offsets[number]) + length)
            vectors[row, :length] = tokens[span]
            mask[row, :length] = masks[span]
        return Representation(
            tokens=torch.from_numpy(vectors).to(device).float(),
            mask=torch.from_numpy(mask).to(device),
            pooled=torch.from_numpy(np.array(pooled[list(numbers)])).to(device),
        )

    def _run(self, numbers: Sequence[int], device: torch.device) -> Representation:
        encoded = self.teacher.tokenizer(
            [self.sentences[n] for n in numbers],
            padding=True,
            truncation=True,
            max_length=self.max_length,
            return_tensors="pt",
        )
        features: dict[str, Any] = {name: tensor.to(device) for name, tensor in encoded.items()}
        with torch.no_grad(), autocast(str(device)):
            output = self.teacher(dict(features))
        return Representation(
            tokens=output["token_embeddings"].float(),
            mask=token_mask(features, self._special_ids),
            pooled=functional.normalize(output["sentence_embedding"].float(), dim=-1),
        )

    def _lengths(self) -> list[int]:
        lengths: list[int] = []
        for start in range(0, len(self.sentences), 4096):
            encoded: Any = self.teacher.tokenizer(
                list(self.sentences[start : start + 4096]), truncation=True, max_length=self.max_length, padding=False
            )
            lengths += [len(ids) for ids in encoded["input_ids"]]
        return lengths

    def _fill(self, cache: Path, manifest: Manifest, limit: int, advance: Advance | None) -> _Store | None:
        """Compute the cache, the manifest last; nothing if it would be larger than the limit."""
        lengths = self._lengths()
        pooled_dimension = int(self.teacher.get_embedding_dimension() or 0)
        token_dimension = int(self.teacher[0].get_embedding_dimension() or 0)
        if sum(lengths) * (2 * token_dimension + 1) + len(lengths) * (4 * pooled_dimension + 8) > limit:
            return None
        for left in (cache / _MANIFEST, *cache.glob(".*.npy")):  # the second: of a process that was killed
            left.unlink(missing_ok=True)
        names = _names(cache)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        total = int(offsets[-1])
        with (
            _array_file(names.tokens, np.float16, (total, token_dimension)) as tokens,
            _array_file(names.masks, np.bool_, (total,)) as masks,
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
                pooled[numbers] = result.pooled.cpu().numpy()
                if advance is not None:
                    advance(len(numbers))
        with write_beside(names.offsets) as temporary:
            np.save(temporary, offsets)
        manifest.save(cache / _MANIFEST)
        return _open(cache, manifest, len(lengths))


class _Store(NamedTuple):
    """Where each sentence's tokens begin, all token vectors, whether they take part, and the sentence vectors."""

    offsets: NDArray[np.int64]
    tokens: NDArray[np.float16]
    masks: NDArray[np.bool_]
    pooled: NDArray[np.float32]


class _Names(NamedTuple):
    offsets: Path
    tokens: Path
    masks: Path
    pooled: Path


_MANIFEST = "manifest.json"


def _names(cache: Path) -> _Names:
    return _Names(*(cache / f"{name}.npy" for name in _Names._fields))


def _open(cache: Path, manifest: Manifest, sentences: int) -> _Store | None:
    """Open a finished cache of the same things; nothing if there is none or a file of it is cut off."""
    try:
        if not Manifest.load(cache / _MANIFEST).matches(manifest):
            return None
        store = _Store(*(np.load(name, mmap_mode="r", allow_pickle=False) for name in _names(cache)))
    except (InputError, OSError, ValueError, EOFError):
        return None
    tokens = int(store.offsets[-1]) if len(store.offsets) == sentences + 1 else -1
    return store if tokens == len(store.tokens) == len(store.masks) and len(store.pooled) == sentences else None


@contextmanager
def _array_file(path: Path, dtype: type, shape: tuple[int, ...]) -> Iterator[Any]:
    """Give a memory-mapped ``.npy`` array to fill; the file gets its name when the block ends well."""
    with write_beside(path) as temporary:
        yield np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
