"""Words as translation counts them: runs of Unicode letters, marks and numbers, without regard to case."""

from __future__ import annotations

import unicodedata

from tokenizers import Regex, pre_tokenizers

# Python's \w+ would cut Hindi at its vowel signs. The zero-width joiners stand inside words.
_splitter = pre_tokenizers.Split(Regex(r"[^\p{L}\p{M}\p{N}\x{200c}\x{200d}]+"), behavior="removed")


def word_places(text: str) -> list[tuple[str, int, int]]:
    """Give the words of a text as :func:`split_words` does, each with where it starts and ends in the text itself."""
    return [
        (word, start, end)
        for written, (start, end) in _splitter.pre_tokenize_str(text)
        for word in split_words(written)
    ]


def split_words(text: str) -> list[str]:
    """Give the words of a text in order, in Unicode's compatibility composition (NFKC) and case-folded.

    Parameters
    ----------
    text : str
        In any script; scripts without spaces give a word for each clause.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [word for word, _ in _splitter.pre_tokenize_str(folded)]


def plain_words(text: str) -> str:
    """Give the words of a text with a space between them: texts that differ in case and punctuation are the same."""
    return " ".join(split_words(text))
