"""QuiCK, the last stage of a recipe: a query generator's scores of passages teach the student to read questions [1]_.

References
----------
.. [1] Ren, Shou, Wu, Gong, Jiang. Empowering Dual-Encoder with Query Generator for Cross-Lingual Dense Retrieval.
   EMNLP 2022. arXiv:2303.14991.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import (
    Manifest,
    Passage,
    fingerprint,
    fingerprint_texts,
)
from pyserini_optical.data.parts import in_parts
from pyserini_optical.data.words import plain_words
from pyserini_optical.distillation.negatives import corpus_key
from pyserini_optical.distillation.quick_candidates import Candidates
from pyserini_optical.distillation.quick_lesson import QuickLesson, allowed
from pyserini_optical.distillation.quick_recipe import QuickRecipe
from pyserini_optical.errors import InputError
from pyserini_optical.generation.filters import Generated
from pyserini_optical.generation.script import in_script
from pyserini_optical.processes import first
from pyserini_optical.progress import say
from pyserini_optical.retrieve.names import index_name

if TYPE_CHECKING:
    from pyserini_optical.distillation.training import Model
    from pyserini_optical.models.query_generator import QueryGenerator

# Pairs that are scored between two writings to disk.
_PART = 512


def distil_quick(
    student: Model,
    teacher: Model,
    lesson: QuickLesson,
    setting: QuickRecipe,
    *,
    documents: str,
    seed: int,
    work: Path,
    kept: Path | None = None,
) -> list[dict[str, Any]]:
    r"""Train a student in place by what a query generator says of passages [1]_.

    The loss is :class:`~pyserini_optical.objectives.GeneratorLoss`. Each round first finds candidates, by the student
    as it is, and has the generator score them. Questions, candidates and scores are kept below ``work``, so a second
    call goes on where the first was cut off.

    Parameters
    ----------
    student, teacher : SentenceTransformer or MultiVectorEncoder
        The teacher is not changed; it reads the passages.
    lesson : QuickLesson
        Questions and passages.
    setting : QuickRecipe
        How.
    documents : str
        Name of the teacher, whose index the student searches.
    seed : int
        Of everything random.
    work : Path
        Folder for what is kept.
    kept : Path, optional
        Folder where the teacher's index of the corpus is looked for, and stays for other students; by default it goes
        with ``work``.

    Returns
    -------
    list of dict
        The trainer's log.
    """
    import torch
    from datasets import Dataset

    from pyserini_optical.distillation.sampler import by_length
    from pyserini_optical.distillation.training import train
    from pyserini_optical.models.query_generator import QueryGenerator
    from pyserini_optical.models.teacher import TextVectors
    from pyserini_optical.models.transformer import weights_fingerprint
    from pyserini_optical.objectives import GeneratorLoss, QuestionAlignment

    with first():
        generator = QueryGenerator(setting.generator) if setting.generator is not None else None
        questions = lesson.questions
        if questions is None:
            assert generator is not None
            questions = _generate(generator, lesson, setting, seed, work / "questions")
        texts = [question.text for question in questions]
        columns: dict[str, list[Any]] = {"question": texts}
        alignment = None
        if setting.alignment is not None and generator is not None:
            how = setting.alignment
            columns["generated"] = _others(generator, questions, lesson, how.languages, seed, work / "others")
            alignment = how.weight, QuestionAlignment(how.temperature, how.symmetric)
        columns["label"] = list(range(len(texts)))
        index = work / "index"
        if kept is not None:
            tokens = teacher.model_type == "MultiVectorEncoder"
            index = kept / index_name(fingerprint(setting.corpus), weights_fingerprint(documents), tokens=tokens)
        find = Candidates(
            questions, lesson.runs, lesson.passages, setting, documents=documents, seed=seed, index=index, work=work
        )
        scorer = _scorer(setting, generator) if setting.needs_teacher else None
    known: dict[tuple[int, str], float] = {}
    log: list[dict[str, Any]] = []
    for number in range(1, setting.rounds + 1):
        folder = work / f"round-{number}"
        with first():
            wanted = find(student, folder)
            scores = [[0.0] * len(row) for row in wanted]
            if scorer is not None:
                scores = _score(scorer, questions, lesson, wanted, known, folder / "scores")
        ids = {passage: row for row, passage in enumerate(dict.fromkeys(each for row in wanted for each in row))}
        say(f"round {number}: the teacher reads {len(ids):,} passages")
        loss = GeneratorLoss(
            student,
            TextVectors(teacher, [lesson.passages[passage] for passage in ids], "document"),
            [[ids[passage] for passage in row] for row in wanted],
            torch.tensor(scores),
            setting.make_objectives(),
            alignment,
        )
        log += train(
            student,
            loss,
            Dataset.from_dict(columns),
            setting.training,
            seed=seed + number,
            work=folder / "trainer",
            sampler=by_length([len(text) for text in texts]),
            title=f"QuiCK, round {number}",
            queries=["generated"],
        )
    return log


def _generate(
    generator: QueryGenerator, lesson: QuickLesson, setting: QuickRecipe, seed: int, work: Path
) -> list[Generated]:
    """Write questions about passages of the collection, those that the filters keep."""
    from pyserini_optical.generation.topics import draw_passages, generate_questions

    drawn = draw_passages(setting.corpus, setting.questions.passages, seed)
    made, _ = generate_questions(generator, drawn, setting.questions, language=setting.language, seed=seed, work=work)
    questions = allowed(made, lesson.exclude)
    if not questions:
        remedy = f"train the generator more, or check that it knows the language {setting.language}"
        raise InputError("no generated question is left after filtering", path=generator.name, remedy=remedy)
    return questions


def _others(
    generator: QueryGenerator,
    questions: Sequence[Generated],
    lesson: QuickLesson,
    languages: Sequence[str],
    seed: int,
    work: Path,
) -> list[str]:
    """Write another question on each one's passage; where it is no use, the first again."""
    from pyserini_optical.generation.settings import Generation
    from pyserini_optical.generation.topics import write_questions

    drawn = np.random.default_rng(seed).integers(len(languages), size=len(questions))
    others = [question.text for question in questions]
    used = 0
    for number, language in enumerate(languages):
        rows = np.flatnonzero(drawn == number).tolist()
        passages = [Passage(questions[row].passage, "", lesson.passages[questions[row].passage]) for row in rows]
        written = write_questions(generator, passages, Generation(), language=language, seed=seed, work=work / language)
        for row, (text,) in zip(rows, written, strict=True):
            if in_script(text, language) and plain_words(text) not in lesson.exclude:
                others[row] = text
                used += 1
    say(f"alignment: {used:,} of {len(questions):,} questions have another one in {', '.join(languages)}")
    return others


