"""Recall within a budget of tokens: does the answer stand in what a reader sees first (``R@2kt``, ``R@5kt``)?"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyserini_optical.data import Pathish, read_lines
from pyserini_optical.data.fields import checked_id, checked_text, one_line, shown
from pyserini_optical.errors import InputError


@dataclass(frozen=True)
class Answers:
    """The answers of questions, and the texts in which they are looked for.

    Attributes
    ----------
    answers : mapping of str to sequence of str
        By topic; any of them will do.
    passages : mapping of str to str
        Text by passage.
    """

    answers: Mapping[str, Sequence[str]]
    passages: Mapping[str, str]

    def recall(self, topic: str, ranked: Sequence[str], budget: int) -> float:
        """Say whether an answer stands among the first tokens of the ranked passages.

        The passages are put one after the other and cut after ``budget`` tokens, by white space; an answer counts where
        it stands as whole words, capitals aside. XOR-QA's own script cuts tokens by NLTK and finds parts of words too.

        Parameters
        ----------
        topic : str
            The question.
        ranked : sequence of str
            Passages, best first.
        budget : int
            How many tokens are read.

        Returns
        -------
        float
            1 or 0.

        Raises
        ------
        InputError
            The topic has no answers, or a passage no text.

        References
        ----------
        Asai et al., XOR QA: Cross-lingual open-retrieval question answering, NAACL 2021, section 3.1.
        """
        if topic not in self.answers:
            raise InputError(f"topic {shown(topic)} has no answers", remedy="give answers for every topic of the qrels")
        words: list[str] = []
        for passage in ranked:
            if passage not in self.passages:
                raise InputError(f"passage {shown(passage)} has no text", remedy="give the corpus that was searched")
            words += self.passages[passage].split()
            if len(words) >= budget:
                break
        text = " ".join(words[:budget]).casefold()
        return float(any(_stands_in(one_line(answer).casefold(), text) for answer in self.answers[topic]))


def read_answers(path: Pathish) -> dict[str, tuple[str, ...]]:
    """Read answers, ``id⇥answer⇥answer…`` a line.

    Parameters
    ----------
    path : path-like
        The file, plain, ``.gz`` or ``.xz``.

    Returns
    -------
    dict of str to tuple of str
        By topic id.

    Raises
    ------
    InputError
        A line without an answer, an empty answer, an id that is empty, repeated or holds white space, or no line.
    """
    answers: dict[str, tuple[str, ...]] = {}
    for number, line in read_lines(path):
        topic, *texts = line.split("\t")
        checked_id(topic, "topic id", path=path, line=number)
        if not texts:
            raise InputError("no answer", path=path, line=number, remedy="write id⇥answer⇥answer…")
        if topic in answers:
            problem = f"topic id {shown(topic)} stands twice"
            raise InputError(problem, path=path, line=number, remedy="write all answers of a topic in one line")
        answers[topic] = tuple(checked_text(text, "answer", path=path, line=number) for text in texts)
    if not answers:
        raise InputError("holds no answers", path=path, remedy="check that it is the right file")
    return answers


def _stands_in(answer: str, text: str) -> bool:
    start = text.find(answer)
    while start >= 0:
        end = start + len(answer)
        # Only where the answer itself begins or ends with a letter can a neighbour make it part of a longer word.
        before = start > 0 and _in_word(text[start - 1]) and _in_word(answer[0])
        after = end < len(text) and _in_word(text[end]) and _in_word(answer[-1])
        if not before and not after:
            return True
        start = text.find(answer, start + 1)
    return False


def _in_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"
