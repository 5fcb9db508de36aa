r"""A translation table of words, :math:`p(e \mid f)`, the queries that it makes, and the text file that holds it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pyserini_optical.data import Pathish, read_lines, write_text
from pyserini_optical.data.words import split_words
from pyserini_optical.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Translations of a word that a table holds; those further down are noise.
_KEPT = 20


class WordTable:
    r"""Translations of words with their probabilities.

    Parameters
    ----------
    entries : mapping of str to mapping of str to float
        :math:`p(e \mid f)` by e by f, the most probable e first.
    """

    def __init__(self, entries: Mapping[str, Mapping[str, float]]) -> None:
        self.entries = entries

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
        """Give the most probable translation of a word, or the word itself if it is not in the table."""
        return next(iter(self.entries.get(word, (word,))))

    def bests(self) -> dict[str, str]:
        """Give the most probable translation of every word."""
        return {word: next(iter(entry)) for word, entry in self.entries.items()}

    def query(self, text: str, *, translations: int, probability: float) -> dict[str, float]:
        r"""Make a probabilistic structured query [1]_: every word spread over its translations.

        .. math::
            \mathrm{weight}(e) = \sum_{f \in \mathrm{text}} \frac{p(e \mid f)}{\sum_{e' \in K(f)} p(e' \mid f)}
            \quad\text{for } e \in K(f)

        A word that the table lacks stands for itself with weight one, as names do.

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
        for word in split_words(text):
            best = list(self.entries.get(word, {word: 1.0}).items())[:translations]
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
    def load(cls, path: Pathish) -> WordTable:
        """Read what :meth:`save` wrote.

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
                if not foreign or not english or not 0 < p <= 1 + 1e-6 or math.isnan(p):
                    raise ValueError
            except ValueError:
                remedy = "write foreign⇥english⇥probability, or remove the file to have the table made again"
                raise InputError("not a line of a translation table", path=path, line=number, remedy=remedy) from None
            entries.setdefault(foreign, {})[english] = p
        return cls({word: dict(sorted(entry.items(), key=lambda e: (-e[1], e[0]))) for word, entry in entries.items()})
