"""Relevance labels as training data: questions with the passage that answers each, perhaps with hard negatives."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pyserini_optical.data.fields import checked_id, checked_text, one_line
from pyserini_optical.data.files import Pathish, plain_suffix, read_lines, write_text
from pyserini_optical.data.jsonl import read_objects, string
from pyserini_optical.data.topics import read_topics
from pyserini_optical.data.trec import read_qrels
from pyserini_optical.errors import InputError


class Question(NamedTuple):
    """A question.

    Attributes
    ----------
    text : str
        The question.
    passage : str
        Id of its relevant passage.
    answers : tuple of str
        As they stand in the passage; may be empty.
    negatives : tuple of str
        Ids of passages that seem relevant and are not, best first; may be empty.
    others : tuple of str
        Ids of other passages that are known to be relevant.
    """

    text: str
    passage: str
    answers: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def read_relevance(path: Pathish) -> list[Question]:
    """Read questions, ``question⇥passage id⇥answer⇥answer…`` a line (the answers may be left out), or JSONL.

    A file that ends in ``.jsonl``, ``.jsonl.gz`` or ``.jsonl.xz`` has objects with ``question``, ``passage`` and
    perhaps ``answers`` and ``negatives``, lists of texts and of passage ids; other keys are passed over. A question
    that stands with several passages has all of them, one as its own.

    Raises
    ------
    InputError
        A line with fewer than two columns or without these keys, an empty question or answer, a bad id, or no question.
    """
    suffix = plain_suffix(path)
    questions = list(_objects(path) if suffix == ".jsonl" else _columns(path))
    if not questions:
        raise InputError("holds no questions", path=path, remedy="check that it is the right file")
    relevant: dict[str, dict[str, None]] = {}
    for question in questions:
        relevant.setdefault(question.text, {})[question.passage] = None
    return [
        question._replace(others=tuple(other for other in relevant[question.text] if other != question.passage))
        for question in questions
    ]


def read_judged(topics: Pathish, qrels: Pathish) -> dict[str, Question]:
    """Read topics with their labels: of several relevant passages the first is the question's own.

    Raises
    ------
    InputError
        A file cannot be read, or a topic has no relevant passage.
    """
    judged = read_qrels(qrels)
    questions = {}
    for topic, text in read_topics(topics).items():
        relevant = [passage for passage, relevance in judged.get(topic, {}).items() if relevance > 0]
        if not relevant:
            raise InputError(f"has no relevant passage for topic {topic}", path=qrels, remedy=f"check {topics}")
        questions[topic] = Question(text, relevant[0], (), others=tuple(relevant[1:]))
    return questions


def write_relevance(path: Pathish, questions: Iterable[Question]) -> None:
    """Write questions as JSONL, for :func:`read_relevance`; the file appears when it is complete."""
    with write_text(path) as stream:
        for question in questions:
            record = {
                "question": question.text,
                "passage": question.passage,
                "answers": question.answers,
                "negatives": question.negatives,
            }
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def _columns(path: Pathish) -> Iterator[Question]:
    for number, line in read_lines(path):
        columns = line.split("\t")
        if len(columns) < 2:
            problem = "expected 2 columns or more separated by tabs, found 1"
            raise InputError(problem, path=path, line=number, remedy="write question⇥passage id⇥answer…")
        yield _question(columns[0], columns[1], columns[2:], (), path, number)


def _objects(path: Pathish) -> Iterator[Question]:
    for number, record in read_objects(path):
        missing = [key for key in ("question", "passage") if key not in record]
        if missing:
            problem = f"no `{missing[0]}`"
            raise InputError(problem, path=path, line=number, remedy="write what `make-training-data` writes")
        text, passage = (string(record[key], key, path=path, line=number) for key in ("question", "passage"))
        answers, negatives = (_texts(record, key, path, number) for key in ("answers", "negatives"))
        yield _question(text, passage, answers, negatives, path, number)


def _texts(record: dict[str, Any], key: str, path: Pathish, line: int) -> list[str]:
    values = record.get(key, [])
    if not isinstance(values, list):
        remedy = "write a list of strings"
        raise InputError(f"`{key}` is {type(values).__name__}, expected a list", path=path, line=line, remedy=remedy)
    return [string(value, key, path=path, line=line) for value in values]


def _question(
    text: str, passage: str, answers: Iterable[str], negatives: Iterable[str], path: Pathish, line: int
) -> Question:
    return Question(
        one_line(checked_text(text, "question", path=path, line=line)),
        checked_id(passage, "passage id", path=path, line=line),
        tuple(checked_text(answer, "answer", path=path, line=line) for answer in answers),
        tuple(checked_id(negative, "negative", path=path, line=line) for negative in negatives),
    )
