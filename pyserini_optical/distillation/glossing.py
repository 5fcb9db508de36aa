"""The start of a student that reads through glosses: what its words mean, and what its names spell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING

from pyserini_optical.data import Pair, Pathish, read_corpus
from pyserini_optical.data.words import split_words
from pyserini_optical.errors import RecipeError
from pyserini_optical.models.affixes import learn_affixes
from pyserini_optical.models.cooccurrence import Cooccurrence
from pyserini_optical.models.glosses import add_glosses
from pyserini_optical.models.sounds import read_pronunciations
from pyserini_optical.models.spelling import is_name, learn_spelling, mixed
from pyserini_optical.progress import say
from pyserini_optical.translation import count_words

if TYPE_CHECKING:
    from pyserini_optical.distillation.training import Model

# The most frequent words that a corpus gives; passages, evenly drawn, in which words stand together.
_MOST, _PASSAGES = 200_000, 100_000
# What a word that occurs no more often than this may mean is looked for by its letters too, in its sentences.
_RARE = 6
# Of a word's translations so many are kept, and, but for the best, those that are so probable: PSQ's by default.
_KEPT, _PROBABLE = 5, 0.05


def start_from_glosses(
    student: Model, pairs: Sequence[Pair], corpora: Sequence[Pathish], sounds: Pathish | None = None
) -> None:
    """Let a student, which is a copy of its teacher so far, read through glosses, in place.

    A word of the bitext is read as one of its translations; which one, depends on the others of the text, by the
    passages of the corpora. Any other is read as the English word that it spells, of those in the bitext, in the
    teacher's vocabulary, and in the corpora, or as those that differ from it by an affix. Of a rare word the table
    knows little: the English words of its sentences, too, are what it may spell.

    Parameters
    ----------
    student : SentenceTransformer or MultiVectorEncoder
        The copy.
    pairs : sequence of Pair
        The bitext.
    corpora : sequence of path-like
        English passages, JSONL.
    sounds : path-like, optional
        A pronouncing dictionary; see :func:`~pyserini_optical.models.sounds.read_pronunciations`.

    Raises
    ------
    InputError, RecipeError
        A file cannot be read, or the bitext has no words.
    """
    say("counting a translation table of words; the student reads each as one of its translations")
    table = count_words(pairs)
    if not table.entries:
        raise RecipeError("the bitext holds no sentence pairs with words; start: glosses needs some")
    occurrences = Counter(word for pair in pairs for word in split_words(pair.foreign))
    affixes = learn_affixes(table.entries, occurrences)
    glosses = affixes.smoothed(table.entries, occurrences)
    names = {word for pair in pairs for word in split_words(pair.english)}
    names |= {piece for piece in student.tokenizer.get_vocab() if is_name(piece)}
    counted, count = Counter[str](), 0
    for text in _texts(corpora):
        counted.update(split_words(text))
        count += 1
    names |= {word for word, _ in counted.most_common(_MOST)}
    pronunciations = read_pronunciations(sounds) if sounds is not None else None
    spelling = learn_spelling({word: table.best(word) for word in table.entries}, sorted(names), pronunciations)
    for word, english in _beside(pairs, {word for word in glosses if occurrences[word] <= _RARE}).items():
        glosses[word] = mixed(spelling.candidates(word, english), glosses[word])
    # Evenly drawn; all of them if there are no more.
    drawn = (text for n, text in enumerate(_texts(corpora)) if (n + 1) * _PASSAGES // count > n * _PASSAGES // count)
    cooccurrence = Cooccurrence.count_texts(drawn)
    add_glosses(student, {word: _probable(entry) for word, entry in glosses.items()}, affixes, spelling, cooccurrence)


def _texts(corpora: Sequence[Pathish]) -> Iterator[str]:
    """Give the passages with their titles."""
    return (f"{passage.title} {passage.text}" for path in corpora for passage in read_corpus(path))


def _probable(entry: Mapping[str, float]) -> dict[str, float]:
    """Give the translations of a word that are kept."""
    return {e: p for place, (e, p) in enumerate(entry.items()) if not place or (place < _KEPT and p >= _PROBABLE)}


def _beside(pairs: Sequence[Pair], words: Set[str]) -> dict[str, set[str]]:
    """Give the words of the English sentences of each of these words."""
    found: dict[str, set[str]] = {}
    for pair in pairs:
        rare = words & set(split_words(pair.foreign))
        for word in rare:
            found.setdefault(word, set()).update(split_words(pair.english))
    return found
