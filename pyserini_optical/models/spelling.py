r"""Foreign words that spell English ones: names and loans, which a bitext of some thousand pairs cannot list.

How letters correspond is learnt from the words of a translation table without being told which of them are
transliterations, by mining [1]_: from all pairs of a word and its best translation a table of letters is counted (as
one of words is in sentences, see :mod:`pyserini_optical.models.table`), the pairs that it explains best are kept, and
so on. A word f then spells, of all English words e that are known, the one of the greatest

.. math::
    s(f, e) = \frac{1}{\max(|f|, |e|)} \max_{\text{monotone } A} \Bigl[\sum_{(i, j) \in A} t(e_j \mid f_i)
    - g_f \,(|f| - |A|) - g_e \,(|e| - |A|)\Bigr]

over one-to-one alignments A of their letters, with the letters' table t and costs of letters left over.

References
----------
.. [1] Sajjad, Fraser, Schmid. A Statistical Model for Unsupervised and Semi-supervised Transliteration Mining. ACL
   2012. (The idea of mining; model and score here are simpler.)
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.models.table import symmetric_table

if TYPE_CHECKING:
    from typing import TypeAlias

    Letters: TypeAlias = NDArray[np.int64]

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"

_LATIN = re.compile("[a-z\u00c0-\u024f\u1e00-\u1eff]")
# Costs of a foreign and of an English letter left over.
_COSTS = 0.25, 0.15
# Letters of a word that count.
_LONGEST = 16
# Words of so many letters are spelt; shorter ones resemble too many.
_SHORTEST = 3
# Of the pairs of words, the share that is kept in each round of mining.
_KEPT = 0.25, 0.15, 0.12
_ROUNDS = 6


class Spelling:
    """Which English word a foreign word spells.

    Parameters
    ----------
    letters : mapping of str to mapping of str to float
        :math:`t(e \\mid f)` by English letter by foreign letter.
    names : sequence of str
        The English words that may be spelt, in small letters a to z and digits; others are passed over.
    """

    def __init__(self, letters: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> None:
        self.letters = {letter: dict(row) for letter, row in letters.items()}
        self.names = sorted({name for name in names if is_name(name)})
        self._known: dict[str, str] = {}

    def __contains__(self, word: str) -> bool:
        """Tell whether a word is one of the names."""
        place = bisect_left(self.names, word)
        return self.names[place : place + 1] == [word]

    @cached_property
    def _table(self) -> NDArray[np.float32]:
        table = np.zeros((len(self.letters) + 1, len(ALPHABET) + 1), dtype=np.float32)
        for number, row in enumerate(self.letters.values()):
            for letter, p in row.items():
                table[number, ALPHABET.index(letter)] = p
        return table

    @cached_property
    def _coded(self) -> tuple[Letters, Letters]:
        return _code(self.names, ALPHABET)

    def nearest(self, word: str) -> str:
        """Give the English word that a word spells; the word itself if it is Latin, short or of unknown letters.

        An English model reads a Latin name as it is, better than what resembles it most.
        """
        if word not in self._known:
            known = word
            spelt = len(word) >= _SHORTEST and not _LATIN.search(word) and all(c in self.letters for c in word)
            if spelt and self.names:
                english, lengths = self._coded
                foreign, size = _code([word], list(self.letters))
                scores = _similarity(
                    np.broadcast_to(foreign, (len(self.names), foreign.shape[1])),
                    np.broadcast_to(size, len(self.names)),
                    english,
                    lengths,
                    self._table,
                )
                known = self.names[int(scores.argmax())]
            self._known[word] = known
        return self._known[word]


def learn_spelling(translations: Mapping[str, str], names: Sequence[str]) -> Spelling:
    """Learn from translations of words how letters correspond, and know these English words.

    Parameters
    ----------
    translations : mapping of str to str
        Best translation by foreign word; most need not be transliterations.
    names : sequence of str
        As for :class:`Spelling`.
    """
    pairs = [(f, e) for f, e in translations.items() if len(f) > _SHORTEST and len(e) > _SHORTEST and is_name(e)]
    letters = sorted({letter for word in translations for letter in word})
    if not pairs:
        return Spelling({}, names)
    foreign, foreign_sizes = _code([f for f, _ in pairs], letters)
    english, english_sizes = _code([e for _, e in pairs], ALPHABET)
    kept = np.arange(len(pairs))
    table = _count(foreign, foreign_sizes, english, english_sizes, len(letters))
    for share in _KEPT:
        scores = _similarity(foreign, foreign_sizes, english, english_sizes, table)
        kept = np.argsort(-scores, kind="stable")[: max(min(300, len(pairs)), int(share * len(pairs)))]
        table = _count(foreign[kept], foreign_sizes[kept], english[kept], english_sizes[kept], len(letters))
    rows = {
        letter: {ALPHABET[e]: float(p) for e, p in enumerate(table[number, :-1]) if p >= 1e-3}
        for number, letter in enumerate(letters)
    }
    return Spelling({letter: row for letter, row in rows.items() if row}, names)


def is_name(word: str) -> bool:
    """Tell whether a word can be spelt: three letters or more, a to z and digits alone."""
    return len(word) >= _SHORTEST and all(letter in ALPHABET for letter in word)


def _code(words: Sequence[str], letters: Sequence[str]) -> tuple[Letters, Letters]:
    """Write words as numbers of letters, shape (words, 16), padded with the number of letters, and their lengths."""
    number = {letter: n for n, letter in enumerate(letters)}
    coded = np.full((len(words), _LONGEST), len(letters), dtype=np.int64)
    for row, word in enumerate(words):
        found = [number[letter] for letter in word[:_LONGEST]]
        coded[row, : len(found)] = found
    return coded, np.minimum([len(word) for word in words], _LONGEST)


def _count(
    foreign: Letters, foreign_sizes: Letters, english: Letters, english_sizes: Letters, letters: int
) -> NDArray[np.float32]:
    table = symmetric_table(
        [row[:size].tolist() for row, size in zip(foreign, foreign_sizes, strict=True)],
        [row[:size].tolist() for row, size in zip(english, english_sizes, strict=True)],
        foreign_size=letters,
        english_size=len(ALPHABET),
        rounds=_ROUNDS,
    )
    # With a row and a column for the padding.
    return np.pad(table.toarray().astype(np.float32), ((0, 1), (0, 1)))


def _similarity(
    foreign: Letters, foreign_sizes: Letters, english: Letters, english_sizes: Letters, table: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Score each foreign word against the English word of its row, by dynamic programming over all rows at once."""
    left_f, left_e = _COSTS
    rows = np.arange(len(foreign))
    ahead = -left_e * np.arange(_LONGEST + 1, dtype=np.float32)[:, None]
    best: NDArray[np.float32] = np.repeat(ahead, len(rows), axis=1)
    for i in range(int(foreign_sizes.max(initial=0))):
        matched = table[foreign[:, i, None], english]
        new = np.empty_like(best)
        new[0] = best[0] - left_f
        for j in range(1, _LONGEST + 1):
            new[j] = np.maximum(np.maximum(best[j - 1] + matched[:, j - 1], best[j] - left_f), new[j - 1] - left_e)
        best = np.where(i < foreign_sizes, new, best)
    longer = np.maximum(foreign_sizes, english_sizes).astype(np.float32)
    scores: NDArray[np.float32] = best[english_sizes, rows] / longer
    return scores
