"""The start of a student that reads through glosses: what its words mean, and what its names spell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pyserini_optical.data import Pair, Pathish, read_corpus
from pyserini_optical.data.words import split_words
from pyserini_optical.errors import RecipeError
from pyserini_optical.models.affixes import learn_affixes
from pyserini_optical.models.glosses import add_glosses
from pyserini_optical.models.spelling import is_name, learn_spelling
from pyserini_optical.progress import say
from pyserini_optical.translation import count_words

if TYPE_CHECKING:
    from pyserini_optical.distillation.training import Model

# Of a corpus, the words that occur so often; those that occur once are mostly misspelt.
_LEAST = 2
# The most frequent words that a corpus gives.
_MOST = 200_000
# Of a word's translations so many are kept, and, but for the best, those that are so probable: PSQ's by default.
_KEPT, _PROBABLE = 5, 0.05


def start_from_glosses(student: Model, pairs: Sequence[Pair], corpora: Iterable[Pathish]) -> None:
    """Let a student, which is a copy of its teacher so far, read through glosses, in place.

    A word of the bitext is read as its best translation; any other as those that differ from it by an affix, or as the
    English word that it spells, of those in the bitext, in the teacher's vocabulary, and in the corpora.

    Parameters
    ----------
    student : SentenceTransformer or MultiVectorEncoder
        The copy.
    pairs : sequence of Pair
        The bitext.
    corpora : iterable of path-like
        English passages, JSONL.

    Raises
    ------
    InputError, RecipeError
        A corpus cannot be read, or the bitext has no words.
    """
    say("counting a translation table of words; the student reads each as its best translation")
    table = count_words(pairs)
    if not table.entries:
        raise RecipeError("the bitext holds no sentence pairs with words; start: glosses needs some")
    occurrences = Counter(word for pair in pairs for word in split_words(pair.foreign))
    affixes = learn_affixes(table.entries, occurrences)
    glosses = {
        word: {e: p for place, (e, p) in enumerate(entry.items()) if not place or (place < _KEPT and p >= _PROBABLE)}
        for word, entry in affixes.smoothed(table.entries, occurrences).items()
    }
    names = {word for pair in pairs for word in split_words(pair.english)}
    names |= {piece for piece in student.tokenizer.get_vocab() if is_name(piece)}
    counted = Counter(word for path in corpora for passage in read_corpus(path) for word in split_words(passage.text))
    names |= {word for word, count in counted.most_common(_MOST) if count >= _LEAST}
    spelling = learn_spelling({word: table.best(word) for word in table.entries}, sorted(names))
    add_glosses(student, glosses, affixes, spelling)
