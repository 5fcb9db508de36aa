"""The frozen teacher's token vectors of the English side, computed once and kept on disk, or computed as needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from pyserini_optical.data import Manifest, fingerprint_texts, versions, write_beside
from pyserini_optical.models.device import autocast
from pyserini_optical.objectives import Representation, token_mask
from pyserini_optical.progress import Advance

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

class TeacherVectors:
    """Token and sentence vectors of a list of English sentences, looked up by row number.

    With a ``cache`` they are computed once, in float16, into memory-mapped files there (2 bytes × dimension a token: the
    40,000 pairs of a small bitext take about 1 GB at 384 dimensions); a finished cache of the same teacher and sentences
    is used again. Without one, or above ``limit``, the teacher runs at each look-up.

    Parameters
    ----------
    teacher : SentenceTransformer
        The teacher; it is not changed.
    fingerprint : str
        Fingerprint of its weights.
    sentences : sequence of str
        The English side, in row order.
    cache : path, optional
        Folder for the vectors.
    limit : int
        Largest cache, in bytes.
    special_tokens : bool
        Whether [CLS] and [SEP] take part in token alignment.
    max_length : int
        Sentences are cut after so many tokens.
    advance : callable, optional
        Called with the number of sentences that are done, while the cache is filled.
    """

    def __init__(
        self,
        teacher: SentenceTransformer,
        fingerprint: str,
        sentences: Sequence[str],
        *,
        cache: Path | None = None,
        limit: int = 8 * 2**30,
        special_tokens: bool = False,
        max_length: int = 128,
        advance: Advance | None = None,
    ) -> None:
        self.teacher = teacher.eval()
        self.sentences = sentences
        self.max_length = max_length
        special = [] if special_tokens else list(teacher.tokenizer.all_special_ids)
        self._special_ids = torch.tensor(special, dtype=torch.long)
        self._store: tuple[Any, Any, Any, Any] | None = None
        if cache is not None:
            manifest = Manifest(
                step="teacher vectors",
                inputs={"teacher": fingerprint, "sentences": fingerprint_texts(sentences)},
                parameters={"special_tokens": special_tokens, "max_length": max_length},
                versions=versions(),
            )
            self._open_or_fill(cache, manifest, limit, advance)

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
            pooled=torch.from_numpy(pooled[numbers]).to(device),
        )

    def _run(self, numbers: Sequence[int], device: torch.device) -> Representation:
        features = self.teacher.tokenizer(
            [self.sentences[n] for n in numbers],
            padding=True,
            truncation=True,
            max_length=self.max_length,
            return_tensors="pt",
        )
        features = {name: tensor.to(device) for name, tensor in features.items()}
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
            encoded = self.teacher.tokenizer(
                list(self.sentences[start : start + 4096]), truncation=True, max_length=self.max_length, padding=False
            )
            lengths += [len(ids) for ids in encoded["input_ids"]]
        return lengths

    def _open_or_fill(self, cache: Path, manifest: Manifest, limit: int, advance: Advance | None) -> None:
        names = [cache / name for name in ("offsets.npy", "tokens.npy", "masks.npy", "pooled.npy")]
        done = cache / "manifest.json"
        if not (done.is_file() and Manifest.load(done).matches(manifest) and all(name.is_file() for name in names)):
            lengths = self._lengths()
            dimension = self.teacher.get_embedding_dimension()
            if sum(lengths) * (2 * dimension + 1) + len(lengths) * (4 * dimension + 8) > limit:
                return
            done.unlink(missing_ok=True)
            self._fill(names, lengths, advance)
            manifest.save(done)
        offsets, tokens, masks, pooled = (np.load(name, mmap_mode="r") for name in names)
        self._store = (offsets, tokens, masks, pooled)

    def _fill(self, names: Sequence[Path], lengths: Sequence[int], advance: Advance | None) -> None:
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        total = int(offsets[-1])
        pooled_dimension = self.teacher.get_embedding_dimension()
        token_dimension = self.teacher[0].get_embedding_dimension()
        with (
            _array_file(names[1], np.float16, (total, token_dimension)) as tokens,
            _array_file(names[2], np.bool_, (total,)) as masks,
            _array_file(names[3], np.float32, (len(lengths), pooled_dimension)) as pooled,
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
        with write_beside(names[0]) as temporary:
            np.save(temporary, offsets)


@contextmanager
def _array_file(path: Path, dtype: type, shape: tuple[int, ...]) -> Iterator[Any]:
    """Give a memory-mapped ``.npy`` array to fill; the file gets its name when the block ends well."""
    with write_beside(path) as temporary:
        yield np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
