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
# Scripts that put no space between words: Thai, Lao, Burmese, Khmer, kana and Chinese characters; signs of these.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff"
    "\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f\U0001f200-\U0001f2ff\U00020000-\U0003ffff]"
)
# The vowel am of Thai and Lao, which NFKC takes apart, and without which ICU's dictionaries know no word.
_AM = {"\u0e4d\u0e32": "\u0e33", "\u0ecd\u0eb2": "\u0eb3"}


def is_unspaced(text: str) -> bool:
    """Whether a text has a sign of a script that puts no space between words."""
    return _UNSPACED.search(text) is not None


def word_places(text: str) -> list[tuple[str, int, int]]:
    """Give the words of a text as :func:`split_words` does, each with where it starts and ends in the text itself."""
    if is_unspaced(text):
        return _cut_places(text)
    return [
        (word, start, end)
        for written, (start, end) in _splitter.pre_tokenize_str(text)
        for word, _ in _splitter.pre_tokenize_str(_fold(written))
    ]


def split_words(text: str) -> list[str]:
    """Give the words of a text in order, in Unicode's compatibility composition (NFKC), without what writers leave out.

    Where a script puts no space between words they are those of ICU, by its dictionaries and models.

    Parameters
    ----------
    text : str
        In any script.
    """
    if is_unspaced(text):
        return [word for word, _, _ in _cut_places(text)]
    return [word for word, _ in _splitter.pre_tokenize_str(_fold(text))]


def _fold(text: str) -> str:
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFKC", _OPTIONAL.sub("", letters).translate(_ALIKE))


def _cut_places(text: str) -> list[tuple[str, int, int]]:
    """Give the words of a text with such signs; it is folded first, so that all ways to write it are the same."""
    from icu4py.breakers import CharacterBreaker, WordBreaker

    folded: list[tuple[str, int, int]] = []
    start = 0
    for cluster in CharacterBreaker(text, "und"):
        end = start + len(cluster)
        for letter in _fold(cluster):
            if folded and (am := _AM.get(folded[-1][0] + letter)):
                folded[-1] = am, folded[-1][1], end
            else:
                folded.append((letter, start, end))
        start = end
    plain = "".join(letter for letter, _, _ in folded)
    # Its breakers' own places count in UTF-16.
    ends = set(accumulate(map(len, WordBreaker(plain, "und"))))
    words = []
    for _, (first, last) in _splitter.pre_tokenize_str(plain):
        inner = range(first + 1, last) if is_unspaced(plain[first:last]) else ()
        for one, other in pairwise([first, *(place for place in inner if place in ends), last]):
            words.append((plain[one:other], folded[one][1], folded[other - 1][2]))
    return words


def plain_words(text: str) -> str:
    """Give the words of a text with a space between them: texts that differ in case and punctuation are the same."""
    return " ".join(split_words(text))
