r"""Translation tables from a bitext: counted (IBM model 1 with positions), or summed from the plans of a coupling.

A plan T between the tokens of a sentence pair says how much of each foreign token goes to each English one. Summed
over the pieces of the words and over the bitext, with every foreign token counting one,

.. math::
    c(f, e) = \sum_s \sum_{i \in e,\, j \in f} T^{(s)}_{ij} / \nu^{(s)}_j, \qquad p(e \mid f) \propto c(f, e)

it is a translation table, as the expected counts of an IBM model are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import Pair, fingerprint_bitext, fingerprint_texts, read_bitext
from pyserini_optical.data.settings import nearest
from pyserini_optical.data.words import FOLDING, split_words, word_places
from pyserini_optical.errors import CheckpointError, InputError, RecipeError
from pyserini_optical.progress import progress, say
from pyserini_optical.translation.word_table import WordTable

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from torch import Tensor

    from pyserini_optical.models import Encoder
    from pyserini_optical.models.glosses import GlossTransformer

# So much is counted at most, of pairs evenly drawn: of words times words, by which memory grows (a million lines of a
# word list with 150,000 sentences have less), and of pairs to match, by which time does.
_LINKS, _PAIRS = 80_000_000, 40_000

# Of a plan, what moves less of a token than this is left out: most of it is noise, and it fills the table.
_LEAST = 0.05
_BATCH = 64


@dataclass(frozen=True)
class TableSettings:
    """How a translation table is made.

    Attributes
    ----------
    bitext : list of str
        Files of sentence pairs; for ``glosses`` none.
    kind : {"ibm1", "plans", "glosses"}
        What is counted, or that nothing is: the table is that of a student with glosses, which knows every word.
    rounds : int
        Rounds of expectation maximisation, for ``ibm1``.
    encoder : str
        By the name of a model, or in a study also a recipe. For ``glosses``: the student; for ``plans``: the encoder
        whose token vectors are matched, where the student reads the foreign side, its document encoder the English one.
    coupling : str
        For plans: by its name in :data:`pyserini_optical.couplings.COUPLINGS`.
    layer : {"contextual", "static"}
        For plans: token vectors of the last layer, or rows of the embedding matrix.
    reverse : bool
        For ``ibm1``: from English into the other language.
    """

    bitext: list[str] = field(default_factory=list)
    kind: Literal["ibm1", "plans", "glosses"] = "ibm1"
    rounds: int = 4
    encoder: str = ""
    coupling: str = "ipot"
    layer: Literal["contextual", "static"] = "contextual"
    reverse: bool = False

    def __post_init__(self) -> None:
        if (self.kind == "glosses") == bool(self.bitext):
            raise RecipeError("bitext must name a file, but for `kind: glosses`, which needs none")
        if self.rounds < 1:
            raise RecipeError(f"rounds must be at least 1, got {self.rounds}")
        if (self.kind == "ibm1") == bool(self.encoder):
            raise RecipeError("encoder must be named for `kind: plans` and `glosses`, and for those alone")
        if self.reverse and self.kind != "ibm1":
            raise RecipeError("reverse is for `kind: ibm1`")
        if self.kind == "plans":
            from pyserini_optical.couplings import COUPLINGS

            if self.coupling not in COUPLINGS:
                raise RecipeError(f"unknown coupling {self.coupling!r}{nearest(self.coupling, COUPLINGS)}")

    def fingerprint(self, encoder: Encoder | None) -> str:
        """Give the fingerprint of what decides the table, wherever the files lie.

        Parameters
        ----------
        encoder : Encoder, optional
            The one that ``encoder`` names.
        """
        parts = [self.kind, FOLDING, *map(fingerprint_bitext, self.bitext)]
        if encoder is None:
            from pyserini_optical.models.table import COUNTING

            parts += [str(self.rounds), str(self.reverse), COUNTING]
        elif self.kind == "glosses":
            parts.append(encoder.fingerprint)
        else:
            parts += [encoder.fingerprint, encoder.document_fingerprint, self.coupling, self.layer]
        return fingerprint_texts(parts)


def count_words(pairs: Sequence[Pair], rounds: int = 4) -> WordTable:
    """Count a translation table of words in sentence pairs (see :mod:`pyserini_optical.models.table`).

    Parameters
    ----------
    pairs : sequence of Pair
        More than some 200,000 sentences, or millions of lines of a word list, are not counted; those are evenly drawn.
    rounds : int
        Of expectation maximisation.
    """
    numbered = _number(pairs).at_most(links=_LINKS)
    return WordTable.from_matrix(_ibm1(numbered, rounds), numbered.foreign_words, numbered.english_words)


def word_table(settings: TableSettings, work: Path, encoder: Encoder | None = None) -> WordTable:
    """Count a translation table, or read it where it was counted before; of a student with glosses take its own.

    Parameters
    ----------
    settings : TableSettings
        How.
    work : Path
        Folder below which ``tables/`` holds what was counted.
    encoder : Encoder, optional
        The one that the settings name.

    Raises
    ------
    InputError
        A bitext cannot be read or holds no words, or the table's file is damaged.
    CheckpointError
        The encoder has no glosses.
    """
    if settings.kind == "glosses":
        return load_glosses(settings.encoder if encoder is None else encoder.name).table
    path = work / "tables" / f"{settings.kind}-{settings.fingerprint(encoder)[:16]}.tsv.xz"
    if not path.exists():
        pairs = [pair for file in settings.bitext for pair in read_bitext(file)]
        say(f"counting a translation table ({settings.kind}) on {len(pairs):,} sentence pairs")
        if settings.reverse:
            pairs = [Pair(pair.english, pair.foreign) for pair in pairs]
        if encoder is not None:
            pairs = [pair for pair in pairs[:: -(-len(pairs) // _PAIRS)] if all(map(split_words, pair[:2]))]
        numbered = _number(pairs)
        if not numbered.foreign:
            raise InputError("holds no sentence pairs with words", path=settings.bitext[0], remedy="check the file")
        if encoder is None:
            matrix = _ibm1(numbered.at_most(links=_LINKS), settings.rounds)
        else:
            matrix = _plans(numbered, pairs, encoder, settings)
        WordTable.from_matrix(matrix, numbered.foreign_words, numbered.english_words).save(path)
    return WordTable.load(path)


def load_glosses(name: str) -> GlossTransformer:
    """Load the part of a student that reads through glosses.

    Raises
    ------
    CheckpointError
        It has none, or cannot be loaded.
    """
    # sentence-transformers takes seconds to load.
    from pyserini_optical.models.glosses import GlossTransformer
    from pyserini_optical.models.transformer import load_transformer

    module: Any = load_transformer(name, "cpu")[0]
    if not isinstance(module, GlossTransformer):
        raise CheckpointError(f"{name}: has no glosses; distil it from encoders/glosses.yaml")
    return module


class _Numbered(NamedTuple):
    """Sentence pairs as numbers of words, and the words."""

    foreign: list[list[int]]
    english: list[list[int]]
    foreign_words: list[str]
    english_words: list[str]

    def at_most(self, *, links: int) -> _Numbered:
        """Give pairs evenly drawn, so that their words times words are no more."""
        whole = sum(len(left) * len(right) for left, right in zip(self.foreign, self.english, strict=True))
        step = max(1, -(-whole // links))
        return self._replace(foreign=self.foreign[::step], english=self.english[::step])


def _number(pairs: Sequence[Pair]) -> _Numbered:
    foreign_numbers: dict[str, int] = {}
    english_numbers: dict[str, int] = {}
    foreign, english = [], []
    for pair in pairs:
        left, right = split_words(pair.foreign), split_words(pair.english)
        if left and right:
            foreign.append([foreign_numbers.setdefault(word, len(foreign_numbers)) for word in left])
            english.append([english_numbers.setdefault(word, len(english_numbers)) for word in right])
    return _Numbered(foreign, english, list(foreign_numbers), list(english_numbers))


def _ibm1(numbered: _Numbered, rounds: int) -> csr_matrix:
    from pyserini_optical.models.table import symmetric_table

    return symmetric_table(
        numbered.foreign,
        numbered.english,
        foreign_size=len(numbered.foreign_words),
        english_size=len(numbered.english_words),
        rounds=rounds,
    )


def _written(text: str, words: list[str]) -> list[str]:
    """Give the words of a text as they stand in it, which is how a student has learnt to read them."""
    written = [text[start:end] for _, start, end in word_places(text)]
    return written if len(written) == len(words) else words  # a sign that is several words in composed form


def _plans(numbered: _Numbered, pairs: Sequence[Pair], encoder: Encoder, settings: TableSettings) -> csr_matrix:
    import torch
    from scipy.sparse import csr_matrix

    from pyserini_optical.couplings import COUPLINGS, uniform_mass
    from pyserini_optical.evaluate.alignment import token_vectors
    from pyserini_optical.models.device import autocast
    from pyserini_optical.models.table import rows_to_one
    from pyserini_optical.models.transformer import load_transformer

    student = load_transformer(encoder.name, encoder.device).eval()
    teacher = load_transformer(encoder.document_model, encoder.device).eval()
    coupling = COUPLINGS[settings.coupling]()
    order = sorted(range(len(numbered.foreign)), key=lambda n: len(numbered.foreign[n]))
    parts: list[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]] = []
    with torch.inference_mode(), progress("matching sentence pairs", len(order)) as advance:
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            english = [[numbered.english_words[word] for word in numbered.english[n]] for n in batch]
            foreign = [
                _written(pairs[n].foreign, [numbered.foreign_words[word] for word in numbered.foreign[n]])
                for n in batch
            ]
            with autocast(encoder.device):
                source, source_words = token_vectors(teacher, english, settings.layer)
                target, target_words = token_vectors(student, foreign, settings.layer)
            masses = uniform_mass(source_words >= 0), uniform_mass(target_words >= 0)
            plan = coupling.plan(1.0 - source @ target.transpose(1, 2), *masses)
            share = (plan.matrix / masses[1][:, None, :].clamp_min(1e-9)).cpu()
            rows, i, j = (part.numpy() for part in (share >= _LEAST).nonzero(as_tuple=True))
            e = _numbers(numbered.english, batch, source_words)[rows, i]
            f = _numbers(numbered.foreign, batch, target_words)[rows, j]
            parts.append((share.numpy()[rows, i, j], f, e))
            advance(len(batch))
    values, f, e = (np.concatenate(column) for column in zip(*parts, strict=True))
    shape = len(numbered.foreign_words), len(numbered.english_words)
    # Built from triples, it adds up what stands in one place.
    return rows_to_one(csr_matrix((values, (f, e)), shape=shape))


def _numbers(sentences: Sequence[Sequence[int]], batch: Sequence[int], words: Tensor) -> NDArray[np.int64]:
    """Give each token's word as the table numbers it, shape (B, n), from its position in the sentence; -1 for none."""
    found: NDArray[np.int64] = words.cpu().numpy().astype(np.int64)
    for row, n in enumerate(batch):
        inside = found[row] >= 0
        found[row, inside] = np.asarray(sentences[n], dtype=np.int64)[found[row, inside]]
    return found
