r"""A translation table of words, :math:`p(e \mid f)`, the queries that it makes, and the text file that holds it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pyserini_optical.data import Pathish, read_lines, write_text
from pyserini_optical.data.words import split_words
from pyserini_optical.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Translations of a word that a table holds; those further down are noise.
_KEPT = 20
# Words of a text that are weighed together, at most: those of a question, or one of a passage's equal parts.
_TOGETHER = 32

# Translations with their probabilities by word, of words that stand together.
Readings: TypeAlias = Mapping[str, Mapping[str, float]]


class WordTable:
    r"""Translations of words with their probabilities.

    Parameters
    ----------
    entries : mapping of str to mapping of str to float
        :math:`p(e \mid f)` by e by f, the most probable e first.
    unlisted : callable, optional
        Gives the translations of another word, at least one; without it such a word stays, as names do.
    weigh : callable, optional
        Weighs the translations of words that stand together by each other, most probable first; without it each word's
        are as they are.
    """

    def __init__(
        self,
        entries: Mapping[str, Mapping[str, float]],
        unlisted: Callable[[str], Mapping[str, float]] = lambda word: {word: 1.0},
        weigh: Callable[[Readings], Readings] = lambda readings: readings,
    ) -> None:
        self.entries = entries
        self._unlisted = unlisted
        self._weigh = weigh

    def translations(self, word: str) -> Mapping[str, float]:
        """Give the translations of a word, whether the table has it or not."""
        return self.entries.get(word) or self._unlisted(word)

    def readings(self, words: Sequence[str]) -> list[Mapping[str, float]]:
        """Give the translations of each word of a text, weighed by the others', the most probable first."""
        found: list[Mapping[str, float]] = []
        parts = -(-len(words) // _TOGETHER)
        for part in range(parts):
            some = words[part * len(words) // parts : (part + 1) * len(words) // parts]
            weighed = self._weigh({word: self.translations(word) for word in some})
            found += [weighed[word] for word in some]
        return found

    @classmethod
    def from_matrix(cls, matrix: csr_matrix, foreign: Sequence[str], english: Sequence[str]) -> WordTable:
        """Name the rows and columns of a matrix of probabilities; of each row the 20 greatest are kept."""
        entries = {}
        for number, word in enumerate(foreign):
            row = slice(matrix.indptr[number], matrix.indptr[number + 1])
            values, columns = matrix.data[row], matrix.indices[row]
            order = np.lexsort((columns, -values))[:_KEPT]
            if len(order):
                entries[word] = {english[columns[i]]: float(values[i]) for i in order if values[i] > 0}
        return cls(entries)

    def best(self, word: str) -> str:
        """Give the most probable translation of a word."""
        return next(iter(self.translations(word)))

    def query(self, text: str, *, translations: int, probability: float) -> dict[str, float]:
        r"""Make a probabilistic structured query [1]_: every word spread over its translations.

        .. math::
            \mathrm{weight}(e) = \sum_{f \in \mathrm{text}} \frac{q_f(e)}{\sum_{e' \in K(f)} q_f(e')}
            \quad\text{for } e \in K(f)

        where :math:`q_f` is :math:`p(\cdot \mid f)`, weighed by the other words of the text if the table does so.

        Parameters
        ----------
        text : str
            The foreign question.
        translations, probability
            :math:`K(f)`: so many of the most probable translations at most, and those alone that are at least so
            probable; the most probable one always.

        Returns
        -------
        dict of str to float
            Weight by English word.

        References
        ----------
        .. [1] Darwish, Oard. Probabilistic Structured Query Methods. SIGIR 2003.
        """
        weights: dict[str, float] = {}
        for reading in self.readings(split_words(text)):
            best = list(reading.items())[:translations]
            kept = [best[0], *(entry for entry in best[1:] if entry[1] >= probability)]
            total = sum(p for _, p in kept)
            for english, p in kept:
                weights[english] = weights.get(english, 0.0) + p / total
        return weights

    def save(self, path: Pathish) -> None:
        """Write lines ``foreign⇥english⇥probability``; the file appears when it is complete."""
        with write_text(path) as file:
            for foreign, entry in self.entries.items():
                for english, p in entry.items():
                    file.write(f"{foreign}\t{english}\t{p:.6g}\n")

    @classmethod
    def load(cls, path: Pathish, remedy: str = "remove the file to have the table made again") -> WordTable:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : path-like
            The file.
        remedy : str
            What to do if it is damaged.

        Raises
        ------
        InputError
            The file is missing or a line is not as above.
        """
        entries: dict[str, dict[str, float]] = {}
        for number, line in read_lines(path):
            try:
                foreign, english, text = line.split("\t")
                p = float(text)
                if not foreign or not english.strip() or not 0 < p <= 1 + 1e-6 or math.isnan(p):
                    raise ValueError
            except ValueError:
                problem = "expected two words and a probability, separated by tabs"
                raise InputError(problem, path=path, line=number, remedy=remedy) from None
            entries.setdefault(foreign, {})[english] = p
        return cls({word: dict(sorted(entry.items(), key=lambda e: (-e[1], e[0]))) for word, entry in entries.items()})
