"""Translation by a word list: the longest match, and where there is none, the entry that a word is a form of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from pyserini_optical.data import fingerprint_bitext, read_bitext
from pyserini_optical.data.words import FOLDING, split_words
from pyserini_optical.translation.translator import Spec, choose

# A word and an entry may differ in so many letters at their ends, if they share so many before. More finds more, and
# more that is wrong: BM25 on MLQA-R's Spanish questions (MRR@10) .341 with none, .371 with 1, .342 with 2, .329 with 3.
_ENDING, _SHARED = 1, 4
# Prefixes of a word (Swahili's, the Arabic article) of so many letters, if so many are left.
_PREFIX = 4

Words = tuple[str, ...]


class Dictionary:
    """``dictionary:FILE``, lines of ``foreign⇥english``; words without an entry stay as they are.

    At each word the longest entry that matches there is taken. If none does, the entry that shares the longest
    beginning with the word is, where each of the two has at most one letter behind it and four are shared; else the
    entry that is the word without its first letters, at most four.

    Options
    -------
    senses : {"best", "all"}
        Of several translations the most usual, which is the one that stands in most entries of the word list, the
        first of them if several do; or all of them.
    reverse : {"no", "yes"}
        From English into the other language.
    """

    batch_size = 1000
    slow = False

    def __init__(self, spec: Spec) -> None:
        options = choose(spec, {"senses": ("best", "all"), "reverse": ("no", "yes")})
        self.name, self.languages = spec.name, ""
        pairs = [(pair.foreign, pair.english) for pair in read_bitext(spec.what)]
        if options["reverse"] == "yes":
            pairs = [(english, foreign) for foreign, english in pairs]
        usual = Counter(target for _, target in pairs)
        self._entries: dict[Words, list[str]] = {}
        for source, target in pairs:
            key = tuple(split_words(source))
            if key and target not in self._entries.setdefault(key, []):
                self._entries[key].append(target)
        for senses in self._entries.values():
            senses.sort(key=lambda sense: -usual[sense])
            if options["senses"] == "best":
                del senses[1:]
        self._longest = max(map(len, self._entries), default=0)
        self._beginnings: dict[str, list[str]] = defaultdict(list)
        for word, *more in self._entries:
            if not more:
                for beginning in _beginnings(word):
                    self._beginnings[beginning].append(word)
        chosen = f"senses={options['senses']} reverse={options['reverse']}"
        self.version = f"dictionary {FOLDING} {fingerprint_bitext(spec.what)[:16]} {chosen}"

    def translate(self, texts: Sequence[str], ids: Sequence[str]) -> list[str]:
        """Translate word by word; a text without words stays as it is."""
        return [" ".join(self._parts(split_words(text))) or text for text in texts]

    def _parts(self, words: Sequence[str]) -> Iterator[str]:
        start = 0
        while start < len(words):
            for end in range(min(start + self._longest, len(words)), start, -1):
                if tuple(words[start:end]) in self._entries:
                    yield from self._entries[tuple(words[start:end])]
                    start = end
                    break
            else:
                entry = self._form_of(words[start])
                yield from self._entries[(entry,)] if entry else words[start : start + 1]
                start += 1

    def _form_of(self, word: str) -> str | None:
        for beginning in _beginnings(word):
            if self._beginnings.get(beginning):
                return min(self._beginnings[beginning], key=len)
        for cut in range(1, _PREFIX + 1):
            if len(word) - cut >= _SHARED and (word[cut:],) in self._entries:
                return word[cut:]
        return None


def _beginnings(word: str) -> Iterator[str]:
    """Give a word's beginnings, the longest first."""
    for length in range(len(word), max(len(word) - _ENDING, _SHARED) - 1, -1):
        yield word[:length]
