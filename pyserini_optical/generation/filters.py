"""Which generated questions stay: in the right script and language, no copies of the passage, each once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pyserini_optical.data.words import plain_words
from pyserini_optical.generation.language import LanguageGuess
from pyserini_optical.generation.script import in_script

REASONS = ("empty", "wrong script", "wrong language", "copy of the passage", "duplicate", "not found again")


class Generated(NamedTuple):
    """A question with the passage that it was written about.

    Attributes
    ----------
    id, text, passage : str
        The question's id, itself, and the id of its passage.
    others : tuple of str
        Ids of other passages that are known to be relevant.
    """

    id: str
    text: str
    passage: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class GenerationReport:
    """What was kept and dropped of the generated questions.

    Attributes
    ----------
    kept : int
        Questions that stay.
    dropped : dict of str to int
        Questions left out, by reason (every one of :data:`REASONS` is a key); a question counts under the first that
        holds. ``not found again`` is 0 where no round trip was asked for, as is ``wrong language`` without examples.
    """

    kept: int
    dropped: dict[str, int]

    def __str__(self) -> str:
        """Say it in one line."""
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.dropped.items())
        return f"kept {self.kept:,} of {self.kept + sum(self.dropped.values()):,} questions; dropped: {reasons}"


def filter_questions(
    questions: list[tuple[Generated, str]], language: str, guess: LanguageGuess | None = None
) -> tuple[list[Generated], dict[str, int]]:
    """Leave out what is no use as a question.

    Parameters
    ----------
    questions : list of (Generated, str)
        Each with its passage's text.
    language : str
        Code of the language that they should be in.
    guess : LanguageGuess, optional
        Tells it from others of the same script.

    Returns
    -------
    kept : list of Generated
        In their order.
    dropped : dict of str to int
        By reason.
    """
    kept: list[Generated] = []
    dropped = dict.fromkeys(REASONS, 0)
    seen: set[str] = set()
    for question, passage in questions:
        # Spaces around it, so that a word is not found inside a longer one.
        words = f" {plain_words(question.text)} "
        reason = ""
        if not words.strip():
            reason = "empty"
        elif not in_script(question.text, language):
            reason = "wrong script"
        elif guess is not None and guess(question.text) != language:
            reason = "wrong language"
        elif words in f" {plain_words(passage)} ":
            reason = "copy of the passage"
        elif words in seen:
            reason = "duplicate"
        if reason:
            dropped[reason] += 1
        else:
            seen.add(words)
            kept.append(question)
    return kept, dropped
