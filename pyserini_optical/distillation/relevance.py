"""The second stage of a recipe, relevance distillation: the student learns its teacher's scores of passages.

References
----------
.. [1] Li, Franz, Sultan, Iyer, Lee, Sil. Learning Cross-Lingual IR from an English Retriever. NAACL 2022.
   arXiv:2112.08185.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pyserini_optical.data import (
    Pair,
    filter_bitext,
    fingerprint_texts,
    read_corpus,
    read_topics,
)
from pyserini_optical.data.relevance import Question, read_judged
from pyserini_optical.distillation.negatives import bm25_hits, check_passages, corpus_key
from pyserini_optical.distillation.recipe import RelevanceRecipe
from pyserini_optical.errors import InputError
from pyserini_optical.processes import first
from pyserini_optical.progress import say

if TYPE_CHECKING:
    from pyserini_optical.distillation.training import Model


class Lesson(NamedTuple):
    """What is learnt from.

    Attributes
    ----------
    foreign : list of str
        The questions.
    english : list of Question
        Their translations, with the relevant passage.
    passages : dict of str to str
        All passages' texts by id.
    """

    foreign: list[str]
    english: list[Question]
    passages: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """Fingerprint of all of it."""
        asked = zip(self.foreign, self.english, strict=True)
        texts = [
            part for foreign, english in asked for part in (foreign, english.text, english.passage, *english.others)
        ]
        return fingerprint_texts([*texts, corpus_key(self.passages)])


def read_lesson(setting: RelevanceRecipe, exclude: Sequence[str]) -> Lesson:
    """Read questions, translations, labels and passages; evaluation text, repetitions and the like stay out.

    Raises
    ------
    InputError, RecipeError
        A file cannot be read, or a question has no translation, no relevant passage, or one that the corpus lacks.
    """
    found: list[tuple[str, Question]] = []
    for topics, translations, qrels in zip(setting.topics, setting.translations, setting.qrels, strict=True):
        english = read_topics(translations)
        for topic, question in read_judged(topics, qrels).items():
            if topic not in english:
                raise InputError(f"has no translation of topic {topic}", path=translations, remedy="add it")
            found.append((question.text, question._replace(text=english[topic])))
    # Told apart by their number, kept where a pair would have its source.
    pairs = [Pair(text, question.text, str(number)) for number, (text, question) in enumerate(found)]
    kept, report = filter_bitext(pairs, exclude=exclude)
    say(f"questions: {report}")
    if not kept:
        raise InputError("no question is left after filtering", path=setting.topics[0], remedy="give more questions")
    questions = [found[int(pair.source)][1] for pair in kept]
    passages = {passage.id: passage.text for passage in read_corpus(setting.corpus)}
    check_passages(questions, passages, setting.corpus)
    return Lesson([pair.foreign for pair in kept], questions, passages)


def distil_relevance(
    student: Model, teacher: Model, lesson: Lesson, setting: RelevanceRecipe, *, seed: int, work: Path
) -> list[dict[str, Any]]:
    r"""Train a student in place to score passages for a foreign question as its teacher does for the English one [1]_.

    The loss is :class:`~pyserini_optical.objectives.RelevanceLoss`. A second call with the same ``work`` goes on where
    the first was cut off.

    Parameters
    ----------
    student, teacher : SentenceTransformer or MultiVectorEncoder
        The teacher is not changed; it reads the English questions and the passages.
    lesson : Lesson
        Questions and passages.
    setting : RelevanceRecipe
        How.
    seed : int
        Of the order of the questions and of dropout.
    work : Path
        Folder for checkpoints and the index.

    Returns
    -------
    list of dict
        The trainer's log.
    """
    from datasets import Dataset

    from pyserini_optical.distillation.sampler import by_length
    from pyserini_optical.distillation.training import train
    from pyserini_optical.models.teacher import TextVectors
    from pyserini_optical.objectives import RelevanceLoss

    with first():
        wanted = candidates(lesson, setting, work)
    ids = {passage: row for row, passage in enumerate(dict.fromkeys(each for row in wanted for each in row))}
    say(f"the teacher reads {len(lesson.english)} questions and {len(ids)} passages")
    loss = RelevanceLoss(
        student,
        TextVectors(teacher, [question.text for question in lesson.english], "query"),
        TextVectors(teacher, [lesson.passages[passage] for passage in ids], "document"),
        [[ids[passage] for passage in row] for row in wanted],
        setting.make_objectives(),
    )
    return train(
        student,
        loss,
        Dataset.from_dict({"foreign": lesson.foreign, "label": list(range(len(lesson.foreign)))}),
        setting.training,
        seed=seed,
        work=work / "trainer",
        sampler=by_length([len(question) for question in lesson.foreign]),
        title="relevance",
    )


def candidates(lesson: Lesson, setting: RelevanceRecipe, work: Path) -> list[list[str]]:
    """Give for each question its relevant passage and then those that BM25 finds with its translation."""
    if not setting.candidates:
        return [[question.passage] for question in lesson.english]
    depth = setting.candidates + 1 + max((len(question.others) for question in lesson.english), default=0)
    found = bm25_hits(lesson.english, setting.corpus, depth, work)
    return [
        [
            question.passage,
            *[hit for hit in hits if hit not in (question.passage, *question.others)][: setting.candidates],
        ]
        for question, hits in zip(lesson.english, found, strict=True)
    ]


def without_paths(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Give a relevance recipe as plain data without its files, which a manifest knows by their content."""
    return {key: value for key, value in parameters.items() if key not in ("topics", "translations", "qrels", "corpus")}
