"""Every token vector of a corpus, written once and memory-mapped: what exact late interaction reads."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import Manifest, Pathish, read_lines
from pyserini_optical.data.fields import shown
from pyserini_optical.errors import CheckpointError
from pyserini_optical.progress import progress
from pyserini_optical.retrieve.maxsim import Vectors, maxsim
from pyserini_optical.retrieve.residual_codes import ResidualCodes
from pyserini_optical.retrieve.sharding import MANIFEST
from pyserini_optical.retrieve.shards import Arrays

if TYPE_CHECKING:
    from pyserini_optical.models import Encoder

TOKENS, OFFSETS, CODEBOOK = "tokens.npy", "offsets.npy", "codebook.npz"

# Of each passage's tokens, so that re-ranking reads no more than what it scores; of the other files in the manifest.
CHECKSUMS = "checksums.npy"

_REMEDY = "remove the folder and encode the corpus again"

# Passages that are encoded together in memory.
_PART = 1024

# Passages that are scored together for one query: their vectors stay in the processor's cache.
_BLOCK = 32


def is_token_store(path: Pathish) -> bool:
    """Tell whether a path is a token store rather than an index or a corpus."""
    return any((Path(path) / name).is_file() for name in (OFFSETS, TOKENS))


@dataclass
class TokenStore:
    """Token vectors by passage.

    Attributes
    ----------
    name : str
        Where they come from, for messages.
    docids : list of str
        The passages' ids.
    offsets : ndarray of int64, shape (passages + 1,)
        Where each passage's tokens begin and end.
    tokens : ndarray
        Unit vectors of float16, shape (tokens, dimension), or their codes, shape (tokens,).
    codes : ResidualCodes or None
        What decodes them.
    made_by : str
        Fingerprint of the document encoder's token vectors.
    checksums : ndarray of uint32, shape (passages,), or None
        CRC-32 of each passage's part of ``tokens``; none for vectors that were just made, and in stores from before.
    """

    name: str
    docids: list[str]
    offsets: NDArray[np.int64]
    tokens: NDArray[Any]
    codes: ResidualCodes | None
    made_by: str
    checksums: NDArray[np.uint32] | None = None

    @classmethod
    def open(cls, folder: Pathish) -> TokenStore:
        """Open what :func:`encode_tokens` made, memory-mapped.

        Raises
        ------
        CheckpointError
            A file is missing, cut off, not as it was written, or does not fit the others; of the token vectors each
            passage's are checked when they are first read.
        """
        folder = Path(folder)
        if not all((folder / name).is_file() for name in (MANIFEST, "docid", OFFSETS, TOKENS)):
            raise CheckpointError(f"{folder}: not a whole token store; {_REMEDY}")
        manifest = Manifest.load(folder / MANIFEST)
        manifest.check(folder, _REMEDY)
        checksums = _array(folder / CHECKSUMS) if CHECKSUMS in manifest.outputs else None
        offsets, tokens = _array(folder / OFFSETS), _array(folder / TOKENS, "r")
        docids = [docid for _, docid in read_lines(folder / "docid")]
        coded = tokens.dtype.fields is not None
        codes = ResidualCodes.load(folder / CODEBOOK) if coded else None
        store = cls(str(folder), docids, offsets, tokens, codes, manifest.inputs.get("encoder", ""), checksums)
        dtype = codes.dtype if codes else np.dtype("<f2")
        if (
            offsets.dtype != np.int64
            or offsets.shape != (len(docids) + 1,)
            or offsets[0] != 0
            or (np.diff(offsets) < 0).any()
            or tokens.dtype != dtype
            or tokens.ndim != (1 if codes else 2)
            or len(tokens) != offsets[-1]
        ):
            raise CheckpointError(f"{folder}: its files do not fit each other; {_REMEDY}")
        return store

    @classmethod
    def of(cls, encoder: Encoder, passages: Mapping[str, str], name: str) -> TokenStore:
        """Encode passages, text by id, to float16 in memory."""
        texts = list(passages.values())
        parts: list[Arrays] = []
        with progress("encoding passages", len(texts)) as advance:
            for start in range(0, len(texts), _PART):
                parts.append(token_vectors(encoder, texts[start : start + _PART]))
                advance(len(parts[-1]["lengths"]))
        lengths = np.concatenate([np.zeros(1, dtype=np.int64), *(part["lengths"] for part in parts)])
        tokens = [part["vectors"] for part in parts] or [np.zeros((0, encoder.token_dimension), dtype=np.float16)]
        store = cls(name, list(passages), np.cumsum(lengths), np.concatenate(tokens), None, encoder.token_fingerprint)
        store.check(encoder)
        return store

    def check(self, encoder: Encoder) -> None:
        """Refuse an encoder with other documents than these.

        Raises
        ------
        CheckpointError
            The store was made by another document encoder than the encoder's, or has vectors of another length.
        """
        check_tokens(self, encoder)

    @property
    def dimension(self) -> int:
        """Length of the token vectors."""
        return self.codes.dimension if self.codes else int(self.tokens.shape[1])

    @cached_property
    def rows(self) -> dict[str, int]:
        """Number of each passage by its id."""
        return {docid: row for row, docid in enumerate(self.docids)}

    def passages(self, rows: NDArray[np.int64]) -> tuple[Vectors, NDArray[np.int64]]:
        """Give the token vectors of some passages, decoded, one passage behind the other, and how many each has.

        Raises
        ------
        CheckpointError
            They are not those that were written.
        """
        self._check_sums(rows)
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        before = np.cumsum(lengths) - lengths
        places = np.repeat(self.offsets[rows] - before, lengths) + np.arange(lengths.sum())
        return self._decoded(self.tokens[places]), lengths

    def scores(self, query: Vectors, rows: Sequence[int]) -> list[float]:
        """Score some passages by :func:`~pyserini_optical.retrieve.maxsim.maxsim`; errors as of :meth:`passages`."""
        found: list[float] = []
        for start in range(0, len(rows), _BLOCK):
            tokens, lengths = self.passages(np.asarray(rows[start : start + _BLOCK]))
            found += maxsim([query], tokens, lengths)[0].tolist()
        return found

    def blocks(self, size: int) -> Iterator[tuple[int, Vectors, NDArray[np.int64]]]:
        """Yield all passages, so many at a time: the first's number, then as :meth:`passages`."""
        for start in range(0, len(self.docids), size):
            offsets = self.offsets[start : start + size + 1]
            self._check_sums(np.arange(start, start + len(offsets) - 1))
            yield start, self._decoded(self.tokens[offsets[0] : offsets[-1]]), np.diff(offsets)

    @cached_property
    def _checked(self) -> NDArray[np.bool_]:
        return np.zeros(len(self.docids), dtype=bool)

    def _check_sums(self, rows: NDArray[np.int64]) -> None:
        if self.checksums is None:
            return
        for row in rows[~self._checked[rows]]:
            if checksum(self.tokens[self.offsets[row] : self.offsets[row + 1]]) != self.checksums[row]:
                place = f"the token vectors of passage {shown(self.docids[row])}"
                raise CheckpointError(f"{self.name}/{TOKENS}: {place} are damaged; {_REMEDY}")
        self._checked[rows] = True

    def _decoded(self, tokens: NDArray[Any]) -> Vectors:
        if self.codes:
            return self.codes.decode(tokens)
        import torch

        # Twice as fast as NumPy's conversion, which would take most of the time of re-ranking; it takes no memory map.
        owned = tokens if tokens.flags.writeable else np.array(tokens)
        vectors: Vectors = torch.from_numpy(owned).float().numpy()
        return vectors


