r"""Words that differ from others by an affix, learnt from a translation table without knowledge of the language.

Two words of the table with a stem in common, ``w = a x b`` and ``w' = a' x b'``, are evidence for the change of (a, b)
into (a', b'), as far as they have the same translations [1]_:

.. math::
    r(a, b \to a', b') = \frac{1}{n + n_0} \sum_{(w, w')} \sum_e \min\bigl(p(e \mid w),\, p(e \mid w')\bigr)

over the n pairs of words that the change makes of one another; the constant :math:`n_0` keeps rare ones down. What a
word may mean that the table lacks, or knows from few sentences, is then read off its relatives, weighted by r.

References
----------
.. [1] Yarowsky, Ngai, Wicentowski. Inducing Multilingual Text Analysis Tools via Robust Projection across Aligned
   Corpora. HLT 2001, section 5. (Inflections are found by the English word that they share; the score here is simpler.)
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping
from itertools import combinations
from typing import TypeAlias

# What stands before and behind a stem.
Affix: TypeAlias = tuple[str, str]

# Most letters of a prefix and of an ending, and least of a stem.
_LONGEST, _STEM = 3, 3
# Of a table the words that occur most; pairs grow with them.
_WORDS = 100_000
# A stem of more words is an accident of short words.
_CROWD = 40
# Least pairs of words behind a change, its n_0, and the least r that counts.
_PAIRS, _DOUBT, _LEAST = 20, 5, 0.1
# A word's own translations count as often as it occurs, its relatives' this often: RR@10 on MLQA-R's questions in Hindi
# and Arabic .405 and .297 with 1, .413 and .299 with 3.
_WEIGHT = 3.0


class Affixes:
    """Changes of affixes that mostly leave the translation as it is.

    Parameters
    ----------
    changes : mapping of (str, str) to mapping of (str, str) to float
        By prefix and ending, those that may stand in their place, and how far the translations agree.
    """

    def __init__(self, changes: Mapping[Affix, Mapping[Affix, float]]) -> None:
        self.changes = changes

    def relatives(self, word: str, known: Container[str]) -> dict[str, float]:
        """Give the known words that a word is changed into, each with how far translations agree."""
        found: dict[str, float] = {}
        for stem, affix in _cuts(word):
            for (before, behind), share in self.changes.get(affix, {}).items():
                other = f"{before}{stem}{behind}"
                if other in known:
                    found[other] = max(share, found.get(other, 0.0))
        return found

    def translations(self, word: str, entries: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """Give the mean of the relatives' translations, the most probable first; nothing if there are no relatives."""
        mean: dict[str, float] = {}
        relatives = self.relatives(word, entries)
        whole = sum(relatives.values())
        for other, share in relatives.items():
            for english, p in entries[other].items():
                mean[english] = mean.get(english, 0.0) + share * p / whole
        return _sorted(mean)

    def smoothed(
        self, entries: Mapping[str, Mapping[str, float]], occurrences: Mapping[str, int]
    ) -> dict[str, dict[str, float]]:
        """Mix the translations of every word of a table with those of its relatives: the rarer, the more."""
        made = {}
        for word, entry in entries.items():
            others = self.translations(word, entries)
            own = occurrences.get(word, 0) / (occurrences.get(word, 0) + _WEIGHT) if others else 1.0
            mixed = {english: own * p for english, p in entry.items()}
            for english, p in others.items():
                mixed[english] = mixed.get(english, 0.0) + (1 - own) * p
            made[word] = _sorted(mixed)
        return made


def learn_affixes(entries: Mapping[str, Mapping[str, float]], occurrences: Mapping[str, int]) -> Affixes:
    """Learn which changes of affixes leave a word's translations as they are.

    Parameters
    ----------
    entries : mapping of str to mapping of str to float
        :math:`p(e \\mid w)` by e by w.
    occurrences : mapping of str to int
        How often a word occurs; the 100,000 that occur most are looked at.
    """
    words = sorted(entries, key=lambda word: (-occurrences.get(word, 0), word))[:_WORDS]
    families: dict[str, list[tuple[str, Affix]]] = defaultdict(list)
    for word in words:
        for stem, affix in _cuts(word):
            families[stem].append((word, affix))
    pairs: Counter[tuple[Affix, Affix]] = Counter()
    agreed: dict[tuple[Affix, Affix], float] = defaultdict(float)
    for family in families.values():
        if len(family) > _CROWD:
            continue
        for (word, affix), (other, change) in combinations(family, 2):
            if word == other or _overlap(affix, change):
                continue
            shared = sum(min(p, entries[other].get(english, 0.0)) for english, p in entries[word].items())
            for key in ((affix, change), (change, affix)):
                pairs[key] += 1
                agreed[key] += shared
    changes: dict[Affix, dict[Affix, float]] = {}
    for affix, change in sorted(pairs):
        number = pairs[affix, change]
        share = agreed[affix, change] / (number + _DOUBT)
        if number >= _PAIRS and share >= _LEAST:
            changes.setdefault(affix, {})[change] = share
    return Affixes(changes)


def _cuts(word: str) -> Iterator[tuple[str, Affix]]:
    """Cut a word into a stem and what stands before and behind it, in every way."""
    for before in range(min(_LONGEST, len(word) - _STEM) + 1):
        for behind in range(min(_LONGEST, len(word) - _STEM - before) + 1):
            end = len(word) - behind
            yield word[before:end], (word[:before], word[end:])


def _overlap(one: Affix, other: Affix) -> bool:
    """Tell whether two affixes have a letter in common that belongs to the stem: a shorter change says the same."""
    return one[0][-1:] == other[0][-1:] != "" or one[1][:1] == other[1][:1] != ""


def _sorted(entry: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(entry.items(), key=lambda item: (-item[1], item[0])))
