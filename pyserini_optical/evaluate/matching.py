r"""Which words of a sentence pair a student and its document model match: by couplings, and by late interaction.

The student reads the foreign sentence, the document model (its English teacher) the English one; a coupling matches
their token vectors at the cosine cost of token alignment. The tokens are merged to words, split at white space and
where words of a script without spaces end:

.. math::
    W_{ab} = \frac{1}{\max(\nu_a, \sum_b T_{ab})} T_{ab}, \qquad T_{ab} = \sum_{j \in a, i \in b} T_{ij}, \qquad
    \nu_a = \sum_{j \in a} \nu_j

is the share of the foreign word's mass that goes to the English word (one-to-one couplings may ask more of a word than
its mass). In the MaxSim view :math:`W_{ab}` is what the foreign word's tokens that met the English word added to the
score [1]_. Which words are linked is decided as in :mod:`pyserini_optical.evaluate.alignment`.

References
----------
.. [1] Khattab, Zaharia. ColBERT: Efficient and Effective Passage Search via Contextualized Late Interaction over BERT.
   SIGIR 2020. arXiv:2004.12832.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import Pathish, one_process, write_text
from pyserini_optical.data.settings import nearest
from pyserini_optical.data.words import is_unspaced, word_places
from pyserini_optical.errors import InputError
from pyserini_optical.evaluate.alignment import Link, word_links

if TYPE_CHECKING:
    from pyserini_optical.models import Encoder
    from pyserini_optical.models.encoder import Piece

PICTURES = (".svg", ".html")
MAXSIM = "MaxSim"


@dataclass(frozen=True)
class Matching:
    """What one way of matching makes of a sentence pair.

    Attributes
    ----------
    name : str
        Name of the coupling, or ``MaxSim``.
    total : float
        The transport cost, between 0 and 2; of MaxSim the score.
    weights : ndarray, shape (foreign words, English words)
        Share of the foreign word's mass that goes to the English word; of MaxSim what that adds to the score.
    links : set of (int, int)
        The words that are matched, by their positions.
    """

    name: str
    total: float
    weights: NDArray[np.float64]
    links: frozenset[Link]

    @property
    def quantity(self) -> str:
        """What ``total`` is."""
        return "score" if self.name == MAXSIM else "cost"


@dataclass(frozen=True)
class SentencePair:
    """The words of a sentence pair and how they match.

    Attributes
    ----------
    foreign, english : tuple of str
        The words, and behind them the model's markers that take part, each once.
    matchings : tuple of Matching
        One for each coupling, and MaxSim as the last.
    """

    foreign: tuple[str, ...]
    english: tuple[str, ...]
    matchings: tuple[Matching, ...]


class TokenMatch(NamedTuple):
    """A query token, the passage token that it is most like, and the cosine, which is what it adds to the score."""

    query: Piece
    passage: Piece
    similarity: float


@one_process("plot")
def align(
    encoder: str | Encoder,
    foreign: str,
    english: str,
    couplings: Sequence[str] = ("ipot",),
    *,
    plot: Pathish | None = None,
) -> SentencePair:
    """Match the words of a sentence pair.

    Parameters
    ----------
    encoder : str or Encoder
        Its query encoder reads the foreign sentence, its document encoder the English one.
    foreign, english : str
        The sentences; what is longer than the models read has no matches.
    couplings : sequence of str
        Names from :data:`~pyserini_optical.couplings.COUPLINGS`; each as it is by default.
    plot : path-like, optional
        Where pictures of it go, ``.svg`` or ``.html``.

    Returns
    -------
    SentencePair

    Raises
    ------
    InputError
        A sentence is empty or has no token that takes part, a coupling is unknown, or the picture cannot be written.
    CheckpointError
        The encoder is broken.
    """
    import torch

    from pyserini_optical.couplings import COUPLINGS, uniform_mass
    from pyserini_optical.models import load_encoder

    for name in couplings:
        if name not in COUPLINGS:
            raise InputError(f"unknown coupling {name!r}{nearest(name, COUPLINGS)}")
    for text in (foreign, english):
        _check(text)
    if plot is not None and Path(plot).suffix not in PICTURES:
        raise InputError("is no kind of picture that can be made", path=plot, remedy="let it end in .svg or .html")
    encoder = load_encoder(encoder) if isinstance(encoder, str) else encoder
    [ours], [theirs] = encoder.query_tokens([foreign]), encoder.passage_tokens([english])
    pieces = encoder.query_pieces(foreign), encoder.passage_pieces(english)
    for text, found in zip((foreign, english), pieces, strict=True):
        if not found:
            remedy = "write words in a script that its vocabulary has"
            raise InputError(f"{encoder.name} has no token for {text[:60]!r}", remedy=remedy)
    (rows, foreign_words), (columns, english_words) = map(_merge, (foreign, english), pieces)
    similarity = ours @ theirs.T
    unit = ours / np.maximum(np.linalg.norm(ours, axis=1, keepdims=True), 1e-12)  # where they weigh differently
    cost = 1.0 - torch.from_numpy(theirs @ unit.T)[None]
    masses = (uniform_mass(torch.ones(1, len(theirs))), uniform_mass(torch.ones(1, len(ours))))
    numbers = torch.from_numpy(columns)[None], torch.from_numpy(rows)[None]
    shape = len(foreign_words), len(english_words)
    matchings = []
    for name in dict.fromkeys(couplings):
        plan = COUPLINGS[name]().plan(cost, *masses)
        moved = _sum(plan.matrix[0].double().numpy().T, rows, columns, shape)
        mass = np.bincount(rows, minlength=shape[0])[:, None] / len(rows)
        shares = moved / np.maximum(np.maximum(mass, moved.sum(axis=1, keepdims=True)), 1e-12)
        [links] = word_links(plan, masses, numbers)
        matchings.append(Matching(name, float(plan.cost[0]), shares, frozenset(links)))
    matchings.append(_maxsim(similarity, rows, columns, shape))
    pair = SentencePair(tuple(foreign_words), tuple(english_words), tuple(matchings))
    if plot is not None:
        from pyserini_optical.evaluate.matching_pictures import to_page, to_svg

        draw = to_svg if Path(plot).suffix == ".svg" else to_page
        with write_text(plot) as stream:
            stream.write(draw(pair))
    return pair


def token_matches(encoder: Encoder, query: str, passage: str) -> list[TokenMatch]:
    """Say which passage token each query token met in late interaction, in the order of the query.

    Parameters
    ----------
    encoder : Encoder
        Which reads both.
    query, passage : str
        The texts.

    Returns
    -------
    list of TokenMatch
        Their similarities add up to the MaxSim score; empty if one of the texts has no tokens.
    """
    [ours], [theirs] = encoder.query_tokens([query]), encoder.passage_tokens([passage])
    if not len(ours) or not len(theirs):
        return []
    similarity = ours @ theirs.T
    best = similarity.argmax(axis=1)
    found = encoder.passage_pieces(passage)
    return [
        TokenMatch(piece, found[place], float(similarity[row, place]))
        for row, (piece, place) in enumerate(zip(encoder.query_pieces(query), best, strict=True))
    ]


def word_matches(encoder: Encoder, query: str, passage: str) -> list[tuple[str, str, float]]:
    """Merge :func:`token_matches` to words: query word, passage word, and what that added to the score.

    A query word stands there once for each passage word that its tokens met; in the order of the query.
    """
    matches = token_matches(encoder, query, passage)
    rows, words = _merge(query, [match.query for match in matches])
    columns, met = _merge(passage, [match.passage for match in matches])
    added: dict[Link, float] = {}
    for row, column, match in zip(rows.tolist(), columns.tolist(), matches, strict=True):
        added[row, column] = added.get((row, column), 0.0) + match.similarity
    return [(words[row], met[column], value) for (row, column), value in added.items()]


def _check(text: str) -> None:
    if not text.strip():
        raise InputError("a sentence is empty", remedy="give the foreign sentence, then the English one")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{text[:60]!r} is not valid UTF-8", remedy="check the terminal's encoding") from None


def _merge(text: str, pieces: Sequence[Piece]) -> tuple[NDArray[np.int64], list[str]]:
    """Give the number of each token's word, and the words; a marker, which stands nowhere in the text, is one too."""
    spans = list(_spans(text))
    starts, words = [start for start, _ in spans], [text[start:end] for start, end in spans]
    markers: dict[str, int] = {}
    numbers = []
    for piece in pieces:
        if piece.start < piece.end:
            numbers.append(max(bisect_right(starts, piece.end - 1) - 1, 0))
        else:
            numbers.append(markers.setdefault(piece.text, len(words) + len(markers)))
    return np.array(numbers, dtype=np.int64), [*words, *markers]


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Give where each word starts and ends, punctuation with it, also where no space stands between words."""
    starts = [start for _, start, _ in word_places(text)] if is_unspaced(text) else []
    for match in re.finditer(r"\S+", text):
        inner = (start for start in starts if match.start() < start < match.end())
        yield from pairwise([match.start(), *(inner if is_unspaced(match[0]) else ()), match.end()])


def _sum(
    values: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    summed = np.zeros(shape)
    np.add.at(summed, (rows[:, None], columns[None, :]), values)
    return summed


def _maxsim(
    similarity: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]
) -> Matching:
    best = similarity.argmax(axis=1)
    added = np.zeros(similarity.shape)
    added[np.arange(len(best)), best] = similarity.max(axis=1)
    links = frozenset(zip(rows.tolist(), columns[best].tolist(), strict=True))
    return Matching(MAXSIM, float(added.sum()), _sum(added, rows, columns, shape), links)
