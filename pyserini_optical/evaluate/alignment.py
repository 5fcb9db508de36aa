r"""Alignment quality: which words a coupling matches, held against word alignments made by hand.

.. math::
    P = \frac{|A \cap G|}{|A|}, \qquad R = \frac{|A \cap G|}{|G|}, \qquad
    \mathrm{AER} = 1 - \frac{|A \cap S| + |A \cap G|}{|A| + |S|}

with the links A found, G of the gold and S, those of G that are sure. Files with one kind of link have S = G, and then
AER = 1 - F1 [1]_. The counts are taken over all sentences.

From token to word: a pair of tokens is linked if the plan moves at least half of what the one of them with less mass
could give, :math:`T_{ij} \ge \tfrac12 \min(\mu_i, \nu_j)`; a pair of words is linked if any pair of their pieces is.
The rule is the same for every coupling: it takes all matches of a one-to-one coupling, and of a transport plan those
that are not spread too thin; where both sentences have more than two tokens the independent plan has no links.

References
----------
.. [1] Och, Ney. A Systematic Comparison of Various Statistical Alignment Models. Computational Linguistics 29, 2003.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pyserini_optical.data import Pathish, read_lines
from pyserini_optical.errors import InputError
from pyserini_optical.evaluate.significance import CONFIDENCE, RESAMPLES

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

    from pyserini_optical.couplings import Coupling, Plan

# Word of the foreign sentence, word of the English one; both from 0.
Link = tuple[int, int]
Layer = Literal["contextual", "static"]

THRESHOLD = 0.5
_LINK = re.compile(r"(\d{1,6})-(\d{1,6})")


@dataclass(frozen=True)
class AlignedPair:
    """A sentence pair whose words were aligned by hand.

    Attributes
    ----------
    foreign, english : tuple of str
        The words.
    links : frozenset of (int, int)
        Which foreign word goes with which English one.
    """

    foreign: tuple[str, ...]
    english: tuple[str, ...]
    links: frozenset[Link]


def read_alignments(path: Pathish) -> tuple[list[AlignedPair], int]:
    """Read hand-made alignments: ``foreign⇥english⇥f-e f-e …``, positions from 0 after splitting on white space.

    Returns
    -------
    pairs : list of AlignedPair
        In the order of the file.
    outside : int
        Links to a position that its sentence does not have; they are left out.

    Raises
    ------
    InputError
        A line that is not as above, or no line at all.
    """
    pairs, outside = [], 0
    for number, line in read_lines(path):
        columns = line.split("\t")
        if len(columns) != 3:
            problem = f"expected 3 columns separated by tabs, found {len(columns)}"
            raise InputError(problem, path=path, line=number, remedy="write foreign⇥english⇥f-e f-e …")
        foreign, english = (tuple(column.split()) for column in columns[:2])
        if not foreign or not english:
            raise InputError("a sentence without words", path=path, line=number, remedy="leave the line out")
        links = set()
        for text in columns[2].split():
            match = _LINK.fullmatch(text)
            if match is None:
                remedy = "write links as 0-2: foreign position, English position, both from 0"
                raise InputError(f"{text[:60]!r} is not a link", path=path, line=number, remedy=remedy)
            links.add((int(match[1]), int(match[2])))
        inside = frozenset((f, e) for f, e in links if f < len(foreign) and e < len(english))
        outside += len(links) - len(inside)
        pairs.append(AlignedPair(foreign, english, inside))
    if not pairs:
        raise InputError("holds no sentence pairs", path=path, remedy="check that it is the right file")
    return pairs, outside


@dataclass(frozen=True)
class AlignmentScores:
    """How good the links of a set of sentences are.

    Attributes
    ----------
    counts : tuple of (int, int, int)
        For each sentence: links found that are right, links found, links of the gold.
    """

    counts: tuple[tuple[int, int, int], ...]

    @property
    def precision(self) -> float:
        """Share of the links found that are right; zero if none was found."""
        right, found, _ = self._totals()
        return right / found if found else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold's links that were found; zero if there are none."""
        right, _, gold = self._totals()
        return right / gold if gold else 0.0

    @property
    def error_rate(self) -> float:
        """Alignment error rate: zero is perfect, one is nothing right."""
        right, found, gold = self._totals()
        return 1 - 2 * right / (found + gold) if found + gold else 0.0

    def interval(self, seed: int = 42) -> tuple[float, float]:
        """Give the bootstrap interval of the error rate at 95 %, sentences drawn with replacement."""
        counts = np.array(self.counts, dtype=np.float64)
        size = len(counts)
        draws = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=RESAMPLES)
        right, found, gold = (draws @ counts).T
        rates = 1 - 2 * right / np.maximum(found + gold, 1)
        low, high = np.quantile(rates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return float(low), float(high)

    def _totals(self) -> tuple[int, int, int]:
        right, found, gold = (sum(column) for column in zip(*self.counts, strict=True))
        return right, found, gold


def score_links(found: Iterable[Set[Link]], pairs: Sequence[AlignedPair]) -> AlignmentScores:
    """Hold links against the gold, sentence by sentence, in the same order."""
    return AlignmentScores(
        tuple((len(links & pair.links), len(links), len(pair.links)) for links, pair in zip(found, pairs, strict=True))
    )


def word_links(plan: Plan, masses: tuple[Tensor, Tensor], words: tuple[Tensor, Tensor]) -> list[set[Link]]:
    r"""Give the words that a plan links: any of their pieces with :math:`T_{ij} \ge \tfrac12 \min(\mu_i, \nu_j)`.

    Parameters
    ----------
    plan : Plan
        From English tokens (rows) to foreign tokens (columns), as in token alignment.
    masses : pair of Tensor, shapes (B, m) and (B, n)
        :math:`\mu` and :math:`\nu` that the plan was made with.
    words : pair of Tensor of int, shapes (B, m) and (B, n)
        Which word each token is a piece of.
    """
    (mu, nu), (english, foreign) = masses, words
    enough = THRESHOLD * mu[:, :, None].minimum(nu[:, None, :])
    rows, sources, targets = ((plan.matrix >= enough) & (plan.matrix > 0)).nonzero(as_tuple=True)
    found: list[set[Link]] = [set() for _ in plan.matrix]
    linked = rows.tolist(), foreign[rows, targets].tolist(), english[rows, sources].tolist()
    for row, f, e in zip(*linked, strict=True):
        found[row].add((f, e))
    return found


def align_words(
    student: SentenceTransformer,
    teacher: SentenceTransformer,
    pairs: Sequence[AlignedPair],
    couplings: Mapping[str, Coupling],
    *,
    layer: Layer = "contextual",
    batch_size: int = 32,
) -> dict[str, list[set[Link]]]:
    """Link the words of sentence pairs by each coupling, at the cosine cost of token alignment.

    Special tokens take no part, as in training. Words beyond the models' greatest length have no links.

    Parameters
    ----------
    student, teacher : SentenceTransformer
        The student reads the foreign sentences, the teacher the English ones.
    pairs : sequence of AlignedPair
        Their words are used, not their links.
    couplings : mapping of str to Coupling
        By name.
    layer : {"contextual", "static"}
        Token vectors of the last layer, or rows of the embedding matrix.
    batch_size : int
        Pairs at a time.

    Returns
    -------
    dict of str to list of set of (int, int)
        By coupling, the links of each pair.
    """
    import torch

    from pyserini_optical.couplings import uniform_mass

    found: dict[str, list[set[Link]]] = {name: [] for name in couplings}
    for start in range(0, len(pairs), batch_size):
        batch = pairs[start : start + batch_size]
        with torch.inference_mode():
            source, english = token_vectors(teacher, [pair.english for pair in batch], layer)
            target, foreign = token_vectors(student, [pair.foreign for pair in batch], layer)
            cost = 1.0 - source @ target.transpose(1, 2)
            masses = uniform_mass(english >= 0), uniform_mass(foreign >= 0)
            for name, coupling in couplings.items():
                found[name] += word_links(coupling.plan(cost, *masses), masses, (english, foreign))
    return found


def token_vectors(
    model: SentenceTransformer, sentences: Sequence[Sequence[str]], layer: Layer
) -> tuple[Tensor, Tensor]:
    """Give unit token vectors, shape (B, n, d), and the words they are pieces of, shape (B, n); -1 takes no part."""
    import torch
    from torch.nn import functional

    from pyserini_optical.models.glosses import GlossTransformer
    from pyserini_optical.objectives import Marginals

    first: Any = model[0]
    gloss = first.gloss if isinstance(first, GlossTransformer) else str
    encoded: Any = model.tokenizer(
        [[gloss(word) for word in words] for words in sentences],
        is_split_into_words=True,
        padding=True,
        truncation=True,
        max_length=model.max_seq_length,
        return_tensors="pt",
    )
    features = {name: tensor.to(model.device) for name, tensor in encoded.items()}
    if layer == "static":
        vectors = model.transformers_model.get_input_embeddings()(features["input_ids"])
    else:
        vectors = model(dict(features))["token_embeddings"]
    numbers = [[-1 if word is None else word for word in encoded.word_ids(row)] for row in range(len(sentences))]
    words = torch.tensor(numbers, device=model.device)
    read = features["attention_mask"].bool()
    taking_part = Marginals.of(model.tokenizer).taking_part(features["input_ids"], read, read)
    return functional.normalize(vectors.float(), dim=-1), words.masked_fill(~taking_part, -1)
