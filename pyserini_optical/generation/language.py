r"""Telling languages of one script apart by examples: naive Bayes over runs of three letters.

References
----------
.. [1] Cavnar, Trenkle. N-Gram-Based Text Categorization. SDAIR 1994.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from pyserini_optical.data.words import split_words
from pyserini_optical.errors import InputError

_LENGTH = 3


class LanguageGuess:
    r"""Which of some languages a text is most probably in, judged by examples of each.

    .. math::
        \hat\ell = \arg\max_\ell \sum_g \log \frac{c_\ell(g) + 1}{\sum_{g'} c_\ell(g') + V}

    over the text's runs g of three letters within and around its words, with the counts c of the examples and the
    number V of different runs; all languages are equally likely beforehand. Some hundred sentences a language serve
    to tell unlike languages apart.

    Parameters
    ----------
    examples : mapping of str to iterable of str
        Texts by language code, two languages or more.

    Raises
    ------
    InputError
        There is one language alone, or one without a letter.
    """

    def __init__(self, examples: Mapping[str, Iterable[str]]) -> None:
        counts = {language: Counter(_runs(texts)) for language, texts in examples.items()}
        if len(counts) < 2 or not all(counts.values()):
            had = ", ".join(counts) or "none"
            raise InputError(f"examples of {had}", remedy="give texts in the wanted language and in one other or more")
        kinds = len(set().union(*counts.values()))
        self._scores: dict[str, dict[str, float]] = {}
        self._unseen: dict[str, float] = {}
        for language, seen in counts.items():
            total = sum(seen.values()) + kinds
            self._scores[language] = {run: math.log((count + 1) / total) for run, count in seen.items()}
            self._unseen[language] = -math.log(total)

    def __call__(self, text: str) -> str:
        """Give the code of the language; of equally probable ones the first."""
        runs = list(_runs([text]))
        return max(
            self._scores,
            key=lambda language: sum(self._scores[language].get(run, self._unseen[language]) for run in runs),
        )


def _runs(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for word in split_words(text):
            around = f" {word} "
            yield from (around[start : start + _LENGTH] for start in range(len(around) - _LENGTH + 1))
