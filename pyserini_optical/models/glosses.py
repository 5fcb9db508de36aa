r"""Reading a language through glosses: each foreign word as the English word that a translation table gives for it.

A student with new word pieces reads a foreign word as a mean of English embeddings, and the many English words of
several pieces are lost in such a mean. A student with glosses reads the English words themselves: a text is split into
words, each is replaced by its most probable translation, and the model reads what results in the foreign word order.
Which one that is, depends on the other words too, by what the collection says together
(:mod:`pyserini_optical.models.cooccurrence`).
A word that the table lacks is read as the English word that it spells (:mod:`pyserini_optical.models.spelling`), or as
those that differ from it by an affix (:mod:`pyserini_optical.models.affixes`), or as a compound of two that the table
has (``Frühlingsfest``: spring festival); with Latin letters or digits it otherwise stays.

References
----------
.. [1] Brown, Della Pietra, Della Pietra, Mercer. The Mathematics of Statistical Machine Translation. Computational
   Linguistics 19(2), 1993. (The table; see :mod:`pyserini_optical.models.table`.)
.. [2] Litschko, Glavaš, Ponzetto, Vulić. Unsupervised Cross-Lingual Information Retrieval using Monolingual Data Only.
   SIGIR 2018. (Word-by-word query translation, there by nearest neighbours of word embeddings.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sentence_transformers.base.modules.transformer import Transformer

from pyserini_optical.data import read_lines, write_text
from pyserini_optical.data.words import FOLDING, is_unspaced, word_places
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.models.affixes import Affix, Affixes
from pyserini_optical.models.cooccurrence import Cooccurrence
from pyserini_optical.models.spelling import Spelling, mixed
from pyserini_optical.models.transformer import GLOSS_FILES
from pyserini_optical.translation.word_table import WordTable

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

_GLOSSES, _AFFIXES, _LETTERS, _SOUNDS, _NAMES, _PASSAGES = GLOSS_FILES
# By this a model is known whose glosses are written and read as they are here; raised when that changes.
READING = f"7.{FOLDING}"

_REMEDY = "fetch or distil the model again"
# Between a prefix and an ending, in the file.
_STEM = "…"
# Least letters of each part of a compound, and most between them: on MLQA-R's German questions RR@10 .433 without
# compounds, .455 with these.
_PART, _LINK = 4, 2


class GlossTransformer(Transformer):  # type: ignore[misc]
    """A transformer module that reads its texts through glosses.

    Attributes
    ----------
    glosses : dict of str to dict of str to float
        English words with their probabilities, the most probable first, by foreign word, all as
        :func:`~pyserini_optical.data.words.split_words` writes words. They are kept beside the weights as
        ``glosses.tsv``, lines ``foreign⇥english⇥probability``.
    affixes : Affixes
        For other words; kept as ``affixes.tsv``, lines ``prefix…ending⇥prefix…ending⇥agreement``.
    spelling : Spelling
        For other words too; kept as ``letters.tsv`` and ``sounds.tsv``, lines like those of the glosses, and
        ``names.txt``, lines ``name⇥pronunciation⇥…``.
    cooccurrence : Cooccurrence
        Which translations go together; kept as ``passages.safetensors``.
    """

    glosses: Mapping[str, Mapping[str, float]] = {}
    affixes: Affixes = Affixes({})
    spelling: Spelling = Spelling({}, [])
    cooccurrence: Cooccurrence = Cooccurrence()

    @property
    def table(self) -> WordTable:
        """What it knows of words, as a translation table of all words."""
        return WordTable(self.glosses, self._unlisted, self.cooccurrence.weigh)

    def _unlisted(self, word: str) -> Mapping[str, float]:
        """Give the translations of a word that is not in the glosses; of a name that the collection has, itself.

        The names that it spells come with the probability that it spells one, its relatives or parts with the rest; if
        it has neither of these, the names alone.
        """
        if word in self.spelling:
            return {word: 1.0}
        spelt = self.spelling.candidates(word)
        others = self.affixes.translations(word, self.glosses) or self._compound(word)
        if others:
            return mixed(spelt, others)
        certain = sum(spelt.values())
        return {name: p / certain for name, p in spelt.items()} if certain else {word: 1.0}

    def _compound(self, word: str) -> dict[str, float]:
        """Give the glosses of the two words that a word is made of, cut where the shorter is longest, if it is one.

        Between them may be letters that link.
        """
        # Where no space stands between words, a part may be one character, and nothing links.
        part, link = (1, 0) if is_unspaced(word) else (_PART, _LINK)
        cuts = [
            (min(end, len(word) - start), end - start, end, start)
            for start in range(part, len(word) - part + 1)
            for end in range(max(start - link, part), start + 1)
            if word[:end] in self.glosses and word[start:] in self.glosses
        ]
        if not cuts:
            return {}
        _, _, end, start = max(cuts)
        return {f"{self.table.best(word[:end])} {self.table.best(word[start:])}": 1.0}

    def gloss(self, text: str) -> str:
        """Replace each word of a text by its gloss; a text without words stays as it is."""
        return " ".join(english for english, _, _ in self.places(text)) or text

    def places(self, text: str) -> list[tuple[str, int, int]]:
        """Give the gloss of each word of a text, and where the word starts and ends in it."""
        places = word_places(text)
        readings = self.table.readings([word for word, _, _ in places])
        return [(next(iter(reading)), start, end) for reading, (_, start, end) in zip(readings, places, strict=True)]

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
        glosses, affixes, letters, sounds, names, passages = paths
        module.glosses = WordTable.load(glosses, _REMEDY).entries
        module.affixes = Affixes(
            {
                _affix(one, affixes): {_affix(other, affixes): p for other, p in entry.items()}
                for one, entry in WordTable.load(affixes, _REMEDY).entries.items()
            }
        )
        lines = {name: said for name, *said in (line.split("\t") for _, line in read_lines(names))}
        units = [WordTable.load(path, _REMEDY).entries for path in (letters, sounds)]
        try:
            module.spelling = Spelling(units[0], list(lines), units[1], lines)
        except ValueError as error:
            raise InputError(str(error), path=letters, remedy=_REMEDY) from None
        module.cooccurrence = Cooccurrence.load(passages, _REMEDY)
        return module

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Save the module and its glosses."""
        super().save(output_path, *args, **kwargs)
        WordTable(self.glosses).save(Path(output_path) / _GLOSSES)
        changes = {
            _STEM.join(affix): {_STEM.join(other): share for other, share in others.items()}
            for affix, others in self.affixes.changes.items()
        }
        WordTable(changes).save(Path(output_path) / _AFFIXES)
        WordTable(self.spelling.letters.units).save(Path(output_path) / _LETTERS)
        WordTable(self.spelling.sounds.units).save(Path(output_path) / _SOUNDS)
        with write_text(Path(output_path) / _NAMES) as file:
            said = self.spelling.sounds.forms
            file.writelines("\t".join([name, *said.get(name, ())]) + "\n" for name in self.spelling.names)
        self.cooccurrence.save(Path(output_path) / _PASSAGES)


