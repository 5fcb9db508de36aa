"""Every token vector of a corpus, written once and memory-mapped: what exact late interaction reads."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import Manifest, Pathish, fingerprint, one_process, read_corpus, read_lines
from pyserini_optical.data.fields import shown
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.progress import progress
from pyserini_optical.retrieve.maxsim import Vectors
from pyserini_optical.retrieve.ray_engine import choose_engine
from pyserini_optical.retrieve.residual_codes import ResidualCodes
from pyserini_optical.retrieve.sharding import MANIFEST, CorpusFolder, Part, docid_file
from pyserini_optical.retrieve.shards import Arrays, Shards

if TYPE_CHECKING:
    from pyserini_optical.models import Encoder

Codes = Literal["float16", "4-bit", "2-bit"]

_STEP = "encode tokens"
_TOKENS, _OFFSETS, _CODEBOOK = "tokens.npy", "offsets.npy", "codebook.npz"

# Of each passage's tokens, so that re-ranking reads no more than what it scores; of the other files in the manifest.
_CHECKSUMS = "checksums.npy"

_REMEDY = "remove the folder and encode the corpus again"

# Passages that are encoded together in memory.
_PART = 1024

# Token vectors on which a code is trained.
_SAMPLE = 2**16


@one_process("store")
def encode_tokens(
    encoder: Encoder | Pathish,
    corpus: Pathish,
    store: Pathish,
    *,
    codes: Codes = "float16",
    part: Part | None = None,
    engine: Literal["ray"] | None = None,
    device: str | None = None,
) -> Path:
    """Encode a corpus into a token store, from which :func:`rerank` and :func:`search` score by late interaction.

    Parameters
    ----------
    encoder : Encoder, str or path-like
        Its document encoder is used.
    corpus : path-like
        JSONL file, or flat directory of such.
    store : path-like
        Directory to make; kept, replaced and gone on with as an index by :func:`encode_corpus`.
    codes : {"float16", "4-bit", "2-bit"}
        How vectors are kept: two bytes a dimension, or residual codes; see
        :class:`~pyserini_optical.retrieve.residual_codes.ResidualCodes`.
    part, engine : optional
        Encode a part, or on a Ray cluster, as :func:`encode_corpus` does.
    device : str, optional
        Torch device.

    Returns
    -------
    Path
        The directory, with ``tokens.npy``, ``offsets.npy``, ``checksums.npy``, ``docid``, ``manifest.json``, and
        ``codebook.npz`` for residual codes; of a part, the folder with the shards.

    Raises
    ------
    InputError
        The corpus cannot be read, the codes are unknown, the directory is something else, or there is no such part.
    CheckpointError
        The encoder, or a shard of an earlier process, is broken, or no passage has a token.
    SetupError
        Ray is not installed, or its cluster failed.
    """
    from pyserini_optical.models import load_encoder
    from pyserini_optical.models.device import machine

    if codes not in get_args(Codes):
        raise InputError(f"unknown codes {codes!r}", remedy=f"choose from {', '.join(get_args(Codes))}")
    if isinstance(encoder, str | PathLike):
        encoder = load_encoder(os.fspath(encoder), device)
    inputs = {"corpus": fingerprint(corpus), "encoder": encoder.token_fingerprint}
    manifest = Manifest(_STEP, inputs=inputs, parameters={"codes": codes}, machine=machine(encoder.device))
    files = ("docid", _OFFSETS, _TOKENS) + (() if codes == "float16" else (_CODEBOOK,))
    folder = CorpusFolder(store, manifest, files, "a token store", self_checked=(_TOKENS,))
    workers = choose_engine(engine, encoder, _token_vectors, part, device)
    if folder.is_made(part):
        return Path(store)
    total = sum(1 for _ in read_corpus(corpus))
    bits = 0 if codes == "float16" else int(codes[0])
    encode = partial(_token_vectors, encoder)
    if part is not None:
        return folder.make_part(corpus, total, encode, part)
    folder.make(corpus, total, encode, lambda made, shards: _write(made, shards, bits), workers)
    return Path(store)


def is_token_store(path: Pathish) -> bool:
    """Tell whether a path is a token store rather than an index or a corpus."""
    return (Path(path) / _OFFSETS).is_file()


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
        if not all((folder / name).is_file() for name in (MANIFEST, "docid", _OFFSETS, _TOKENS)):
            raise CheckpointError(f"{folder}: not a whole token store; {_REMEDY}")
        manifest = Manifest.load(folder / MANIFEST)
        manifest.check(folder, _REMEDY)
        checksums = _array(folder / _CHECKSUMS) if _CHECKSUMS in manifest.outputs else None
        offsets, tokens = _array(folder / _OFFSETS), _array(folder / _TOKENS, "r")
        docids = [docid for _, docid in read_lines(folder / "docid")]
        coded = tokens.dtype.fields is not None
        codes = ResidualCodes.load(folder / _CODEBOOK) if coded else None
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
                parts.append(_token_vectors(encoder, texts[start : start + _PART]))
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
            if _crc(self.tokens[self.offsets[row] : self.offsets[row + 1]]) != self.checksums[row]:
                place = f"the token vectors of passage {shown(self.docids[row])}"
                raise CheckpointError(f"{self.name}/{_TOKENS}: {place} are damaged; {_REMEDY}")
        self._checked[rows] = True

    def _decoded(self, tokens: NDArray[Any]) -> Vectors:
        if self.codes:
            return self.codes.decode(tokens)
        import torch

        # Twice as fast as NumPy's conversion, which would take most of the time of re-ranking.
        vectors: Vectors = torch.from_numpy(np.array(tokens)).float().numpy()
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


def _token_vectors(encoder: Encoder, texts: list[str]) -> Arrays:
    tokens = encoder.passage_tokens(texts)
    return {
        "vectors": np.concatenate(tokens).astype(np.float16),
        "lengths": np.array([len(one) for one in tokens], dtype=np.int64),
    }


def _write(made: Path, shards: Shards, bits: int) -> None:
    lengths: list[NDArray[np.int64]] = []
    sample: list[Vectors] = []
    draw = np.random.default_rng(0)
    for shard in shards:
        vectors = shard.arrays["vectors"]
        lengths.append(shard.arrays["lengths"])
        if bits:
            wanted = -(-_SAMPLE * len(shard.docids) // shards.passages)
            chosen = draw.permutation(len(vectors))[:wanted]
            sample.append(vectors[chosen].astype(np.float32))
    offsets = np.cumsum(np.concatenate([np.zeros(1, dtype=np.int64), *lengths]))
    if not offsets[-1]:
        raise CheckpointError("no passage has a token that is scored; look at the corpus and the encoder")
    codes = ResidualCodes.train(np.concatenate(sample), bits) if bits else None
    if codes:
        codes.save(made / _CODEBOOK)
    np.save(made / _OFFSETS, offsets)
    shape = (int(offsets[-1]),) if codes else (int(offsets[-1]), vectors.shape[1])
    dtype = codes.dtype if codes else np.dtype("<f2")
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    checksums: list[int] = []
    # Not through a memory map: a full disk would end the process.
    with docid_file(made) as take, open(made / _TOKENS, "wb") as file:
        np.lib.format.write_array_header_2_0(file, header)
        for shard in shards:
            vectors = take(shard)["vectors"]
            block = codes.encode(vectors.astype(np.float32)) if codes else vectors
            block.tofile(file)
            ends = np.cumsum(shard.arrays["lengths"])[:-1]
            checksums += [_crc(passage) for passage in np.split(block, ends)]
    np.save(made / _CHECKSUMS, np.array(checksums, dtype=np.uint32))


def _array(path: Path, mode: Literal["r"] | None = None) -> NDArray[Any]:
    try:
        found: NDArray[Any] = np.load(path, mmap_mode=mode, allow_pickle=False)
    except Exception as error:  # NumPy's reader of headers raises TokenError, OverflowError and others too
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: damaged or truncated ({reason}); {_REMEDY}") from None
    return found


def _crc(tokens: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(tokens).view(np.uint8).data)
