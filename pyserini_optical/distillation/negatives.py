"""Passages that BM25 finds for a question, and hard negatives: those among them that do not answer it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from pyserini_optical.data import Pathish, fingerprint_texts, write_text
from pyserini_optical.data.relevance import Question
from pyserini_optical.errors import RecipeError
from pyserini_optical.progress import progress

# Questions searched between two steps of the progress bar.
_BLOCK = 500


def mine_negatives(
    questions: Sequence[Question],
    corpus: Pathish,
    passages: Mapping[str, str],
    *,
    depth: int,
    seed: int,
    work: Path,
    count: int = 1,
) -> list[list[str]]:
    """Draw hard negatives for each question: of its own, or else of the first ``depth`` passages that BM25 finds.

    The relevant passages and those that hold one of the answers (whatever the case) are passed over; a question for
    which too few are left gets passages drawn from the whole corpus.

    Parameters
    ----------
    questions : sequence of Question
        Their order and number are part of what is drawn.
    corpus : path-like
        What BM25 searches, texts alone.
    passages : mapping of str to str
        Its texts by id.
    depth : int
        How far down the list.
    seed : int
        Of the draws.
    work : Path
        Folder that keeps the index and what was drawn.
    count : int
        Negatives a question.

    Returns
    -------
    list of list of str
        ``count`` passage ids for each question.

    Raises
    ------
    RecipeError
        Every passage answers a question.
    """
    own = [f"{question.text} {' '.join(question.negatives)}" for question in questions]
    key = fingerprint_texts([corpus_key(passages), str(depth), str(seed), str(count), *own])
    kept = work / f"negatives-{key[:16]}.json"
    if kept.is_file():
        drawn: list[list[str]] = json.loads(kept.read_text(encoding="utf-8"))
        return drawn
    random = np.random.default_rng(seed)
    open_ones = bm25_hits([question for question in questions if not question.negatives], corpus, depth, work)
    drawn = []
    for question in questions:
        found: Sequence[str] = question.negatives if question.negatives else next(open_ones)
        hits = [hit for hit in found if is_negative(hit, question, passages)]
        chosen = [hits.pop(int(random.integers(len(hits)))) for _ in range(min(count, len(hits)))]
        while len(chosen) < count:
            chosen.append(_any(question, passages, random, chosen))
        drawn.append(chosen)
    with write_text(kept) as stream:
        json.dump(drawn, stream)
    return drawn


def bm25_hits(questions: Sequence[Question], corpus: Pathish, depth: int, work: Path) -> Iterator[list[str]]:
    """Yield for each question the ids of the first ``depth`` passages that BM25 finds, best first.

    Parameters
    ----------
    questions : sequence of Question
        In English.
    corpus : path-like
        What is searched, texts alone.
    depth : int
        How many; there may be fewer.
    work : Path
        Folder that keeps the index.
    """
    from pyserini_optical.integration.lucene import bm25_index, bm25_search

    if not questions:
        return
    index = work / "bm25"
    if not index.exists():
        bm25_index(corpus, index, "en", fields=["text"])
    with progress("searching candidates, questions", len(questions)) as advance:
        for start in range(0, len(questions), _BLOCK):
            block = questions[start : start + _BLOCK]
            found = bm25_search(index, {str(n): question.text for n, question in enumerate(block)}, "en", depth)
            yield from (list(found[str(number)]) for number in range(len(block)))
            advance(len(block))


def corpus_key(passages: Mapping[str, str]) -> str:
    """Give the fingerprint of passages in their order."""
    return fingerprint_texts(part for passage in passages.items() for part in passage)


def check_passages(questions: Sequence[Question], passages: Mapping[str, str], path: str) -> None:
    """Refuse questions about passages, or with negatives, that the corpus does not have.

    Raises
    ------
    RecipeError
        There is such a question.
    """
    for question in questions:
        for passage in (question.passage, *question.negatives):
            if passage not in passages:
                raise RecipeError(f"{path}: holds no passage {passage!r}, which a question names; give its corpus")


def is_negative(passage: str, question: Question, passages: Mapping[str, str]) -> bool:
    """Tell whether a passage is not known to be relevant and holds none of the answers, whatever the case."""
    text = passages[passage].casefold()
    return passage not in (question.passage, *question.others) and not any(
        answer.casefold() in text for answer in question.answers
    )


def _any(question: Question, passages: Mapping[str, str], random: np.random.Generator, drawn: Sequence[str]) -> str:
    """Draw a passage that does not answer the question and was not drawn for it."""
    for number in random.permutation(len(passages)):
        passage = next(islice(passages, int(number), None))
        if passage not in drawn and is_negative(passage, question, passages):
            return passage
    what = "every passage" if not drawn else f"every passage but {len(drawn)}"
    raise RecipeError(f"{what} answers the question {question.text!r}; remove it or its answers, or draw fewer")
