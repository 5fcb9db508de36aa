from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pyserini_optical.data.relevance import Question, read_relevance, write_relevance
from pyserini_optical.distillation import FineTuningRecipe, fine_tune
from pyserini_optical.distillation.negatives import mine_negatives
from pyserini_optical.distillation.recipe import TrainingRecipe
from pyserini_optical.errors import InputError, OpticalError, RecipeError
from pyserini_optical.models.late_interaction import project
from pyserini_optical.models.transformer import load_transformer, save_transformer

PASSAGES = {
    "01": "The old farmer sees the river and the market.",
    "02": "The old farmer sees the river and the house.",
    "03": "A small boat leaves the house today.",
    "04": "A teacher builds a road, never a boat.",
    "05": "The child often finds a red boat in the river.",
}
QUESTIONS = [
    Question("Who sees the market?", "01", ("The old farmer",)),
    Question("Which boat leaves?", "03", ("A small boat",)),
    Question("Who finds the boat in the river?", "05", ()),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("files")
    questions, corpus = folder / "questions.tsv", folder / "corpus.jsonl"
    questions.write_text("".join("\t".join([q.text, q.passage, *q.answers]) + "\n" for q in QUESTIONS))
    corpus.write_text("".join(f'{{"id": "{name}", "text": "{text}"}}\n' for name, text in PASSAGES.items()))
    return questions, corpus


def make(tiny: Path, files: tuple[Path, Path], **changes: object) -> FineTuningRecipe:
    training = TrainingRecipe(epochs=2, batch_size=2, learning_rate=1e-3, checkpoint_steps=2)
    questions, corpus = files
    recipe = FineTuningRecipe("toy", str(tiny), [str(questions)], str(corpus), negatives=3, training=training)
    return replace(recipe, **changes)  # type: ignore[arg-type]


def test_questions_are_read(files: tuple[Path, Path]) -> None:
    assert read_relevance(files[0]) == QUESTIONS


def test_a_question_with_several_passages_has_none_of_them_for_a_negative(tmp_path: Path) -> None:
    (tmp_path / "both.tsv").write_text("Who?\tp1\nWhen?\tp3\nWho?\tp2\nWho?\tp1\n")
    found = read_relevance(tmp_path / "both.tsv")
    assert [question.others for question in found] == [("p2",), (), ("p1",), ("p2",)]


def test_late_interaction_has_to_be_asked_for(tiny: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
    save_transformer(project(load_transformer(str(tiny), "cpu"), 16), tmp_path / "late")
    with pytest.raises(RecipeError, match="was made for late interaction; set late_interaction to true"):
        fine_tune(make(tmp_path / "late", files), tmp_path / "toy")


@pytest.mark.parametrize(
    ("text", "problem"),
    [("alone\n", "found 1"), ("\t01\n", "question"), ("q\t0 1\n", "passage id"), ("q\t01\t \n", "answer"), ("", "no")],
)
def test_bad_questions_say_where(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "bad.tsv").write_text(text)
    with pytest.raises(InputError, match=problem) as caught:
        read_relevance(tmp_path / "bad.tsv")
    assert "bad.tsv" in str(caught.value)


def test_negatives_are_found_by_bm25_and_do_not_answer(files: tuple[Path, Path], tmp_path: Path) -> None:
    for seed in range(4):
        drawn = mine_negatives(QUESTIONS, files[1], PASSAGES, depth=5, seed=seed, work=tmp_path)
        assert all(len(row) == 1 for row in drawn)
        # 02 answers the first as well; 05 is the third's own.
        assert drawn[0][0] in {"03", "04", "05"}
        assert drawn[1][0] in {"04", "05"}
        assert drawn[2][0] != "05"
        assert drawn == mine_negatives(QUESTIONS, files[1], PASSAGES, depth=5, seed=seed, work=tmp_path)


def test_a_questions_own_negatives_are_drawn_and_others_are_searched(files: tuple[Path, Path], tmp_path: Path) -> None:
    own = [QUESTIONS[0]._replace(negatives=("02", "04", "05")), QUESTIONS[1]]
    drawn = mine_negatives(own, files[1], PASSAGES, depth=5, seed=0, work=tmp_path, count=2)
    assert set(drawn[0]) == {"04", "05"}  # 02 holds the answer
    assert set(drawn[1]) == {"04", "05"}
    assert mine_negatives(own, files[1], PASSAGES, depth=5, seed=1, work=tmp_path, count=3)[0][2] in {"03", "04", "05"}


def test_questions_as_jsonl_bring_answers_and_negatives(tmp_path: Path) -> None:
    questions = [QUESTIONS[0]._replace(negatives=("04",)), QUESTIONS[2]]
    write_relevance(tmp_path / "q.jsonl.xz", questions)
    assert read_relevance(tmp_path / "q.jsonl.xz") == questions
    for line, problem in (
        ('{"question": "Who?"}', "q.jsonl:1: no `passage`"),
        ('{"question": "Who?", "passage": "1", "negatives": "2"}', "`negatives` is str, expected a list"),
        ('{"question": "Who?", "passage": "1", "answers": [2]}', "`answers` is int, expected a string"),
        ('{"question": " ", "passage": "1"}', "empty question"),
    ):
        (tmp_path / "q.jsonl").write_text(line + "\n")
        with pytest.raises(InputError, match=problem):
            read_relevance(tmp_path / "q.jsonl")


def test_a_question_without_any_negative_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    everywhere = [Question("boat?", "01", ("a",))]
    with pytest.raises(RecipeError, match="boat"):
        mine_negatives(everywhere, files[1], PASSAGES, depth=5, seed=0, work=tmp_path)


def test_a_pooled_retriever_is_made_once(tiny: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
    folder = fine_tune(make(tiny, files), tmp_path / "toy")
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert load_transformer(str(folder), "cpu").get_embedding_dimension() == 32
    assert fine_tune(make(tiny, files), tmp_path / "toy") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    again = fine_tune(make(tiny, files), tmp_path / "again")
    assert (again / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    untrained = fine_tune(make(tiny, files, training=TrainingRecipe(epochs=0)), tmp_path / "untrained")
    assert (untrained / "model.safetensors").read_bytes() == (tiny / "model.safetensors").read_bytes()
    other = fine_tune(make(tiny, files, negatives=0), tmp_path / "other")
    assert (other / "model.safetensors").read_bytes() != (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"projection": 8},
        {"projection": 0, "late_interaction": True},
        {"questions": []},
        {"limit": 0},
        {"name": "a/b"},
        {"seed": 2**32},
    ],
)
def test_bad_recipes_are_refused(tiny: Path, files: tuple[Path, Path], changes: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        make(tiny, files, **changes)


def test_a_question_about_no_passage_is_refused(tiny: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "questions.tsv").write_text("Who?\t99\n")
    with pytest.raises(OpticalError, match="99"):
        fine_tune(make(tiny, files, questions=[str(tmp_path / "questions.tsv")]), tmp_path / "toy")
    assert not (tmp_path / "toy").exists()
    assert not (tmp_path / ".toy.work").exists()
