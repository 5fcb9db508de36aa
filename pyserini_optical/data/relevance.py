"""Relevance labels as training data: questions with the passage that answers each."""

from __future__ import annotations

from typing import NamedTuple

from pyserini_optical.data.fields import checked_id, checked_text, one_line
from pyserini_optical.data.files import Pathish, read_lines
from pyserini_optical.errors import InputError


class Question(NamedTuple):
    """A question, the id of its relevant passage, and answers as they stand there (may be none)."""

    text: str
    passage: str
    answers: tuple[str, ...]


def read_relevance(path: Pathish) -> list[Question]:
    """Read questions, ``question⇥passage id⇥answer⇥answer…`` a line; the answers may be left out.

    Raises
    ------
    InputError
        A line with fewer than two columns, an empty question or answer, a bad id, or no question.
    """
    questions = []
    for number, line in read_lines(path):
        columns = line.split("\t")
        if len(columns) < 2:
            problem = "expected 2 columns or more separated by tabs, found 1"
            raise InputError(problem, path=path, line=number, remedy="write question⇥passage id⇥answer…")
        text = one_line(checked_text(columns[0], "question", path=path, line=number))
        passage = checked_id(columns[1], "passage id", path=path, line=number)
        answers = tuple(checked_text(answer, "answer", path=path, line=number) for answer in columns[2:])
        questions.append(Question(text, passage, answers))
    if not questions:
        raise InputError("holds no questions", path=path, remedy="check that it is the right file")
    return questions
