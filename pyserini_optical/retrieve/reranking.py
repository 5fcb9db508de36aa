"""Re-ordering the top of a run by exact late interaction."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from pyserini_optical.data import Pathish, order_hits, read_corpus, read_run, read_topics, write_run
from pyserini_optical.data.fields import shown
from pyserini_optical.errors import InputError
from pyserini_optical.progress import progress
from pyserini_optical.retrieve.maxsim import maxsim
from pyserini_optical.retrieve.searching import Run, run_tag
from pyserini_optical.retrieve.token_store import TokenStore, is_token_store

if TYPE_CHECKING:
    from pyserini_optical.models import Encoder

By = Literal["maxsim"]


def rerank(
    encoder: Encoder | Pathish,
    corpus: Pathish,
    topics: Pathish | Mapping[str, str],
    run: Pathish | Mapping[str, Mapping[str, float]],
    output: Pathish | None = None,
    *,
    by: By = "maxsim",
    depth: int = 100,
    tag: str | None = None,
    device: str | None = None,
) -> Run:
    r"""Re-order the first passages of each topic by :math:`s(q, d) = \sum_i \max_j \cos(q_i, d_j)`.

    Parameters
    ----------
    encoder : Encoder, str or path-like
        Its token vectors are used: a late-interaction checkpoint's own, a pooled one's as they are.
    corpus : path-like
        What :func:`~pyserini_optical.retrieve.token_store.encode_tokens` made; or a JSONL file or flat directory of
        such, of which the passages to re-order are encoded now and held in memory in float16.
    topics : path-like or mapping of str to str
        Topics file, or text by topic id; each topic of the run must have one.
    run : path-like or mapping of str to mapping of str to float
        TREC run, or score by passage id by topic id.
    output : path-like, optional
        TREC run to write.
    by : {"maxsim"}
        What scores.
    depth : int
        So many passages a topic are re-ordered; those below keep their order and stay below.
    tag : str, optional
        Name of the run in its last column; the encoder's folder name by default.
    device : str, optional
        Torch device.

    Returns
    -------
    dict of str to dict of str to float
        MaxSim by passage id by topic id, best first; the passages below ``depth`` get falling numbers under the lowest.

    Raises
    ------
    InputError
        A file cannot be read, a topic of the run has no text, a passage of it is not in the corpus, or the depth or
        the tag cannot be used.
    CheckpointError
        The encoder or the store is broken, or they do not belong together.
    """
    from pyserini_optical.models import load_encoder

    if by not in get_args(By):
        raise InputError(f"unknown way to re-rank {by!r}", remedy=f"choose from {', '.join(get_args(By))}")
    if depth < 1:
        raise InputError(f"depth {depth} asked for", remedy="ask for one or more")
    if isinstance(encoder, str | PathLike):
        encoder = load_encoder(os.fspath(encoder), device)
    tag = run_tag(encoder, tag)  # made and checked before the work, which may be long
    texts = dict(topics) if isinstance(topics, Mapping) else read_topics(topics)
    named = None if isinstance(run, Mapping) else run
    hits = run if isinstance(run, Mapping) else read_run(run)
    without = next((topic for topic in hits if topic not in texts), None)
    if without is not None:
        remedy = "give the topics of this run"
        raise InputError(f"topic {shown(without)} has no text among the topics", path=named, remedy=remedy)
    ranked = {topic: [passage for passage, _ in order_hits(found)] for topic, found in hits.items()}
    store = _store(encoder, corpus, {topic: order[:depth] for topic, order in ranked.items()}, named)
    queries = dict(zip(ranked, encoder.query_tokens([texts[topic] for topic in ranked]), strict=True))
    result: Run = {}
    with progress("re-ranking topics", len(ranked)) as advance:
        for topic, order in ranked.items():
            head = order[:depth]
            tokens, lengths = store.passages(np.array([store.rows[passage] for passage in head], dtype=np.int64))
            scores = maxsim([queries[topic]], tokens, lengths)[0].tolist() if head else []
            result[topic] = dict(order_hits(dict(zip(head, scores, strict=True))))
            below = np.floor(min(scores, default=0.0))
            result[topic].update((passage, below - rank) for rank, passage in enumerate(order[depth:], 1))
            advance(1)
    if output is not None:
        write_run(output, result, tag)
    return result


def _store(encoder: Encoder, corpus: Pathish, heads: Mapping[str, Sequence[str]], run: Pathish | None) -> TokenStore:
    """Open the store, or encode these passages of the corpus; all of them must be in it."""
    store: TokenStore | None = None
    if is_token_store(corpus):
        store = TokenStore.open(corpus)
        store.check(encoder)
        known: Mapping[str, object] = store.rows
    else:
        wanted = {passage for head in heads.values() for passage in head}
        known = texts = {passage.id: passage.text for passage in read_corpus(corpus) if passage.id in wanted}
    for topic, head in heads.items():
        unknown = next((passage for passage in head if passage not in known), None)
        if unknown is not None:
            problem = f"passage {shown(unknown)} of topic {shown(topic)} is not in {os.fspath(corpus)}"
            raise InputError(problem, path=run, remedy="give the corpus or token store of this run")
    return store or TokenStore.of(encoder, texts, os.fspath(corpus))