class Tokens(Protocol):
    """Token vectors of a corpus, wherever they lie: what makes them fit an encoder."""

    @property
    def name(self) -> str:
        """Where they are, for messages."""
        ...

    @property
    def made_by(self) -> str:
        """Fingerprint of the document encoder's token vectors."""
        ...

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        ...


def check_tokens(tokens: Tokens, encoder: Encoder) -> None:
    """Refuse an encoder with other documents than these; errors as of :meth:`TokenStore.check`."""
    if tokens.made_by != encoder.token_fingerprint:
        raise CheckpointError(
            f"{tokens.name}: token vectors of another document encoder than that of {encoder.name}; "
            f"make a store with `encode {encoder.name} CORPUS STORE --tokens`"
        )
    if tokens.dimension != encoder.token_dimension:
        raise CheckpointError(
            f"{tokens.name}: has token vectors of {tokens.dimension} dimensions, {encoder.name} of "
            f"{encoder.token_dimension}; distil the encoder again, from the document encoder of this store"
        )


def token_vectors(encoder: Encoder, texts: list[str]) -> Arrays:
    """Encode passages: ``vectors`` of float16, one passage behind the other, and ``lengths``."""
    tokens = encoder.passage_tokens(texts)
    return {
        "vectors": np.concatenate(tokens).astype(np.float16),
        "lengths": np.array([len(one) for one in tokens], dtype=np.int64),
    }


def _array(path: Path, mode: Literal["r"] | None = None) -> NDArray[Any]:
    try:
        found: NDArray[Any] = np.load(path, mmap_mode=mode, allow_pickle=False)
    except Exception as error:  # NumPy's reader of headers raises TokenError, OverflowError and others too
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: damaged or truncated ({reason}); {_REMEDY}") from None
    return found


def checksum(tokens: NDArray[Any]) -> int:
    """CRC-32 of a passage's vectors or codes."""
    return zlib.crc32(np.ascontiguousarray(tokens).view(np.uint8).data)
