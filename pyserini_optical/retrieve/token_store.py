"""Every token vector of a corpus, written once and memory-mapped: what exact late interaction reads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import Manifest, Pathish, fingerprint, read_corpus, read_lines
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.progress import progress
from pyserini_optical.retrieve.maxsim import Vectors
from pyserini_optical.retrieve.residual_codes import ResidualCodes
from pyserini_optical.retrieve.sharding import MANIFEST, Arrays, CorpusFolder, Shards, docid_file

if TYPE_CHECKING:
    from pyserini_optical.models import Encoder

Codes = Literal["float16", "4-bit", "2-bit"]

_STEP = "encode tokens"
_TOKENS, _OFFSETS, _CODEBOOK = "tokens.npy", "offsets.npy", "codebook.npz"

# Passages that are encoded together in memory.
_PART = 1024

# Token vectors on which a code is trained.
_SAMPLE = 2**16


def encode_tokens(
    encoder: Encoder | Pathish, corpus: Pathish, store: Pathish, *, codes: Codes = "float16", device: str | None = None
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
    device : str, optional
        Torch device.

    Returns
    -------
    Path
        The directory, with ``tokens.npy``, ``offsets.npy``, ``docid``, ``manifest.json``, and ``codebook.npz`` for
        residual codes.

    Raises
    ------
    InputError
        The corpus cannot be read, the codes are unknown, or the directory is something else.
    CheckpointError
        The encoder, or a shard of an earlier process, is broken, or no passage has a token.
    """
    from pyserini_optical.models import load_encoder

    if codes not in get_args(Codes):
        raise InputError(f"unknown codes {codes!r}", remedy=f"choose from {', '.join(get_args(Codes))}")
    if isinstance(encoder, str | PathLike):
        encoder = load_encoder(os.fspath(encoder), device)
    inputs = {"corpus": fingerprint(corpus), "encoder": encoder.token_fingerprint}
    manifest = Manifest(_STEP, inputs=inputs, parameters={"codes": codes})
    files = ("docid", _OFFSETS, _TOKENS) + (() if codes == "float16" else (_CODEBOOK,))
    folder = CorpusFolder(store, manifest, files, "a token store")
    if folder.is_made():
        return Path(store)
    total = sum(1 for _ in read_corpus(corpus))
    read = encoder.passage_tokens
    bits = 0 if codes == "float16" else int(codes[0])
    folder.make(corpus, total, lambda texts: _joined(read(texts)), lambda made, shards: _write(made, shards, bits))
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
    """

    name: str
    docids: list[str]
    offsets: NDArray[np.int64]
    tokens: NDArray[Any]
    codes: ResidualCodes | None
    made_by: str

    @classmethod
    def open(cls, folder: Pathish) -> TokenStore:
        """Open what :func:`encode_tokens` made, memory-mapped.

        Raises
        ------
        CheckpointError
            A file is missing, cut off, or does not fit the others.
        """
        folder = Path(folder)
        remedy = "remove the folder and encode the corpus again"
        if not all((folder / name).is_file() for name in (MANIFEST, "docid", _OFFSETS, _TOKENS)):
            raise CheckpointError(f"{folder}: not a whole token store; {remedy}")
        manifest = Manifest.load(folder / MANIFEST)
        try:
            offsets = np.load(folder / _OFFSETS, allow_pickle=False)
            tokens = np.load(folder / _TOKENS, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise CheckpointError(f"{folder}: damaged or truncated ({error}); {remedy}") from None
        docids = [docid for _, docid in read_lines(folder / "docid")]
        coded = tokens.dtype.fields is not None
        codes = ResidualCodes.load(folder / _CODEBOOK) if coded else None
        store = cls(str(folder), docids, offsets, tokens, codes, manifest.inputs.get("encoder", ""))
        if len(docids) + 1 != len(offsets) or len(tokens) != offsets[-1] or (codes and codes.dtype != tokens.dtype):
            raise CheckpointError(f"{folder}: its files do not fit each other; {remedy}")
        return store

    @classmethod
    def of(cls, encoder: Encoder, passages: Mapping[str, str], name: str) -> TokenStore:
        """Encode passages, text by id, to float16 in memory."""
        texts = list(passages.values())
        parts: list[Arrays] = []
        with progress("encoding passages", len(texts)) as advance:
            for start in range(0, len(texts), _PART):
                parts.append(_joined(encoder.passage_tokens(texts[start : start + _PART])))
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
        if self.made_by != encoder.token_fingerprint:
            raise CheckpointError(
                f"{self.name}: token vectors of another document encoder than that of {encoder.name}; "
                f"make a store with `encode {encoder.name} CORPUS STORE --tokens`"
            )
        if self.dimension != encoder.token_dimension:
            raise CheckpointError(
                f"{self.name}: has token vectors of {self.dimension} dimensions, {encoder.name} of "
                f"{encoder.token_dimension}; distil the encoder again, from the document encoder of this store"
            )

    @property
    def dimension(self) -> int:
        """Length of the token vectors."""
        return self.codes.dimension if self.codes else int(self.tokens.shape[1])

    @cached_property
    def rows(self) -> dict[str, int]:
        """Number of each passage by its id."""
        return {docid: row for row, docid in enumerate(self.docids)}

    def passages(self, rows: NDArray[np.int64]) -> tuple[Vectors, NDArray[np.int64]]:
        """Give the token vectors of some passages, decoded, one passage behind the other, and how many each has."""
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        before = np.cumsum(lengths) - lengths
        places = np.repeat(self.offsets[rows] - before, lengths) + np.arange(lengths.sum())
        return self._decoded(self.tokens[places]), lengths

    def blocks(self, size: int) -> Iterator[tuple[int, Vectors, NDArray[np.int64]]]:
        """Yield all passages, so many at a time: the first's number, then as :meth:`passages`."""
        for start in range(0, len(self.docids), size):
            offsets = self.offsets[start : start + size + 1]
            yield start, self._decoded(self.tokens[offsets[0] : offsets[-1]]), np.diff(offsets)

    def _decoded(self, tokens: NDArray[Any]) -> Vectors:
        if self.codes:
            return self.codes.decode(tokens)
        import torch

        # Twice as fast as NumPy's conversion, which would take most of the time of re-ranking.
        vectors: Vectors = torch.from_numpy(np.array(tokens)).float().numpy()
        return vectors


def _joined(tokens: Sequence[Vectors]) -> Arrays:
    return {
        "vectors": np.concatenate(list(tokens)).astype(np.float16),
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
    # Not through a memory map: a full disk would end the process.
    with docid_file(made) as take, open(made / _TOKENS, "wb") as file:
        np.lib.format.write_array_header_2_0(file, header)
        for shard in shards:
            block = take(shard)["vectors"]
            (codes.encode(block.astype(np.float32)) if codes else block).tofile(file)
