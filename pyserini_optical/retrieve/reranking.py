"""Re-ordering the top of a run: by exact late interaction, by pooled vectors, or by a cross-encoder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from pyserini_optical.data import (
    Pathish,
    check_output,
    one_process,
    order_hits,
    read_corpus,
    read_run,
    read_topics,
    write_run,
)
from pyserini_optical.data.fields import shown
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.integration.lucene_tokens import LuceneTokens, is_lucene_tokens
from pyserini_optical.progress import progress
from pyserini_optical.retrieve.joined_index import index_folders
from pyserini_optical.retrieve.maxsim import Vectors
from pyserini_optical.retrieve.pair_scores import score_pairs
from pyserini_optical.retrieve.searching import Run, open_index_for, run_tag
from pyserini_optical.retrieve.token_store import TokenStore, check_tokens, is_token_store

if TYPE_CHECKING:
    from pyserini_optical.models import CrossEncoder, Encoder

By = Literal["maxsim", "pooled", "cross-encoder"]

# The passages to re-order, best first, by topic; and a score for each of them.
Heads = Mapping[str, Sequence[str]]
Scores = Mapping[str, Sequence[float]]

# Passages that are encoded together in memory.
_PART = 1024


@one_process("output")
def rerank(
    encoder: Encoder | CrossEncoder | Pathish,
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
    r"""Re-order the first passages of each topic.

    ``maxsim`` scores by late interaction, :math:`s(q, d) = \sum_i \max_j \cos(q_i, d_j)`; ``pooled`` by the cosine of
    the two vectors; ``cross-encoder`` by a model that reads question and passage together.

    Parameters
    ----------
    encoder : Encoder, CrossEncoder, str or path-like
        For ``maxsim`` an encoder whose token vectors are used: a late-interaction checkpoint's own, a pooled one's as
        they are. For ``pooled`` an encoder whose single vectors are used. For ``cross-encoder`` such a model.
    corpus : path-like
        A JSONL file or flat directory of such, of which only the passages to re-order are read by the model, and their
        vectors held in memory. Instead, for ``maxsim``, what
        :func:`~pyserini_optical.retrieve.token_encoding.encode_tokens` or
        :func:`~pyserini_optical.retrieve.lucene_export.export_to_lucene` made; for ``pooled`` an index that
        :func:`~pyserini_optical.retrieve.encoding.encode_corpus` made.
    topics : path-like or mapping of str to str
        Topics file, or text by topic id; each topic of the run must have one.
    run : path-like or mapping of str to mapping of str to float
        TREC run, or score by passage id by topic id.
    output : path-like, optional
        TREC run to write. The scores of a cross-encoder that are finished lie beside it, in ``.NAME.work``, until it is
        written: the same call goes on from them after a kill.
    by : {"maxsim", "pooled", "cross-encoder"}
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
        Score by passage id by topic id, best first; the passages below ``depth`` get falling numbers under the lowest.

    Raises
    ------
    InputError
        A file cannot be read, a topic of the run has no text, a passage of it is not in the corpus, or the depth or
        the tag cannot be used.
    CheckpointError
        The model, store or index is broken, they do not belong together, or the model is not of the kind that scores.
    """
    if by not in get_args(By):
        raise InputError(f"unknown way to re-rank {by!r}", remedy=f"choose from {', '.join(get_args(By))}")
    if depth < 1:
        raise InputError(f"depth {depth} asked for", remedy="ask for one or more")
    if output is not None:
        check_output(output)
    encoder = _load(encoder, by, device)
    tag = run_tag(encoder, tag)  # made and checked before the work, which may be long
    texts = dict(topics) if isinstance(topics, Mapping) else read_topics(topics)
    named = None if isinstance(run, Mapping) else run
    hits = run if isinstance(run, Mapping) else read_run(run)
    without = next((topic for topic in hits if topic not in texts), None)
    if without is not None:
        remedy = "give the topics of this run"
        raise InputError(f"topic {shown(without)} has no text among the topics", path=named, remedy=remedy)
    ranked = {topic: [passage for passage, _ in order_hits(found)] for topic, found in hits.items()}
    heads = {topic: order[:depth] for topic, order in ranked.items()}
    questions = {topic: texts[topic] for topic in heads}
    scores: Scores
    work = None if output is None else Path(output).with_name(f".{Path(output).name}.work")
    if by == "cross-encoder":
        scores = score_pairs(encoder, questions, heads, _read(corpus, heads, named), work)  # type: ignore[arg-type]
    else:
        scores = (_by_maxsim if by == "maxsim" else _by_pooled)(encoder, corpus, questions, heads, named)  # type: ignore[arg-type]
    result: Run = {}
    for topic, order in ranked.items():
        result[topic] = dict(order_hits(dict(zip(heads[topic], scores[topic], strict=True))))
        below = np.floor(min(scores[topic], default=0.0))
        result[topic].update((passage, below - rank) for rank, passage in enumerate(order[depth:], 1))
    if output is not None:
        write_run(output, result, tag)
    if work is not None:
        shutil.rmtree(work, ignore_errors=True)
    return result


def _load(encoder: Encoder | CrossEncoder | Pathish, by: By, device: str | None) -> Encoder | CrossEncoder:
    from pyserini_optical.models import CrossEncoder, load_cross_encoder, load_encoder

    if isinstance(encoder, str | PathLike):
        name = os.fspath(encoder)
        return load_cross_encoder(name, device) if by == "cross-encoder" else load_encoder(name, device)
    if isinstance(encoder, CrossEncoder) != (by == "cross-encoder"):
        raise CheckpointError(f"{encoder.name}: does not re-rank by {by}; give a model of that kind")
    return encoder


def _by_maxsim(
    encoder: Encoder, corpus: Pathish, questions: Mapping[str, str], heads: Heads, run: Pathish | None
) -> Scores:
    store: TokenStore | LuceneTokens
    if is_lucene_tokens(corpus) or is_token_store(corpus):
        store = LuceneTokens.open(corpus) if is_lucene_tokens(corpus) else TokenStore.open(corpus)
        check_tokens(store, encoder)
        _check_known(heads, store.rows, corpus, run)
    else:
        store = TokenStore.of(encoder, _read(corpus, heads, run), os.fspath(corpus))
    queries = encoder.query_tokens(list(questions.values()))
    found = {}
    with progress("re-ranking topics", len(heads)) as advance:
        for topic, query in zip(questions, queries, strict=True):
            found[topic] = store.scores(query, [store.rows[passage] for passage in heads[topic]])
            advance(1)
    return found


def _by_pooled(
    encoder: Encoder, corpus: Pathish, questions: Mapping[str, str], heads: Heads, run: Pathish | None
) -> Scores:
    if any((part / "docid").is_file() for part in index_folders(Path(corpus))):
        index, docids = open_index_for(encoder, Path(corpus))
        wanted = {passage for head in heads.values() for passage in head}
        rows = {docid: row for row, docid in enumerate(docids) if docid in wanted}
        _check_known(heads, rows, corpus, run)
        vectors: Vectors = index.reconstruct_batch(np.array(list(rows.values()), dtype=np.int64))
    else:
        texts = _read(corpus, heads, run)
        rows, vectors = {docid: row for row, docid in enumerate(texts)}, _encode(encoder, list(texts.values()))
    places = {docid: place for place, docid in enumerate(rows)}
    queries = encoder.encode_queries(list(questions.values()))
    return {
        topic: (vectors[[places[passage] for passage in heads[topic]]] @ query).tolist() if heads[topic] else []
        for topic, query in zip(questions, queries, strict=True)
    }


def _encode(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    parts = [np.zeros((0, encoder.dimension), dtype=np.float32)]
    with progress("encoding passages", len(texts)) as advance:
        for start in range(0, len(texts), _PART):
            parts.append(encoder.encode_passages(texts[start : start + _PART]))
            advance(len(parts[-1]))
    return np.concatenate(parts)


def _read(corpus: Pathish, heads: Heads, run: Pathish | None) -> dict[str, str]:
    """Read the texts of these passages; all of them must be in the corpus."""
    wanted = {passage for head in heads.values() for passage in head}
    texts = {passage.id: passage.text for passage in read_corpus(corpus) if passage.id in wanted}
    _check_known(heads, texts, corpus, run)
    return texts


def _check_known(heads: Heads, known: Mapping[str, object], corpus: Pathish, run: Pathish | None) -> None:
    for topic, head in heads.items():
        unknown = next((passage for passage in head if passage not in known), None)
        if unknown is not None:
            problem = f"passage {shown(unknown)} of topic {shown(topic)} is not in {os.fspath(corpus)}"
            raise InputError(problem, path=run, remedy="give the corpus, token store or index of this run")
