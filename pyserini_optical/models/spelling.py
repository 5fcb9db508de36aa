r"""Foreign words that spell English ones: names and loans, which a bitext of some thousand pairs cannot list.

A spelling is a sequence of units u, each a foreign letter with none, one or two English ones, or two with one, and
units are drawn one after the other [1]_:

.. math::
    P(f, e) = \sum_{u_1 \cdots u_k = (f, e)} \prod_i p(u_i)

Which units there are is learnt from the words of a translation table without being told which of them are
transliterations [2]_: a pair of a word and its best translation is one with probability :math:`\lambda`, or both were
written letter by letter, :math:`p(f)\,p(e)`. Expectation maximisation finds :math:`\lambda`, the units and which pairs
are which, all at once (:mod:`pyserini_optical.models.letter_units`).

Names are written by their sounds as well as by their letters (*priest*, प्रीस्ट), so e may be what a pronouncing
dictionary says (:mod:`pyserini_optical.models.sounds`), with units of its own; one half of the words is then taken to
be written by letters, the other by sounds, as in [3]_.

References
----------
.. [1] Bisani, Ney. Joint-Sequence Models for Grapheme-to-Phoneme Conversion. Speech Communication 50(5), 2008.
   (Joint units; here without a context.)
.. [2] Sajjad, Fraser, Schmid. A Statistical Model for Unsupervised and Semi-supervised Transliteration Mining. ACL
   2012. (The mixture; there with units of one letter at most a side.)
.. [3] Al-Onaizan, Knight. Machine Transliteration of Names in Arabic Text. SEMITIC 2002. (Spelling and sounds mixed;
   there with weights that were tuned.)
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from pyserini_optical.models.letter_units import ALPHABET, LONGEST, code, learn_units
from pyserini_optical.models.writing import NOTHING, Forms, Writing

# Words with Latin letters or digits spell nothing.
_PLAIN = re.compile("[a-z0-9\u00c0-\u024f\u1e00-\u1eff]")
# Letters of a word that units are learnt from at least; pairs of words that are read.
_LEARNT, _PAIRS = 4, 50_000
# The most frequent foreign letters may be in units: tables grow with their square, and signs for words do not spell.
_LETTERS = 300
# Words of so many letters are spelt; shorter ones resemble too many.
_SHORTEST = 3
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
    sound_units : mapping of str to mapping of str to float, optional
        The same by signs of sounds.
    pronunciations : mapping of str to sequence of str, optional
        Those of some of the names, in these signs; those of other words are passed over.

    Raises
    ------
    ValueError
        What is given is no unit, or they have a probability above one.

    Notes
    -----
    Of a word 16 letters count.
    """

    def __init__(
        self,
        units: Mapping[str, Mapping[str, float]],
        names: Sequence[str],
        sound_units: Mapping[str, Mapping[str, float]] | None = None,
        pronunciations: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.names = sorted({name for name in names if is_name(name)})
        spoken = {name: (pronunciations or {}).get(name, ()) for name in self.names}
        self.letters = Writing(units, {name: (name,) for name in self.names})
        self.sounds = Writing(sound_units or {}, {name: said for name, said in spoken.items() if said})
        self._known: dict[str, dict[str, float]] = {}

    def __contains__(self, word: str) -> bool:
        """Tell whether a word is one of the names."""
        place = bisect_left(self.names, word)
        return self.names[place : place + 1] == [word]

    def candidates(self, word: str, names: Iterable[str] | None = None) -> dict[str, float]:
        r"""Give the names that a word may spell with their probabilities, the most probable first.

        They are ranked by the best path's :math:`\sum_i \frac12 (\log p(e_i \mid f_i) + \log p(f_i \mid e_i))`, by
        letters or by sounds, whichever is better; together they have the probability that the word spells one of the
        names and is not just letters, if beforehand the one is as likely as the other.

        Parameters
        ----------
        word : str
            The foreign word; one with Latin letters or digits, a short one, and one of letters that are in no unit
            spells nothing.
        names : iterable of str, optional
            Of these names, in place of all.
        """
        if len(word) < _SHORTEST or _PLAIN.search(word):
            return {}
        if names is not None:
            known = {name for name in names if is_name(name)}
            return self._spelt(word, known, len(known))
        if word not in self._known:
            nearest = (way.nearest(word, _KEPT) for way in self._ways(word))
            self._known[word] = self._spelt(word, set[str]().union(*nearest), len(self.names))
        return self._known[word]

    def _ways(self, word: str) -> list[Writing]:
        return [way for way in (self.letters, self.sounds) if way.writes(word)]

    def _spelt(self, word: str, among: Collection[str], count: int) -> dict[str, float]:
        """Rank names, of so many that it may be."""
        ways = self._ways(word)
        found = sorted({name for way in ways for name, written in self._forms(way, among).items() if written})
        if not found:
            return {}
        scores = np.array([way.scores(word, self._forms(way, found)) for way in ways])
        ranking, odds = scores[:, 0].max(0), np.exp(np.minimum(scores[:, 1], 80)).sum(0)
        # What sounds the same is told apart by its letters.
        best = np.lexsort((-scores[0, 0], -ranking))[:_KEPT]
        total = (odds / np.isfinite(scores[:, 1]).sum(0))[best].sum() / count
        shares = np.exp(ranking[best] - ranking[best[0]])
        shares *= total / (1 + total) / shares.sum()
        return {found[place]: float(p) for place, p in zip(best.tolist(), shares, strict=True)}

    def _forms(self, way: Writing, names: Iterable[str]) -> Forms:
        """Give what is written of these names; those that are not known have their letters."""
        return {name: (name,) if way is self.letters else way.forms.get(name, ()) for name in names}


def learn_spelling(
    translations: Mapping[str, str], names: Sequence[str], pronunciations: Mapping[str, Sequence[str]] | None = None
) -> Spelling:
    """Learn from translations of words how they are spelt, and know these English words.

    Parameters
    ----------
    translations : mapping of str to str
        Best translation by foreign word; most need not be transliterations. At most 50,000 are read, evenly drawn.
    names, pronunciations
        As for :class:`Spelling`; of several pronunciations the first is learnt from.
    """
    spoken = pronunciations or {}
    by_sound = [(foreign, spoken[english][0]) for foreign, english in translations.items() if spoken.get(english)]
    return Spelling(_learn(list(translations.items())), names, _learn(by_sound), spoken)


def _learn(translations: Sequence[tuple[str, str]]) -> dict[str, dict[str, float]]:
    """Give the units of words and what they may be written from."""
    pairs = [
        (f, e)
        for f, e in translations
        if _LEARNT <= len(f) <= LONGEST and _LEARNT <= len(e) <= LONGEST and is_name(e) and not _PLAIN.search(f)
    ]
    counts = Counter(letter for foreign, _ in pairs for letter in foreign)
    letters = sorted(letter for letter, _ in counts.most_common(_LETTERS))
    pairs = [(f, e) for f, e in pairs if set(f) <= set(letters)]
    pairs = pairs[:: max(1, -(-len(pairs) // _PAIRS))]
    units: dict[str, dict[str, float]] = {}
    if not pairs:
        return units
    learnt = learn_units(code([f for f, _ in pairs], letters), code([e for _, e in pairs], ALPHABET), len(letters))
    for (size, _), table in learnt.items():
        for place in np.argwhere(table > 0).tolist():
            foreign = "".join(letters[n] for n in place[:size])
            english = "".join(ALPHABET[n] for n in place[size:])
            units.setdefault(foreign, {})[english or NOTHING] = float(table[tuple(place)])
    return units


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
