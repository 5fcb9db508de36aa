r"""Foreign words that spell English ones: names and loans, which a bitext of some thousand pairs cannot list.

A spelling is a sequence of units u, each a foreign letter with none, one or two English ones, or two with one, and
units are drawn one after the other [1]_:

.. math::
    P(f, e) = \sum_{u_1 \cdots u_k = (f, e)} \prod_i p(u_i)

Which units there are is learnt from the words of a translation table without being told which of them are
transliterations [2]_: a pair of a word and its best translation is one with probability :math:`\lambda`, or both were
written letter by letter, :math:`p(f)\,p(e)`. Expectation maximisation finds :math:`\lambda`, the units and which pairs
are which, all at once (:mod:`pyserini_optical.models.letter_units`).

References
----------
.. [1] Bisani, Ney. Joint-Sequence Models for Grapheme-to-Phoneme Conversion. Speech Communication 50(5), 2008.
   (Joint units; here without a context.)
.. [2] Sajjad, Fraser, Schmid. A Statistical Model for Unsupervised and Semi-supervised Transliteration Mining. ACL
   2012. (The mixture; there with units of one letter at most a side.)
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np

from pyserini_optical.models.letter_units import (
    ALPHABET,
    LONGEST,
    SHAPES,
    Letters,
    Tables,
    Weights,
    code,
    learn_units,
    tables,
)

# The English side of a unit that has none, in the table of units.
NOTHING = "-"

# Words with Latin letters or digits spell nothing.
_PLAIN = re.compile("[a-z0-9\u00c0-\u024f\u1e00-\u1eff]")
# Letters of a word that units are learnt from at least; pairs of words that are read.
_LEARNT, _PAIRS = 4, 50_000
# The most frequent foreign letters may be in units: tables grow with their square, and signs for words do not spell.
_LETTERS = 300
# Words of so many letters are spelt; shorter ones resemble too many.
_SHORTEST = 3
# Log weights of a unit that was not seen and of an English letter without one.
_UNSEEN, _LEFT = -14.0, -10.0
# Names that a word may spell, at most.
_KEPT = 5


class Spelling:
    """Which English word a foreign word spells.

    Parameters
    ----------
    units : mapping of str to mapping of str to float
        :math:`p(u)` by English letters (``-`` for none) by foreign letters.
    names : sequence of str
        The English words that may be spelt, in small letters a to z and digits; others are passed over.

    Raises
    ------
    ValueError
        What is given is no unit, or they have a probability above one.

    Notes
    -----
    Of a word 16 letters count.
    """

    def __init__(self, units: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> None:
        self.units = {foreign: dict(row) for foreign, row in units.items()}
        for foreign, row in self.units.items():
            for english in row:
                letters = "" if english == NOTHING else english
                if (len(foreign), len(letters)) not in SHAPES or not set(letters) <= set(ALPHABET):
                    raise ValueError(f"{foreign} and {english} are no unit of letters")
        if sum(sum(row.values()) for row in self.units.values()) > 1 + 1e-3:
            raise ValueError("the units of letters have a probability above one")
        self.names = sorted({name for name in names if is_name(name)})
        self._letters = sorted({letter for foreign in self.units for letter in foreign})
        self._known: dict[str, dict[str, float]] = {}

    def __contains__(self, word: str) -> bool:
        """Tell whether a word is one of the names."""
        place = bisect_left(self.names, word)
        return self.names[place : place + 1] == [word]

    def candidates(self, word: str, names: Iterable[str] | None = None) -> dict[str, float]:
        r"""Give the names that a word may spell with their probabilities, the most probable first.

        They are ranked by the best path's :math:`\sum_i \frac12 (\log p(e_i \mid f_i) + \log p(f_i \mid e_i))`;
        together they have the probability that the word spells one of the names and is not just letters, if beforehand
        the one is as likely as the other.

        Parameters
        ----------
        word : str
            The foreign word; one with Latin letters or digits, a short one, and one of letters that are in no unit
            spells nothing.
        names : iterable of str, optional
            Of these names, in place of all.
        """
        if len(word) < _SHORTEST or _PLAIN.search(word) or not set(word) <= set(self._letters):
            return {}
        if names is not None:
            among = sorted({name for name in names if is_name(name)})
            return self._spelt(word, among, code(among, ALPHABET))
        if word not in self._known:
            self._known[word] = self._spelt(word, self._longest_first, self._coded)
        return self._known[word]

    def _spelt(self, word: str, names: Sequence[str], coded: Letters) -> dict[str, float]:
        if not names:
            return {}
        ranking, likelihood = self._weights
        foreign = code([word], self._letters)[0]
        scores = _best_paths(ranking, foreign, coded)
        best = np.argsort(-scores, kind="stable")[:_KEPT]
        odds = np.exp(np.minimum(_best_paths(likelihood, foreign, coded[best]), 80).astype(float)).sum() / len(names)
        shares = np.exp((scores[best] - scores[best[0]]).astype(float))
        shares *= odds / (1 + odds) / shares.sum()
        return {names[place]: float(p) for place, p in zip(best.tolist(), shares, strict=True)}

    @cached_property
    def _longest_first(self) -> list[str]:
        return sorted(self.names, key=lambda name: (-min(len(name), LONGEST), len(name)))

    @cached_property
    def _coded(self) -> Letters:
        return code(self._longest_first, ALPHABET)

    @cached_property
    def _weights(self) -> tuple[Tables, Tables]:
        """Log weights of the units: for ranking, and against letters that were written without a spelling."""
        p = tables(len(self._letters))
        for foreign, row in self.units.items():
            for text, share in row.items():
                english = "" if text == NOTHING else text
                place = (*map(self._letters.index, foreign), *map(ALPHABET.index, english))
                p[len(foreign), len(english)][place] = share
        # Of each side's letters, as parts of units and alone.
        parts = {
            "f1": p[1, 0] + p[1, 1].sum(1) + p[1, 2].sum((1, 2)),
            "f2": p[2, 1].sum(2),
            "e0": p[1, 0].sum(),
            "e1": p[1, 1].sum(0) + p[2, 1].sum((0, 1)),
            "e2": p[1, 2].sum(0),
        }
        foreign = parts["f1"] + parts["f2"].sum(0) + parts["f2"].sum(1)
        english = parts["e1"] + parts["e2"].sum(0) + parts["e2"].sum(1)
        ranking, likelihood = {}, {}
        with np.errstate(divide="ignore", invalid="ignore"):
            f, e = np.log(foreign / foreign.sum()), np.log(english / english.sum())
            alone = {1: f, 2: f[:, None] + f}, {0: np.zeros(()), 1: e, 2: e[:, None] + e}
            for (a, b), table in p.items():
                conditional = np.log(table) - np.add.outer(np.log(parts[f"f{a}"]), np.log(parts[f"e{b}"])) / 2
                ratio = np.log(table) - np.add.outer(alone[0][a], alone[1][b])
                least = _UNSEEN if a == 1 and b < 2 else -np.inf
                ranking[a, b] = np.where(table > 0, conditional, least).astype(np.float32)
                likelihood[a, b] = np.where(table > 0, ratio, least).astype(np.float32)
        return ranking, likelihood


def learn_spelling(translations: Mapping[str, str], names: Sequence[str]) -> Spelling:
    """Learn from translations of words how they are spelt, and know these English words.

    Parameters
    ----------
    translations : mapping of str to str
        Best translation by foreign word; most need not be transliterations. At most 50,000 are read, evenly drawn.
    names : sequence of str
        As for :class:`Spelling`.
    """
    pairs = [
        (f, e)
        for f, e in translations.items()
        if _LEARNT <= len(f) <= LONGEST and _LEARNT <= len(e) <= LONGEST and is_name(e) and not _PLAIN.search(f)
    ]
    counts = Counter(letter for foreign, _ in pairs for letter in foreign)
    letters = sorted(letter for letter, _ in counts.most_common(_LETTERS))
    pairs = [(f, e) for f, e in pairs if set(f) <= set(letters)]
    pairs = pairs[:: max(1, -(-len(pairs) // _PAIRS))]
    if not pairs:
        return Spelling({}, names)
    learnt = learn_units(code([f for f, _ in pairs], letters), code([e for _, e in pairs], ALPHABET), len(letters))
    units: dict[str, dict[str, float]] = {}
    for (size, _), table in learnt.items():
        for place in np.argwhere(table > 0).tolist():
            foreign = "".join(letters[n] for n in place[:size])
            english = "".join(ALPHABET[n] for n in place[size:])
            units.setdefault(foreign, {})[english or NOTHING] = float(table[tuple(place)])
    return Spelling(units, names)


def mixed(spelt: Mapping[str, float], others: Mapping[str, float]) -> dict[str, float]:
    """Give the names that a word may spell and, with the probability that is left, its other translations.

    Parameters
    ----------
    spelt : mapping of str to float
        As :meth:`Spelling.candidates` gives it.
    others : mapping of str to float
        Probabilities that sum up to one, or less if some are left out.
    """
    rest = max(0.0, 1.0 - sum(spelt.values()))
    mix = {english: rest * p for english, p in others.items()}
    for name, p in spelt.items():
        mix[name] = mix.get(name, 0.0) + p
    return dict(sorted(mix.items(), key=lambda item: (-item[1], item[0])))


def is_name(word: str) -> bool:
    """Tell whether a word can be spelt: three letters or more, a to z and digits alone."""
    return len(word) >= _SHORTEST and all(letter in ALPHABET for letter in word)


def _best_paths(weights: Tables, word: Letters, names: Letters) -> Weights:
    """Score each name by the units of greatest weight that make it of the word; fastest if the longest come first."""
    letters = names.T
    pairs = letters[:-1] * (len(ALPHABET) + 1) + letters[1:]
    lengths = (names < len(ALPHABET)).sum(1)
    # So many names from the first on hold all those that have j letters.
    reach = [int(np.flatnonzero(lengths >= j)[-1]) + 1 for j in range(int(lengths.max()) + 1)]
    best = np.repeat(_LEFT * np.arange(len(reach), dtype=np.float32)[:, None], len(names), axis=1)
    before = best
    for i, letter in enumerate(word[word < len(weights[1, 0]) - 1]):
        new = best + weights[1, 0][letter]
        for j, n in enumerate(reach[1:], start=1):
            ways = [best[j - 1, :n] + weights[1, 1][letter][letters[j - 1, :n]], new[j - 1, :n] + _LEFT]
            if j > 1:
                ways.append(best[j - 2, :n] + weights[1, 2][letter].ravel()[pairs[j - 2, :n]])
            if i:
                ways.append(before[j - 1, :n] + weights[2, 1][word[i - 1], letter][letters[j - 1, :n]])
            for way in ways:
                np.maximum(new[j, :n], way, out=new[j, :n])
        before, best = best, new
    found: Weights = best[lengths, np.arange(len(names))]
    return found
