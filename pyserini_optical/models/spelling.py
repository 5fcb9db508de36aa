r"""Foreign words that spell English ones: names and loans, which a bitext of some thousand pairs cannot list.

A spelling is a sequence of units u, each one or two foreign letters with none, one or two English ones (no more than
three together), and units are drawn one after the other [1]_:

.. math::
    P(f, e) = \sum_{u_1 \cdots u_k = (f, e)} \prod_i p(u_i)

Which units there are is learnt from the words of a translation table without being told which of them are
transliterations [2]_: a pair of a word and its best translation is one with probability :math:`\lambda`, or both were
written letter by letter, :math:`p(f)\,p(e)`. Expectation maximisation finds :math:`\lambda`, the units and which pairs
are which, all at once; it starts from the few pairs in which the same letters go together most.

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
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Letters: TypeAlias = NDArray[np.int64]
Weights: TypeAlias = NDArray[np.floating]
# A number for each unit, by how many foreign and English letters it has.
Tables: TypeAlias = dict[tuple[int, int], Weights]

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
# The English side of a unit that has none, in the table of units.
NOTHING = "-"

_LATIN = re.compile("[a-z\u00c0-\u024f\u1e00-\u1eff]")
# How many foreign and English letters a unit has, and the share of each kind at the start.
_SHAPES = {(1, 0): 0.05, (1, 1): 1.0, (1, 2): 0.2, (2, 1): 0.1}
# Letters of a word that count, and of one that units are learnt from at least; pairs of words that are read.
_LONGEST, _LEARNT, _PAIRS = 16, 4, 50_000
# Words of so many letters are spelt; shorter ones resemble too many.
_SHORTEST = 3
# Rounds of expectation maximisation; of these, in which all pairs count alike, and then the most likely ones alone.
_ROUNDS, _ALIKE = 14, 2
# The share of pairs that are spelt, at first, and how many at least.
_FIRST, _FEW = 0.03, 200
# What is taken off the count of each unit, so that rare ones go.
_DISCOUNT = 0.3
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
        What is given is no unit.
    """

    def __init__(self, units: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> None:
        self.units = {foreign: dict(row) for foreign, row in units.items()}
        for foreign, row in self.units.items():
            for english in row:
                letters = "" if english == NOTHING else english
                if (len(foreign), len(letters)) not in _SHAPES or not set(letters) <= set(ALPHABET):
                    raise ValueError(f"{foreign} and {english} are no unit of letters")
        self.names = sorted({name for name in names if is_name(name)})
        self._letters = sorted({letter for foreign in self.units for letter in foreign})
        self._known: dict[str, dict[str, float]] = {}

    def __contains__(self, word: str) -> bool:
        """Tell whether a word is one of the names."""
        place = bisect_left(self.names, word)
        return self.names[place : place + 1] == [word]

    def candidates(self, word: str, names: Sequence[str] | None = None) -> dict[str, float]:
        r"""Give the names that a word may spell with their probabilities, the most probable first.

        They are ranked by the best path's :math:`\sum_i \frac12 (\log p(e_i \mid f_i) + \log p(f_i \mid e_i))`;
        together they have the probability that the word, of which nothing else is known, spells one of the names and is
        not just letters.

        Parameters
        ----------
        word : str
            The foreign word; one that is Latin, short or of letters that are in no unit spells nothing.
        names : sequence of str, optional
            Of these names, in place of all.
        """
        if len(word) < _SHORTEST or _LATIN.search(word) or not set(word) <= set(self._letters):
            return {}
        if names is not None:
            return self._spelt(word, names, _code(names, ALPHABET))
        if word not in self._known:
            self._known[word] = self._spelt(word, self._longest_first, self._coded)
        return self._known[word]

    def _spelt(self, word: str, names: Sequence[str], coded: Letters) -> dict[str, float]:
        if not names:
            return {}
        ranking, likelihood = self._weights
        foreign = _code([word], self._letters)[0]
        scores = _best_paths(ranking, foreign, coded)
        best = np.argsort(-scores, kind="stable")[:_KEPT]
        odds = np.exp(np.minimum(_best_paths(likelihood, foreign, coded[best]), 80).astype(float)).sum() / len(names)
        shares = np.exp((scores[best] - scores[best[0]]).astype(float))
        shares *= odds / (1 + odds) / shares.sum()
        return {names[place]: float(p) for place, p in zip(best.tolist(), shares, strict=True)}

    @cached_property
    def _longest_first(self) -> list[str]:
        return sorted(self.names, key=len, reverse=True)

    @cached_property
    def _coded(self) -> Letters:
        return _code(self._longest_first, ALPHABET)

    @cached_property
    def _weights(self) -> tuple[Tables, Tables]:
        """Log weights of the units: for ranking, and against letters that were written without a spelling."""
        p = _tables(len(self._letters))
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
        if _LEARNT <= len(f) <= _LONGEST and _LEARNT <= len(e) <= _LONGEST and is_name(e) and not _LATIN.search(f)
    ]
    pairs = pairs[:: max(1, -(-len(pairs) // _PAIRS))]
    if not pairs:
        return Spelling({}, names)
    letters = sorted({letter for foreign, _ in pairs for letter in foreign})
    learnt = _learn(_code([f for f, _ in pairs], letters), _code([e for _, e in pairs], ALPHABET), len(letters))
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


def _code(words: Sequence[str], letters: Sequence[str]) -> Letters:
    """Write words as numbers of letters, shape (words, 16), padded with the number of letters."""
    number = {letter: n for n, letter in enumerate(letters)}
    coded = np.full((len(words), _LONGEST), len(letters), dtype=np.int64)
    for row, word in enumerate(words):
        found = [number[letter] for letter in word[:_LONGEST]]
        coded[row, : len(found)] = found
    return coded


def _tables(letters: int) -> Tables:
    """Zero for each unit, by shape; the last place of each axis is the padding's."""
    sizes = letters + 1, len(ALPHABET) + 1
    return {(a, b): np.zeros((sizes[0],) * a + (sizes[1],) * b) for a, b in _SHAPES}


def _learn(foreign: Letters, english: Letters, letters: int) -> Tables:
    """Find the probability of each unit by expectation maximisation."""
    p = _tables(letters)
    for shape, table in p.items():
        table[(slice(-1),) * table.ndim] = _SHAPES[shape] / sum(_SHAPES.values()) / table.size
    ends = (foreign < letters).sum(1), (english < len(ALPHABET)).sum(1), np.arange(len(foreign))
    places = {
        (i, j, a, b): np.ravel_multi_index((*foreign.T[i - a : i], *english.T[j - b : j]), p[a, b].shape).astype(
            np.int32
        )
        for i in range(1, ends[0].max() + 1)
        for j in range(ends[1].max() + 1)
        for a, b in _SHAPES
        if a <= i and b <= j
    }
    letterwise = _letterwise(foreign, letters) + _letterwise(english, len(ALPHABET))
    spelt, share = np.ones(len(foreign)), _FIRST
    for number in range(_ROUNDS):
        forward = np.zeros((ends[0].max() + 1, ends[1].max() + 1, len(foreign)))
        forward[0, 0] = 1.0
        for (i, j, a, b), place in places.items():
            forward[i, j] += forward[i - a, j - b] * p[a, b].ravel()[place]
        whole = np.maximum(forward[ends], np.finfo(np.float64).tiny)
        ratio = np.log(whole) - letterwise
        if number == _ALIKE:
            ratio /= ends[0] + ends[1]
            spelt = (ratio >= np.quantile(ratio, 1 - min(max(_FIRST, _FEW / len(ratio)), 1))).astype(float)
        elif number > 2 * _ALIKE:
            odds = np.exp(np.clip(ratio + np.log(share / (1 - share)), -50, 50))
            spelt = odds / (1 + odds)
            share = float(np.clip(spelt.mean(), 0.001, 0.9))
        backward = np.zeros_like(forward)
        backward[ends] = 1.0
        counts = {shape: np.zeros(table.size) for shape, table in p.items()}
        for (i, j, a, b), place in reversed(places.items()):
            behind = p[a, b].ravel()[place] * backward[i, j]
            backward[i - a, j - b] += behind
            weights = forward[i - a, j - b] * behind * spelt / whole
            counts[a, b] += np.bincount(place, weights, minlength=p[a, b].size)
        for shape, table in p.items():
            table[:] = np.maximum(counts[shape] - _DISCOUNT, 0.0).reshape(table.shape)
        total = sum(table.sum() for table in p.values())
        for table in p.values():
            table /= max(total, np.finfo(np.float64).tiny)
    return p


def _letterwise(words: Letters, padding: int) -> Weights:
    """Give the log probability of each word as letters drawn one by one."""
    counts = np.bincount(words.ravel(), minlength=padding + 1).astype(float)
    counts[padding] = 0.0
    logs = np.log(np.maximum(counts, 1.0) / max(counts.sum(), 1.0))
    logs[padding] = 0.0
    total: Weights = logs[words].sum(1)
    return total


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