class _Scorer(NamedTuple):
    fingerprint: str
    scores: Callable[[Sequence[str], Sequence[str]], NDArray[np.float32]]


def _scorer(setting: QuickRecipe, generator: QueryGenerator | None) -> _Scorer:
    """Give what scores questions with passages."""
    if setting.cross_encoder is not None:
        from pyserini_optical.models import load_cross_encoder

        reader = load_cross_encoder(setting.cross_encoder)
        return _Scorer(reader.fingerprint, reader.scores)
    assert generator is not None
    return _Scorer(
        f"{generator.fingerprint}:{setting.language}",
        lambda questions, passages: generator.score(questions, passages, [setting.language] * len(questions)),
    )


def _score(
    scorer: _Scorer,
    questions: Sequence[Generated],
    lesson: QuickLesson,
    wanted: Sequence[Sequence[str]],
    known: dict[tuple[int, str], float],
    work: Path,
) -> list[list[float]]:
    """Give the teacher's scores of all candidates; those that are not known yet are made and added."""
    pairs = [
        (row, passage) for row, passages in enumerate(wanted) for passage in passages if (row, passage) not in known
    ]
    # Long passages together, over all parts.
    pairs.sort(key=lambda pair: (len(lesson.passages[pair[1]]), pair))
    asked = [part for row, passage in pairs for part in (questions[row].text, passage)]
    manifest = Manifest(
        "scores",
        inputs={
            "teacher": scorer.fingerprint,
            "pairs": fingerprint_texts(asked),
            "passages": corpus_key(lesson.passages),
        },
    )

    def score(part: int, some: Sequence[tuple[int, str]]) -> list[float]:
        texts = [questions[row].text for row, _ in some]
        passages = [lesson.passages[passage] for _, passage in some]
        return [float(value) for value in scorer.scores(texts, passages)]

    found = in_parts(work, manifest, pairs, score, size=_PART, title="the teacher scores, pairs")
    known.update(zip(pairs, found, strict=True))
    return [[known[row, passage] for passage in passages] for row, passages in enumerate(wanted)]
