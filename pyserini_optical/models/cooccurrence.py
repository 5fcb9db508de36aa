r"""Which of a word's translations fits the other words of a text: those that meet them in passages of the collection.

The translations e of the words f of a text are weighed by mean field: each by its own probability, and by how much more
often than by chance it stands in one passage with what the others are read as [1]_ [2]_,

.. math::
    q_i(e) \propto p(e \mid f_i)\,
        \exp\Bigl(\lambda \sum_{j \ne i} \sum_{e'} q_j(e') \max\bigl(0, \mathrm{PMI}(e, e')\bigr)\Bigr),
    \qquad \mathrm{PMI}(e, e') = \log \frac{(n_{ee'} - \frac12)\, N}{n_e\, n_{e'}}

for :math:`e \ne e'`, with n of N passages, from :math:`q_i = p(\cdot \mid f_i)` in three rounds, in each of which all
words change at once. The half passage less keeps rare words down. A gloss of several words stands where all of them do.

References
----------
.. [1] Gao, Nie, Xun, Zhang, Zhou, Huang. Improving Query Translation for Cross-Language Information Retrieval Using
   Statistical Models. SIGIR 2001. (Translations chosen by their mutual information in the collection.)
.. [2] Monz, Dorr. Iterative Translation Disambiguation for Cross-Language Information Retrieval. SIGIR 2005. (All
   translations keep a weight, in rounds; there the association is added to the weight.)
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import cached_property, partial, reduce
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import Pathish, write_beside
from pyserini_optical.data.words import split_words
from pyserini_optical.errors import InputError
from pyserini_optical.translation.word_table import Readings

# The weight of what passages say, and rounds. In trials on MLQA-R, RR@10 of the hybrid with .3 and .6: Arabic .341 and
# .352 (.322 without), Hindi .540 and .546 (.538).
_LAMBDA, _ROUNDS = 0.6, 3

# So many passages are looked at together, for the memory.
_BLOCK = 1 << 20


class Cooccurrence:
    """In which passages the words of a collection stand.

    Parameters
    ----------
    words : sequence of str
        All different.
    starts : ndarray of int, shape (len(words) + 1,)
        Where in ``passages`` those of each word begin.
    passages : ndarray of int
        Numbers of passages, ascending for each word.
    count : int
        How many passages there are.

    Raises
    ------
    ValueError
        These do not go together.
    """

    def __init__(
        self,
        words: Sequence[str] = (),
        starts: NDArray[np.int64] | None = None,
        passages: NDArray[np.int32] | None = None,
        count: int = 0,
    ) -> None:
        self.words = list(words)
        self.starts = np.zeros(1, np.int64) if starts is None else starts
        self.passages = np.zeros(0, np.int32) if passages is None else passages
        self.count = count
        if not self._fits():
            raise ValueError("words and the passages that they stand in do not go together")

    def _fits(self) -> bool:
        kinds = {self.starts.dtype.kind, self.passages.dtype.kind}
        if not kinds <= {"i", "u"} or self.starts.shape != (len(self.words) + 1,) or self.passages.ndim != 1:
            return False
        starts, passages = self.starts.astype(np.int64), self.passages.astype(np.int64)
        if (starts[0], starts[-1]) != (0, len(passages)) or (np.diff(starts) < 0).any():
            return False
        # Each passage is behind the one before, but for the first of a word.
        behind = np.diff(passages, prepend=-1) > 0
        behind[starts[:-1][np.diff(starts) > 0]] = True
        inside = not len(passages) or 0 <= passages.min() <= passages.max() < self.count
        counts = 0 <= self.count <= np.iinfo(np.int32).max
        return bool(inside and behind.all() and counts and len(set(self.words)) == len(self.words))

    @classmethod
    def count_texts(cls, texts: Iterable[str]) -> Cooccurrence:
        """Count the words of passages."""
        found: dict[str, array[int]] = {}
        count = 0
        for text in texts:
            for word in set(split_words(text)):
                found.setdefault(word, array("i")).append(count)
            count += 1
        words = sorted(found)
        lists = [np.frombuffer(found[word], np.intc) for word in words]
        starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        return cls(words, starts, np.concatenate([_NONE, *lists]), count)

    def weigh(self, readings: Readings) -> dict[str, dict[str, float]]:
        """Weigh the translations of a text's words by each other.

        Parameters
        ----------
        readings : mapping of str to mapping of str to float
            Probability by English word, or words with spaces between, by foreign word.

        Returns
        -------
        dict of str to dict of str to float
            The same with :math:`q`, the most probable first, which sums to one; unchanged if there are no passages.
        """
        if not self.count or not readings:
            return {word: dict(reading) for word, reading in readings.items()}
        numbers = {english: n for n, english in enumerate(sorted({e for r in readings.values() for e in r}))}
        chosen = [(owner, numbers[e], p) for owner, r in enumerate(readings.values()) for e, p in r.items()]
        owners, places, p = (np.array(column) for column in zip(*chosen, strict=True))
        tied = self.pmi(list(numbers))[np.ix_(places, places)]
        tied[owners[:, None] == owners] = 0
        firsts = np.flatnonzero(np.diff(owners, prepend=-1))
        alone = np.log(np.maximum(p, np.finfo(float).tiny))
        q = _shares(alone, firsts, owners)
        for _ in range(_ROUNDS):
            q = _shares(alone + _LAMBDA * (tied @ q), firsts, owners)
        weighed = []
        for (first, last), reading in zip(pairwise([*firsts.tolist(), len(q)]), readings.values(), strict=True):
            shares = zip(reading, q[first:last].tolist(), strict=True)
            weighed.append(dict(sorted(shares, key=lambda item: (-item[1], item[0]))))
        return dict(zip(readings, weighed, strict=True))

    def pmi(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Give the positive pointwise mutual information of words, shape (len(words), len(words)); none with itself."""
        found = [self._passages_of(word) for word in words]
        together = np.zeros((len(words), len(words)), dtype=np.int64)
        for start in range(0, max((int(each[-1]) + 1 for each in found if len(each)), default=0), _BLOCK):
            # A bit for each passage: several times as fast as a product of sparse matrices.
            held = np.zeros((len(words), min(_BLOCK, -(-self.count // 64) * 64)), dtype=bool)
            for row, each in zip(held, found, strict=True):
                row[each[slice(*np.searchsorted(each, (start, start + _BLOCK)))] - start] = True
            bits = np.packbits(held, axis=1).view(np.uint64)
            together += np.array([np.bitwise_count(bits & own).sum(axis=1, dtype=np.int64) for own in bits])
        sizes = together.diagonal()
        with np.errstate(divide="ignore", invalid="ignore"):
            pmi = np.log((together - 0.5) * self.count / np.outer(sizes, sizes))
        # What never meets has no logarithm.
        pmi = np.where(together > 0, np.maximum(pmi, 0), 0)
        np.fill_diagonal(pmi, 0)
        return pmi

    def save(self, path: Pathish) -> None:
        """Write it as safetensors; the file appears when it is complete."""
        from safetensors.numpy import save_file

        words = np.frombuffer("\n".join(self.words).encode(), np.uint8)
        with write_beside(path) as temporary:
            save_file(
                {"words": words, "starts": self.starts, "passages": self.passages, "count": np.array([self.count])},
                temporary,
            )

    @classmethod
    def load(cls, path: Pathish, remedy: str) -> Cooccurrence:
        """Read what :meth:`save` wrote.

        Raises
        ------
        InputError
            The file is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            content = load_file(path)
            text = content["words"].tobytes().decode()
            words = text.split("\n") if text else []
            return cls(words, content["starts"], content["passages"], int(content["count"][0]))
        except (SafetensorError, AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
            raise InputError(f"not the words of passages ({error})", path=path, remedy=remedy) from None

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    def _passages_of(self, phrase: str) -> NDArray[np.int32]:
        """Give the passages that all words of a phrase stand in."""
        found = []
        for word in phrase.split():
            place = self._places.get(word)
            found.append(self.passages[slice(*self.starts[place : place + 2])] if place is not None else _NONE)
        return reduce(partial(np.intersect1d, assume_unique=True), found)


_NONE = np.zeros(0, np.int32)


def _shares(
    logarithms: NDArray[np.float64], firsts: NDArray[np.int64], owners: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Give what sums to one for each owner; firsts: where each one's begin."""
    weights = np.exp(logarithms - np.maximum.reduceat(logarithms, firsts)[owners])
    shares: NDArray[np.float64] = weights / np.add.reduceat(weights, firsts)[owners]
    return shares
