"""Words as translation counts them: runs of Unicode letters, marks and numbers, as writers differ in them.

Case is folded, and so are signs that writers put or leave out and letters that they write for each other: an Arabic
question with few vowel points finds the word that the bitext has with all.
"""

from __future__ import annotations

import re
import unicodedata

from tokenizers import Regex, pre_tokenizers

# By this what was made of words is known; raised when they change.
FOLDING = "2"

# Python's \w+ would cut Hindi at its vowel signs. The zero-width joiners stand inside words.
_splitter = pre_tokenizers.Split(Regex(r"[^\p{L}\p{M}\p{N}\x{200c}\x{200d}]+"), behavior="removed")
# The joiners; Arabic's and Hebrew's points, Arabic's hamza and madda over or under a letter and its stroke that
# lengthens; the dot of Devanagari for borrowed sounds.
_OPTIONAL = re.compile(
    "[\u200c\u200d\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    "\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u093c]"
)
# Alef maqsura and Persian's yeh as Arabic's yeh, Persian's kaf as Arabic's; Devanagari's two nasal signs as one.
_ALIKE = str.maketrans("\u0649\u06cc\u06a9\u0901", "\u064a\u064a\u0643\u0902")


def word_places(text: str) -> list[tuple[str, int, int]]:
    """Give the words of a text as :func:`split_words` does, each with where it starts and ends in the text itself."""
    return [
        (word, start, end)
        for written, (start, end) in _splitter.pre_tokenize_str(text)
        for word in split_words(written)
    ]


def split_words(text: str) -> list[str]:
    """Give the words of a text in order, in Unicode's compatibility composition (NFKC), without what writers leave out.

    Parameters
    ----------
    text : str
        In any script; scripts without spaces give a word for each clause.
    """
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    folded = unicodedata.normalize("NFKC", _OPTIONAL.sub("", letters).translate(_ALIKE))
    return [word for word, _ in _splitter.pre_tokenize_str(folded)]


def plain_words(text: str) -> str:
    """Give the words of a text with a space between them: texts that differ in case and punctuation are the same."""
    return " ".join(split_words(text))
