r"""Reading a language through glosses: each foreign word as the English word that a translation table gives for it.

A student with new word pieces reads a foreign word as a mean of English embeddings, and the many English words of
several pieces are lost in such a mean. A student with glosses reads the English words themselves: a text is split into
words, each is replaced by its most probable translation, and the model reads what results in the foreign word order.
A word that the table lacks is read as a compound of two that it has (``Frühlingsfest``: spring festival), or as the
English word that it spells (:mod:`pyserini_optical.models.spelling`), or stays.

References
----------
.. [1] Brown, Della Pietra, Della Pietra, Mercer. The Mathematics of Statistical Machine Translation. Computational
   Linguistics 19(2), 1993. (The table; see :mod:`pyserini_optical.models.table`.)
.. [2] Litschko, Glavaš, Ponzetto, Vulić. Unsupervised Cross-Lingual Information Retrieval using Monolingual Data Only.
   SIGIR 2018. (Word-by-word query translation, there by nearest neighbours of word embeddings.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sentence_transformers.base.modules.transformer import Transformer

from pyserini_optical.data import read_lines, write_text
from pyserini_optical.data.words import word_places
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.models.spelling import ALPHABET, Spelling
from pyserini_optical.models.transformer import GLOSS_FILES

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

_GLOSSES, _LETTERS, _NAMES = GLOSS_FILES
_REMEDY = "fetch or distil the model again"
# Least letters of each part of a compound, and most between them: on MLQA-R's German questions RR@10 .433 without
# compounds, .455 with these.
_PART, _LINK = 4, 2


class GlossTransformer(Transformer):  # type: ignore[misc]
    """A transformer module that reads its texts through glosses.

    Attributes
    ----------
    glosses : dict of str to str
        English word by foreign word, both as :func:`~pyserini_optical.data.words.split_words` writes words. They are
        kept beside the weights as ``glosses.tsv``, lines ``foreign⇥english``.
    spelling : Spelling
        For other words; kept as ``letters.tsv``, lines ``foreign⇥english⇥probability``, and ``names.txt``.
    """

    glosses: Mapping[str, str] = {}
    spelling: Spelling = Spelling({}, [])

    def gloss_word(self, word: str) -> str:
        """Give the gloss of one word."""
        return self.glosses.get(word) or self._compound(word) or self.spelling.nearest(word)

    def _compound(self, word: str) -> str:
        """Give the glosses of the two words that a word is made of, cut where the shorter is longest; empty if none.

        Between them may be letters that link. A name that the collection has is none.
        """
        if word in self.spelling:
            return ""
        cuts = [
            (min(end, len(word) - start), end - start, end, start)
            for start in range(_PART, len(word) - _PART + 1)
            for end in range(max(start - _LINK, _PART), start + 1)
            if word[:end] in self.glosses and word[start:] in self.glosses
        ]
        if not cuts:
            return ""
        _, _, end, start = max(cuts)
        return f"{self.glosses[word[:end]]} {self.glosses[word[start:]]}"

    def gloss(self, text: str) -> str:
        """Replace each word of a text by its gloss; a text without words stays as it is."""
        return " ".join(english for english, _, _ in self.places(text)) or text

    def places(self, text: str) -> list[tuple[str, int, int]]:
        """Give the gloss of each word of a text, and where the word starts and ends in it."""
        return [(self.gloss_word(word), start, end) for word, start, end in word_places(text)]

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Make the model's input of texts, as :class:`Transformer` does of their glosses."""
        read = [self.gloss(text) if isinstance(text, str) else text for text in inputs]
        features: dict[str, Any] = super().preprocess(read, prompt=prompt, **kwargs)
        return features

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any) -> Self:
        """Load a module that was saved.

        Raises
        ------
        InputError, CheckpointError
            Its glosses are damaged or not all there.
        """
        module: Self = super().load(model_name_or_path, subfolder, **kwargs)
        where = {key: kwargs[key] for key in ("token", "cache_folder", "revision", "local_files_only") if key in kwargs}
        paths = []
        for file in GLOSS_FILES:
            path = cls.load_file_path(model_name_or_path, file, subfolder, **where)
            if path is None:
                raise CheckpointError(f"{model_name_or_path}: no {file} beside the weights; {_REMEDY}")
            paths.append(Path(path))
        glosses, letters, names = paths
        module.glosses = dict(_columns(glosses, 2))
        rows: dict[str, dict[str, float]] = {}
        for letter, english, p in _columns(letters, 3):
            if english not in ALPHABET or not p.replace(".", "").replace("e-", "").isdigit():
                raise InputError(f"{letter} {english} {p} is not a letter's probability", path=letters, remedy=_REMEDY)
            rows.setdefault(letter, {})[english] = float(p)
        module.spelling = Spelling(rows, [line for _, line in read_lines(names)])
        return module

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Save the module and its glosses."""
        super().save(output_path, *args, **kwargs)
        with write_text(Path(output_path) / _GLOSSES) as file:
            file.writelines(f"{word}\t{english}\n" for word, english in self.glosses.items())
        with write_text(Path(output_path) / _LETTERS) as file:
            for letter, row in self.spelling.letters.items():
                file.writelines(f"{letter}\t{english}\t{p:.4g}\n" for english, p in row.items())
        with write_text(Path(output_path) / _NAMES) as file:
            file.writelines(f"{name}\n" for name in self.spelling.names)


def add_glosses(
    student: SentenceTransformer | MultiVectorEncoder, glosses: Mapping[str, str], spelling: Spelling | None = None
) -> None:
    """Let a model read through glosses from now on, in place.

    Parameters
    ----------
    student : SentenceTransformer or MultiVectorEncoder
        An English model; its vocabulary and weights stay as they are.
    glosses : mapping of str to str
        English word by foreign word.
    spelling : Spelling, optional
        For words that have no gloss; without it they stay.
    """
    module: Any = student[0]
    # The same module, of another class: a new one would have to load its weights.
    module.__class__ = GlossTransformer
    module.glosses = dict(glosses)
    module.spelling = spelling or Spelling({}, [])


def _columns(path: Path, number: int) -> Iterator[Any]:
    for line, text in read_lines(path):
        parts = tuple(text.split("\t"))
        if len(parts) != number or not all(parts):
            raise InputError(f"expected {number} columns separated by tabs", path=path, line=line, remedy=_REMEDY)
        yield parts
