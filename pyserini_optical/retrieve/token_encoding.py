"""Writing a token store: every token vector of a corpus, in float16 or in residual codes."""

from __future__ import annotations

import os
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import Manifest, Pathish, fingerprint, one_process, read_corpus
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.retrieve.maxsim import Vectors
from pyserini_optical.retrieve.ray_engine import choose_engine
from pyserini_optical.retrieve.residual_codes import ResidualCodes
from pyserini_optical.retrieve.sharding import CorpusFolder, Part, docid_file
from pyserini_optical.retrieve.shards import Shards
from pyserini_optical.retrieve.token_store import (
    CHECKSUMS,
    CODEBOOK,
    OFFSETS,
    TOKENS,
    TokenStore,
    checksum,
    token_vectors,
)

if TYPE_CHECKING:
    from pyserini_optical.models import Encoder

Codes = Literal["float16", "4-bit", "2-bit"]

_STEP = "encode tokens"

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
    files = ("docid", OFFSETS, TOKENS) + (() if codes == "float16" else (CODEBOOK,))
    folder = CorpusFolder(store, manifest, files, "a token store", self_checked=(TOKENS,), open=TokenStore.open)
    workers = choose_engine(engine, encoder, token_vectors, part, device)
    if folder.is_made(part):
        return Path(store)
    total = sum(1 for _ in read_corpus(corpus))
    bits = 0 if codes == "float16" else int(codes[0])
    encode = partial(token_vectors, encoder)
    if part is not None:
        return folder.make_part(corpus, total, encode, part)
    folder.make(corpus, total, encode, lambda made, shards: _write(made, shards, bits), workers)
    return Path(store)


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
        codes.save(made / CODEBOOK)
    np.save(made / OFFSETS, offsets)
    shape = (int(offsets[-1]),) if codes else (int(offsets[-1]), vectors.shape[1])
    dtype = codes.dtype if codes else np.dtype("<f2")
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    checksums: list[int] = []
    # Not through a memory map: a full disk would end the process.
    with docid_file(made) as take, open(made / TOKENS, "wb") as file:
        np.lib.format.write_array_header_2_0(file, header)
        for shard in shards:
            vectors = take(shard)["vectors"]
            block = codes.encode(vectors.astype(np.float32)) if codes else vectors
            block.tofile(file)
            ends = np.cumsum(shard.arrays["lengths"])[:-1]
            checksums += [checksum(passage) for passage in np.split(block, ends)]
    np.save(made / CHECKSUMS, np.array(checksums, dtype=np.uint32))
