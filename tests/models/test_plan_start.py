"""The start from plans: in a language that is English word by word, each word finds its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from pyserini_optical.data import Pair
from pyserini_optical.models.plan_start import start_from_plans
from pyserini_optical.models.student import extend_student
from pyserini_optical.models.teacher import TeacherVectors
from pyserini_optical.models.transformer import load_transformer


@pytest.fixture
def student(tiny: Path, toy_pairs: list[Pair]) -> SentenceTransformer:
    model = load_transformer(str(tiny), "cpu")
    extend_student(model, toy_pairs, vocabulary=150, start="table", rounds=1)
    return model


@pytest.fixture(scope="module")
def teacher(tiny: Path, toy_pairs: list[Pair]) -> TeacherVectors:
    return TeacherVectors(load_transformer(str(tiny), "cpu"), [pair.english for pair in toy_pairs])


def rows(model: SentenceTransformer) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    weights = model[0].auto_model.get_input_embeddings().weight
    return np.array(weights.detach().numpy())


def cosine(student: SentenceTransformer, teacher: TeacherVectors, foreign: str, english: str) -> float:
    ours = rows(student)[student.tokenizer.convert_tokens_to_ids(foreign)]
    theirs = rows(teacher.teacher)[teacher.teacher.tokenizer.convert_tokens_to_ids(english)]
    return float(ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs))


WORDS = [("mkulima", "farmer"), ("mto", "river"), ("ekundu", "red"), ("anajenga", "builds"), ("barabara", "road")]


def test_words_come_closer_to_their_translations(
    student: SentenceTransformer, teacher: TeacherVectors, toy_pairs: list[Pair]
) -> None:
    before = [cosine(student, teacher, *pair) for pair in WORDS]
    done: list[int] = []
    start_from_plans(student, teacher, [pair.foreign for pair in toy_pairs], advance=done.append)
    after = [cosine(student, teacher, *pair) for pair in WORDS]
    assert max(before) < 0.995
    assert min(after) > 0.999
    assert sum(done) == len(toy_pairs)


def test_it_is_the_same_again_and_touches_nothing_else(
    student: SentenceTransformer, teacher: TeacherVectors, toy_pairs: list[Pair], tiny: Path
) -> None:
    before = rows(student)
    start_from_plans(student, teacher, [pair.foreign for pair in toy_pairs])
    once = rows(student)
    other = load_transformer(str(tiny), "cpu")
    extend_student(other, toy_pairs, vocabulary=150, start="table", rounds=1)
    start_from_plans(other, teacher, [pair.foreign for pair in toy_pairs])
    assert np.array_equal(once, rows(other))
    unseen = student.tokenizer.convert_tokens_to_ids("farmer")  # English: no foreign sentence holds it
    assert np.array_equal(once[unseen], before[unseen])
    weights = dict(load_transformer(str(tiny), "cpu").named_parameters())
    for name, weight in student.named_parameters():
        if "word_embeddings" not in name:
            assert bool((weight == weights[name]).all()), name


def test_adding_up_in_parts_changes_nothing(
    student: SentenceTransformer,
    teacher: TeacherVectors,
    toy_pairs: list[Pair],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = student[0].auto_model.get_input_embeddings().weight.detach().clone()
    foreign = [pair.foreign for pair in toy_pairs]
    start_from_plans(student, teacher, foreign)
    whole = rows(student)
    student[0].auto_model.get_input_embeddings().weight.data.copy_(before)
    monkeypatch.setattr("pyserini_optical.models.plan_start._ENTRIES", 10)
    start_from_plans(student, teacher, foreign)
    np.testing.assert_allclose(rows(student), whole, atol=1e-6)
    assert np.abs(whole - before.numpy()).max() > 0.1


def test_a_prompt_translates_nothing(student: SentenceTransformer, tiny: Path, toy_pairs: list[Pair]) -> None:
    english = load_transformer(str(tiny), "cpu")
    english.prompts = student.prompts = {"query": "a boat ", "document": ""}
    words = ("a", "boat")
    pairs = [pair for pair in toy_pairs if not {"a", "boat"} & set(f"{pair.english} {pair.foreign}".split())]
    assert len(pairs) > 20
    numbers = student.tokenizer.convert_tokens_to_ids(list(words))
    before = rows(student)
    start_from_plans(
        student, TeacherVectors(english, [pair.english for pair in pairs]), [pair.foreign for pair in pairs]
    )
    assert np.array_equal(rows(student)[numbers], before[numbers])
    assert not np.array_equal(rows(student), before)
