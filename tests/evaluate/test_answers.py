from __future__ import annotations

from pathlib import Path

import pytest

from pyserini_optical import InputError
from pyserini_optical.evaluate import evaluate
from pyserini_optical.evaluate.answers import Answers, read_answers

TEXTS = {
    "a": "Nairobi is the capital of Kenya.",
    "b": "It  has\n" + "one " * 1_989 + "Mombasa,",
    "c": "The year 1895; fourteen people, 50% of them.",
}


@pytest.mark.parametrize(
    ("answer", "ranked", "budget", "found"),
    [
        ("kenya", ["a"], 2_000, 1),
        ("capital  of Kenya", ["a"], 2_000, 1),
        ("Mombasa", ["b"], 2_000, 1),
        ("Mombasa", ["a", "b"], 2_000, 1),
        ("Mombasa", ["c", "b"], 2_000, 1),  # its last word is the 2,000th
        ("Mombasa", ["c", "b"], 1_999, 0),
        ("Mombasa", ["b", "c"], 1_991, 0),
        ("Nairobi", ["b", "c"], 5_000, 0),
        ("four", ["c"], 10, 0),  # a part of a word is none
        ("895", ["c"], 10, 0),
        ("1895", ["c"], 10, 1),
        ("50%", ["c"], 10, 1),
        ("fourteen people", ["c"], 4, 0),
        ("has one", ["b"], 3, 1),
        ("Kenya", [], 10, 0),
    ],
)
def test_an_answer_counts_within_the_budget(answer: str, ranked: list[str], budget: int, found: float) -> None:
    answers = Answers({"1": ("nothing of the kind", answer)}, TEXTS)
    assert answers.recall("1", ranked, budget) == found


def test_a_later_place_counts_where_the_first_is_inside_a_word() -> None:
    answers = Answers({"1": ("four",)}, {"a": "fourteen and four"})
    assert answers.recall("1", ["a"], 10) == 1


def test_vowel_signs_belong_to_the_word() -> None:
    answers = Answers({"1": ("दिल्ल",), "2": ("दिल्ली",)}, {"a": "राजधानी दिल्ली है"})
    assert [answers.recall(topic, ["a"], 10) for topic in ("1", "2")] == [0, 1]


def test_the_measure_reads_them_in_ranked_order() -> None:
    run = {"1": {"b": 1.0, "a": 2.0}, "2": {"a": 1.0, "b": 2.0}}
    answers = Answers(dict.fromkeys("123", ("Kenya",)), TEXTS)
    scores = evaluate({topic: {"a": 1} for topic in "123"}, run, ["R@1kt", "R@2kt"], answers=answers)
    assert scores.values["R@1kt"].tolist() == [1, 0, 0]
    assert scores.values["R@2kt"].tolist() == [1, 1, 0]


def test_what_is_not_known_is_said() -> None:
    answers = Answers({"1": ("Kenya",)}, TEXTS)
    with pytest.raises(InputError, match="topic '2' has no answers; give answers for every topic"):
        answers.recall("2", ["a"], 10)
    with pytest.raises(InputError, match="passage 'z' has no text"):
        answers.recall("1", ["z"], 10)
    with pytest.raises(InputError, match="R@2kt needs answers and passages"):
        evaluate({"1": {"a": 1}}, {"1": {"a": 1.0}}, ["R@2kt"])


def test_answers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "answers.tsv"
    path.write_text("01\tNairobi\n1\tUhuru Kenyatta\t Kenyatta \n", encoding="utf-8")
    assert read_answers(path) == {"01": ("Nairobi",), "1": ("Uhuru Kenyatta", "Kenyatta")}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1\n", ":1: no answer; write id⇥answer"),
        ("1\ta\n1\tb\n", ":2: topic id '1' stands twice"),
        ("1\ta\t\n", ":1: empty answer"),
        ("1 2\ta\n", ":1: topic id '1 2' holds white space"),
        ("", "holds no answers"),
    ],
)
def test_unusable_answers_are_refused(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "answers.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_answers(path)
    assert problem in str(caught.value)