def add_glosses(
    student: SentenceTransformer | MultiVectorEncoder,
    glosses: Mapping[str, Mapping[str, float]],
    affixes: Affixes | None = None,
    spelling: Spelling | None = None,
    cooccurrence: Cooccurrence | None = None,
) -> None:
    """Let a model read through glosses from now on, in place.

    Parameters
    ----------
    student : SentenceTransformer or MultiVectorEncoder
        An English model; its vocabulary and weights stay as they are.
    glosses : mapping of str to mapping of str to float
        English words with their probabilities, the most probable first, by foreign word.
    affixes : Affixes, optional
        For words that have no gloss; without affixes and spelling they stay.
    spelling : Spelling, optional
        For other words too.
    cooccurrence : Cooccurrence, optional
        To choose translations by; without it each word is read as its most probable one.
    """
    module: Any = student[0]
    # The same module, of another class: a new one would have to load its weights.
    module.__class__ = GlossTransformer
    module.glosses = dict(glosses)
    module.affixes = affixes or Affixes({})
    module.spelling = spelling or Spelling({}, [])
    module.cooccurrence = cooccurrence or Cooccurrence()


def _affix(text: str, path: Path) -> Affix:
    before, stem, behind = text.partition(_STEM)
    if not stem:
        raise InputError(f"{text} is not a prefix and an ending with {_STEM} between", path=path, remedy=_REMEDY)
    return before, behind
