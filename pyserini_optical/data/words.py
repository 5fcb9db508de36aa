"""Words as translation counts them: runs of Unicode letters, marks and numbers, as writers differ in them.

Case is folded, and so are signs that writers put or leave out and letters that they write for each other: an Arabic
question with few vowel points finds the word that the bitext has with all.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import accumulate, pairwise

from tokenizers import Regex, pre_tokenizers

# By this what was made of words is known; raised when they change.
FOLDING = "3"

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
# Scripts that put no space between words: Thai, Lao, Burmese, Khmer, kana, and the characters of Chinese.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)


def word_places(text: str) -> list[tuple[str, int, int]]:
    """Give the words of a text as :func:`split_words` does, each with where it starts and ends in the text itself."""
    runs = [(start, end) for _, (start, end) in _splitter.pre_tokenize_str(text)]
    if _UNSPACED.search(text):
        runs = _cut(text, runs)
    return [(word, start, end) for start, end in runs for word in _fold(text[start:end])]


def split_words(text: str) -> list[str]:
    """Give the words of a text in order, in Unicode's compatibility composition (NFKC), without what writers leave out.

    Where a script puts no space between words they are those of ICU, by its dictionaries and models.

    Parameters
    ----------
    text : str
        In any script.
    """
    # Written first, then folded: NFKC takes vowel signs apart without which the dictionaries know no word.
    return [word for word, _, _ in word_places(text)] if _UNSPACED.search(text) else _fold(text)


def _fold(text: str) -> list[str]:
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    folded = unicodedata.normalize("NFKC", _OPTIONAL.sub("", letters).translate(_ALIKE))
    return [word for word, _ in _splitter.pre_tokenize_str(folded)]


def _cut(text: str, runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Cut what is written in such scripts where its words end."""
    from icu4py.breakers import WordBreaker

    ends = set(accumulate(map(len, WordBreaker(text, "und"))))  # its own places count in UTF-16
    cut = []
    for start, end in runs:
        if _UNSPACED.search(text, start, end):
            places = [start, *(place for place in range(start + 1, end) if place in ends), end]
            cut += list(pairwise(places))
        else:
            cut.append((start, end))
    return cut


def plain_words(text: str) -> str:
    """Give the words of a text with a space between them: texts that differ in case and punctuation are the same."""
    return " ".join(split_words(text))
