"""Ways to read a word that the table of a student with glosses lacks, compared on development topics.

For example::

    python benchmarks/glosses.py encoders/glosses-de indexes/teacher ../shared/data/topics/mlqa-r/de.tsv \\
        ../shared/data/topics/mlqa-r/qrels.txt --report runs/best-student/glosses-de

The student was made by ``distill encoders/glosses.yaml``, the index by ``encode`` with its teacher. Each way turns the
questions into English words, which the teacher reads; the table of the ways is what ``compare`` writes, with
tests against reading word by word. The student itself weighs the words of a question by each other too.
"""

from __future__ import annotations

import argparse
import sys
from bisect import bisect_left
from collections.abc import Callable
from functools import cache
from typing import Any

from pyserini_optical import compare, search
from pyserini_optical.data import read_qrels, read_topics
from pyserini_optical.data.words import split_words, word_places
from pyserini_optical.errors import CheckpointError, OpticalError
from pyserini_optical.evaluate.tables import to_markdown
from pyserini_optical.models import load_encoder
from pyserini_optical.models.glosses import GlossTransformer
from pyserini_optical.models.transformer import load_transformer

# A shorter beginning is no stem; and what a word may lose of its end.
STEM, END = 5, 3


def by_word(read: Callable[[Any, str], str]) -> Callable[[Any, str], str]:
    """Read a text word by word."""
    return lambda student, text: " ".join(read(student, word) for word in split_words(text))


def best(student: Any, word: str) -> str:
    """Read a word as the student does that stands alone."""
    return str(student.table.best(word))


def listed(student: Any, word: str) -> str:
    """Leave an unlisted word as it is."""
    return str(next(iter(student.glosses.get(word, [word]))))


def spelt(student: Any, word: str) -> str:
    """Read an unlisted word as the name that it spells, never by its affixes or as a compound."""
    return str(next(iter(student.glosses.get(word) or student.spelling.candidates(word)), word))


def without_affixes(student: Any, word: str) -> str:
    """Read an unlisted word as a compound or the name that it spells, never by its affixes."""
    compound = {} if word in student.glosses else student._compound(word)
    return str(next(iter(compound))) if compound else spelt(student, word)


@cache
def _sorted(student: Any) -> list[str]:
    return sorted(student.glosses)


def stemmed(student: Any, word: str) -> str:
    """Read an unlisted word as the shortest listed one with the same beginning."""
    if word in student.glosses:
        return listed(student, word)
    known = _sorted(student)
    for length in range(len(word) - 1, max(STEM, len(word) - END) - 1, -1):
        start = bisect_left(known, word[:length])
        alike = [other for other in known[start : start + 30] if other.startswith(word[:length])]
        if alike:
            return listed(student, min(alike, key=len))
    return word


def capitals(student: Any, text: str) -> str:
    """Keep a name of the collection that is written with a capital inside a sentence, whatever the table says."""
    return " ".join(
        word if place and text[start].isupper() and word in student.spelling else student.table.best(word)
        for place, (word, start, _) in enumerate(word_places(text))
    )


WAYS: dict[str, Callable[[Any, str], str]] = {
    "word-by-word": by_word(best),
    "student": lambda student, text: str(student.gloss(text)),
    "listed-words-alone": by_word(listed),
    "no-affixes": by_word(without_affixes),
    "names-alone": by_word(spelt),
    "stems": by_word(stemmed),
    "capitals-kept": capitals,
}


def main(arguments: list[str] | None = None) -> int:
    """Compare the ways and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", help="checkpoint with glosses")
    parser.add_argument("index", help="its teacher's index of the passages")
    parser.add_argument("topics", help="development topics")
    parser.add_argument("qrels", help="their qrels")
    parser.add_argument("--report", help="folder for the report")
    args = parser.parse_args(arguments)
    try:
        teacher = load_encoder(load_encoder(args.student).document_model)
        student = load_transformer(args.student)[0]
        if not isinstance(student, GlossTransformer):
            raise CheckpointError(f"{args.student}: has no glosses; distil it from encoders/glosses.yaml")
        qrels = read_qrels(args.qrels)
        topics = {topic: text for topic, text in read_topics(args.topics).items() if topic in qrels}
        runs = {
            name: search(teacher, args.index, {topic: way(student, text) or text for topic, text in topics.items()})
            for name, way in WAYS.items()
        }
        judged = {topic: qrels[topic] for topic in topics}
        print(to_markdown(compare(judged, runs, baseline="word-by-word", report=args.report)))
    except OpticalError as error:
        print(f"glosses: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
