"""How well QuiCK's teachers know the relevant passage: it and seven that BM25 finds, put in order for questions.

For example::

    python benchmarks/quick_teachers.py --data ../shared/data --language ha --output runs/quick/teachers-ha.json \\
        encoders/query-generator-ha-600 encoders/cross-encoder-ha-600 encoders/quick-student-ha

A generator scores by the question's mean log-likelihood per token, a cross-encoder by its logit, an encoder by the
inner product. Questions are AfriQA's development questions in Hausa, MLQA-R's in Spanish; BM25 searches with their
translations by people, and questions for which it finds fewer are left out. By chance a passage of eight would be first
with a probability of .125, for a mean reciprocal rank of .340.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import finish, guarded
from numpy.typing import NDArray

from pyserini_optical.data import read_corpus, read_topics
from pyserini_optical.data.relevance import Question, read_judged
from pyserini_optical.distillation.negatives import bm25_hits, check_passages
from pyserini_optical.errors import InputError
from pyserini_optical.models import load_cross_encoder, load_encoder
from pyserini_optical.models.cross_encoder import is_cross_encoder
from pyserini_optical.models.query_generator import QueryGenerator, is_seq2seq

CANDIDATES = 8
# Questions, their translations by people, and qrels.
DEVELOPMENT = {
    "ha": ("afriqa/ha.dev", "afriqa/ha.dev.human-translated-en", "afriqa/ha.dev.qrels"),
    "es": ("mlqa-r/es", "mlqa-r/en", "mlqa-r/qrels"),
}

Scorer = Callable[[Sequence[str], Sequence[str]], NDArray[np.float32]]


def measure(models: Sequence[str], language: str, data: Path) -> dict[str, Any]:
    """Score each model."""
    asked, translated, qrels = (data / "topics" / name for name in DEVELOPMENT[language])
    corpus = data / "corpus" / "wikipedia-en.jsonl.xz"
    judged = read_judged(f"{asked}.tsv", f"{qrels}.txt")
    english = read_topics(f"{translated}.tsv")
    passages = {passage.id: passage.text for passage in read_corpus(corpus)}
    missing = next((topic for topic in judged if topic not in english), None)
    if missing is not None:
        raise InputError(f"topic {missing} is missing", path=f"{translated}.tsv", remedy="give the translation of all")
    check_passages(list(judged.values()), passages, str(corpus))
    with tempfile.TemporaryDirectory() as work:
        searched = [Question(english[topic], question.passage, ()) for topic, question in judged.items()]
        found = list(bm25_hits(searched, str(corpus), 2 * CANDIDATES, Path(work)))
    questions, candidates = [], []
    for question, hits in zip(judged.values(), found, strict=True):
        others = [hit for hit in hits if hit != question.passage and hit not in question.others][: CANDIDATES - 1]
        if len(others) == CANDIDATES - 1:
            questions += [question.text] * CANDIDATES
            candidates += [question.passage, *others]
    if not questions:
        raise InputError(f"BM25 finds too few passages for each question, it takes {CANDIDATES}", path=corpus)
    rows = []
    for name in models:
        scores = _scorer(name, language)(questions, [passages[one] for one in candidates]).reshape(-1, CANDIDATES)
        ranks = (scores >= scores[:, :1]).sum(axis=1)
        rows.append(
            {
                "model": Path(name).name,
                "questions": len(ranks),
                "first": float(np.mean(ranks == 1)),
                "mrr": float(np.mean(1 / ranks)),
            }
        )
    return {"language": language, "candidates": CANDIDATES, "rows": rows}


def _scorer(name: str, language: str) -> Scorer:
    if is_seq2seq(name):
        generator = QueryGenerator(name, "cpu")
        return lambda questions, passages: generator.score(questions, passages, [language] * len(questions))
    if is_cross_encoder(name):
        return load_cross_encoder(name, "cpu").scores
    encoder = load_encoder(name, "cpu")

    def products(questions: Sequence[str], passages: Sequence[str]) -> NDArray[np.float32]:
        asked, known = list(dict.fromkeys(questions)), list(dict.fromkeys(passages))
        one = dict(zip(asked, encoder.encode_queries(asked), strict=True))
        other = dict(zip(known, encoder.encode_passages(known), strict=True))
        return np.array([one[q] @ other[p] for q, p in zip(questions, passages, strict=True)], dtype=np.float32)

    return products


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write the numbers if asked to."""
    parser = argparse.ArgumentParser(description="How well QuiCK's teachers know the relevant passage.")
    parser.add_argument("models", metavar="MODEL", nargs="+", help="generators, cross-encoders, encoders")
    parser.add_argument("--language", required=True, choices=sorted(DEVELOPMENT))
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="holds corpus/ and topics/")
    parser.add_argument("--output", metavar="FILE", type=Path, help="for the numbers, as JSON")
    given = parser.parse_args(arguments)
    return guarded(lambda: finish(measure(given.models, given.language, given.data), given.output))


if __name__ == "__main__":
    sys.exit(main())
