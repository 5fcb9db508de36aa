r"""How words are written in another script: units that are drawn one after the other, and the best path through them.

See :mod:`pyserini_optical.models.spelling` for the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TypeAlias

import numpy as np

from pyserini_optical.models.letter_units import ALPHABET, LONGEST, SHAPES, Letters, Tables, Weights, code, tables

# Of each word what is written, its letters or its pronunciations.
Forms: TypeAlias = Mapping[str, Sequence[str]]

# The English side of a unit that has none, in the table of units.
NOTHING = "-"

# Log weights of a unit that was not seen and of an English letter without one.
_UNSEEN, _LEFT = -14.0, -10.0


class Writing:
    """The units of one way to write words, by their letters or by their sounds, and words that may be written so.

    Parameters
    ----------
    units : mapping of str to mapping of str to float
        :math:`p(u)` by English letters, or signs of sounds (``-`` for none), by foreign letters.
    forms : mapping of str to sequence of str
        Of each word what is written, its letters or its pronunciations.

    Raises
    ------
    ValueError
        What is given is no unit, or they have a probability above one, or a form has a letter that no unit may have.
    """

    def __init__(self, units: Mapping[str, Mapping[str, float]], forms: Forms) -> None:
        self.units = {foreign: dict(row) for foreign, row in units.items()}
        for foreign, row in self.units.items():
            for english in row:
                letters = "" if english == NOTHING else english
                if (len(foreign), len(letters)) not in SHAPES or not set(letters) <= set(ALPHABET):
                    raise ValueError(f"{foreign} and {english} are no unit of letters")
        if sum(sum(row.values()) for row in self.units.values()) > 1 + 1e-3:
            raise ValueError("the units of letters have a probability above one")
        if strange := set[str]().union(*(form for said in forms.values() for form in said)) - set(ALPHABET):
            raise ValueError(f"{min(strange)!r} is no letter of a unit")
        self.forms = forms
        self._letters = sorted({letter for foreign in self.units for letter in foreign})

    def writes(self, word: str) -> bool:
        """Tell whether all letters of a foreign word are in units."""
        return set(word) <= set(self._letters)

    def nearest(self, word: str, count: int) -> set[str]:
        """Give the words of the forms that a foreign word writes best, so many forms."""
        written, coded = self._all
        if not written:
            return set()
        scores = self._score(self._weights[0], word, coded)
        names = list(written.values())
        return {name for place in np.argsort(-scores, kind="stable")[:count].tolist() for name in names[place]}

    def scores(self, word: str, forms: Forms) -> tuple[Weights, Weights]:
        r"""Give for each of these words the log weights of its best path, by its best form; minus infinity without one.

        Returns
        -------
        ranking : array, shape (len(forms),)
            :math:`\sum_i \frac12 (\log p(e_i \mid f_i) + \log p(f_i \mid e_i))`.
        likelihood : array, shape (len(forms),)
            :math:`\sum_i \log \frac{p(u_i)}{p(f_i)\,p(e_i)}`, against letters that were written without a spelling.
        """
        written, coded = _by_form(forms)
        found = []
        for weights in self._weights:
            best = dict.fromkeys(forms, -np.inf)
            if written:
                for score, names in zip(self._score(weights, word, coded).tolist(), written.values(), strict=True):
                    best |= {name: max(best[name], score) for name in names}
            found.append(np.array(list(best.values())))
        return found[0], found[1]

    @cached_property
    def _all(self) -> tuple[dict[str, list[str]], Letters]:
        return _by_form(self.forms)

    def _score(self, weights: Tables, word: str, forms: Letters) -> Weights:
        return _best_paths(weights, code([word], self._letters)[0], forms)

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


def _by_form(forms: Forms) -> tuple[dict[str, list[str]], Letters]:
    """Give the words by what is written, and that as numbers of letters; the longest first, which is fastest."""
    found: dict[str, list[str]] = {}
    for word in sorted(forms):
        for form in forms[word]:
            found.setdefault(form, []).append(word)
    found = {form: found[form] for form in sorted(found, key=lambda form: (-min(len(form), LONGEST), len(form), form))}
    return found, code(list(found), ALPHABET)


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
