"""The second stage from end to end on the toy language, and its questions and candidates."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pyserini_optical.data import Pair
from pyserini_optical.distillation import Recipe, distill
from pyserini_optical.distillation.recipe import RelevanceRecipe, StudentRecipe, TrainingRecipe
from pyserini_optical.distillation.relevance import candidates, read_lesson
from pyserini_optical.errors import InputError, OpticalError, RecipeError
from pyserini_optical.models import load_encoder
from pyserini_optical.objectives import RelevanceKL, RelevanceLoss

TRAINING = TrainingRecipe(epochs=2, batch_size=10, learning_rate=5e-3, checkpoint_steps=3)


@pytest.fixture(scope="module")
def setting(toy_pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> RelevanceRecipe:
    """60 questions: their translation is the passage without its first words."""
    folder = tmp_path_factory.mktemp("collection")
    files = [folder / name for name in ("foreign.tsv", "english.tsv", "qrels.txt", "corpus.jsonl")]
    pairs = toy_pairs[:60]
    texts = (
        (f"{n:02}\t{' '.join(pair.foreign.split()[2:])}" for n, pair in enumerate(pairs)),
        (f"{n:02}\t{' '.join(pair.english.split()[2:])}" for n, pair in enumerate(pairs)),
        (f"{n:02} 0 p{n:02} 1" for n in range(60)),
        (json.dumps({"id": f"p{n:02}", "text": pair.english}) for n, pair in enumerate(pairs)),
    )
    for file, lines in zip(files, texts, strict=True):
        file.write_text("\n".join(lines) + "\n")
    topics, translations, qrels, corpus = map(str, files)
    return RelevanceRecipe([topics], [translations], [qrels], corpus, candidates=3, training=TRAINING)


@pytest.fixture(scope="module")
def recipe(tiny: Path, toy_files: tuple[Path, Path], setting: RelevanceRecipe) -> Recipe:
    return Recipe(
        name="toy",
        teacher=str(tiny),
        bitext=[str(toy_files[0])],
        objectives=[
            {"name": "token-alignment", "coupling": "greedy", "error": "squared"},
            {"name": "sentence-mse", "side": "english", "weight": 0.5},
        ],
        student=StudentRecipe(vocabulary=150, start="pieces"),
        training=TrainingRecipe(epochs=0.5, batch_size=20, learning_rate=1e-3, checkpoint_steps=3),
        relevance=setting,
    )


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distill(recipe, tmp_path_factory.mktemp("undisturbed") / "toy")


def test_questions_are_read_with_translation_and_passage(setting: RelevanceRecipe, toy_pairs: list[Pair]) -> None:
    lesson = read_lesson(setting, [toy_pairs[5].english.partition(" ")[2].partition(" ")[2]])
    assert len(lesson.foreign) < 60  # the excluded one, and repetitions
    number = next(n for n, question in enumerate(lesson.english) if question.passage == "p07")
    assert lesson.foreign[number] == " ".join(toy_pairs[7].foreign.split()[2:])
    assert lesson.english[number].text == " ".join(toy_pairs[7].english.split()[2:])
    assert lesson.passages["p07"] == toy_pairs[7].english
    assert "p05" not in {question.passage for question in lesson.english}
    assert lesson.fingerprint != read_lesson(setting, []).fingerprint


def test_candidates_are_the_relevant_passage_and_what_bm25_finds(setting: RelevanceRecipe, tmp_path: Path) -> None:
    lesson = read_lesson(setting, [])
    found = candidates(lesson, setting, tmp_path)
    assert all(len(row) == len(set(row)) == 4 for row in found)
    assert [row[0] for row in found] == [question.passage for question in lesson.english]
    assert candidates(lesson, replace(setting, candidates=0), tmp_path) == [row[:1] for row in found]


def test_other_relevant_passages_are_no_candidates(setting: RelevanceRecipe, tmp_path: Path) -> None:
    qrels = tmp_path / "qrels.txt"
    lesson = read_lesson(setting, [])
    found = candidates(lesson, setting, tmp_path)
    others = {f"{n:02}": next(hit for hit in row[1:]) for n, row in enumerate(found)}
    qrels.write_text(
        Path(setting.qrels[0]).read_text() + "".join(f"{topic} 0 {hit} 1\n" for topic, hit in others.items())
    )
    lesson = read_lesson(replace(setting, qrels=[str(qrels)]), [])
    again = candidates(lesson, replace(setting, qrels=[str(qrels)]), tmp_path)
    assert [len(row) for row in again] == [4] * len(again)
    for question, row in zip(lesson.english, again, strict=True):
        assert question.others
        assert not set(question.others) & set(row)


def test_the_second_stage_brings_scores_nearer_to_the_teacher_s(
    recipe: Recipe, undisturbed: Path, tiny: Path, setting: RelevanceRecipe, tmp_path: Path
) -> None:
    lesson = read_lesson(setting, [])
    teacher = load_encoder(str(tiny))
    passages = teacher.encode_passages([*lesson.passages.values()])
    wanted = torch.from_numpy(teacher.encode_queries([question.text for question in lesson.english]) @ passages.T)
    none = torch.zeros(len(wanted), dtype=torch.long)
    first = distill(replace(recipe, relevance=None), tmp_path / "first")
    before, after = (
        RelevanceKL()(
            torch.from_numpy(load_encoder(str(folder)).encode_queries(lesson.foreign) @ passages.T), wanted, none
        )
        for folder in (first, undisturbed)
    )
    assert after < 0.8 * before
    log = json.loads((undisturbed / "training.json").read_text())
    assert any("sentence-mse-english" in entry for entry in log)
    assert any("relevance-kl" in entry for entry in log)
    said = json.loads((undisturbed / "manifest.json").read_text())
    assert "relevance" in said["inputs"]
    assert "corpus" not in said["parameters"]["relevance"]
    assert "relevance-kl" in (undisturbed / "README.md").read_text()


def test_cut_off_in_the_second_stage_it_gives_the_same_bytes(
    recipe: Recipe, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    done = 0
    forward = RelevanceLoss.forward

    def counted(self: RelevanceLoss, *arguments: Any) -> Any:
        nonlocal done
        done += 1
        if done > 8:
            raise Killed
        return forward(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(RelevanceLoss, "forward", counted)
        with pytest.raises(Killed):
            distill(recipe, tmp_path / "toy")
    assert weights(distill(recipe, tmp_path / "toy")) == weights(undisturbed)


def test_late_interaction_learns_it_too(recipe: Recipe, tmp_path: Path) -> None:
    objectives = [{"name": "token-alignment"}, {"name": "token-alignment", "side": "english"}]
    assert recipe.relevance is not None
    relevance = replace(recipe.relevance, objectives=[{"name": "margin-mse"}])
    folder = distill(
        replace(recipe, late_interaction=True, objectives=objectives, relevance=relevance), tmp_path / "toy"
    )
    log = json.loads((folder / "training.json").read_text())
    losses = [entry["margin-mse"] for entry in log if "margin-mse" in entry]
    assert losses[-1] < losses[0]
    assert any("token-alignment-english" in entry for entry in log)


@pytest.mark.parametrize("kind", ["mean-offset", "bures"])
def test_a_map_is_a_recipe_without_training(recipe: Recipe, tiny: Path, tmp_path: Path, kind: Any) -> None:
    mapped = replace(
        recipe,
        objectives=[],
        relevance=None,
        training=replace(TRAINING, epochs=0),
        student=StudentRecipe(vocabulary=None, map=kind),
    )
    folder = distill(mapped, tmp_path / "mapped")
    encoder = load_encoder(str(folder))
    assert encoder.document_model == str(tiny)
    assert encoder.encode_queries(["za mto"]).shape == (1, 32)
    assert encoder.fingerprint != load_encoder(str(tiny)).fingerprint
    assert kind in (folder / "README.md").read_text()


def test_fewer_pairs_are_among_more(recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = replace(recipe, limit=20, relevance=None, training=replace(TRAINING, epochs=0))
    first = json.loads((distill(few, tmp_path / "a") / "manifest.json").read_text())
    assert "drawn: 20 pairs" in capsys.readouterr().err
    second = json.loads((distill(replace(few, seed=1), tmp_path / "b") / "manifest.json").read_text())
    assert first["inputs"]["bitext"] != second["inputs"]["bitext"]
    assert "relevance" not in first["parameters"]
    from pyserini_optical.distillation.lessons import read_lessons

    small, large = (set(read_lessons(replace(few, limit=size))[0]) for size in (20, 50))
    assert (len(small), len(large)) == (20, 50)
    assert small < large


Change = Callable[[RelevanceRecipe, Path], RelevanceRecipe]


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("translations", "00\tthe river\n", "no translation of topic 01"),
        ("qrels", "00 0 p00 1\n", "no relevant passage for topic 01"),
        ("qrels", "00 0 p99 1\n01 0 p01 1\n", "p99"),
    ],
)
def test_what_does_not_belong_together_is_told(
    recipe: Recipe, setting: RelevanceRecipe, tmp_path: Path, file: str, text: str, problem: str
) -> None:
    (tmp_path / "topics").write_text("00\tmto\n01\tnyumba\n")
    (tmp_path / file).write_text(text)
    bad = replace(setting, topics=[str(tmp_path / "topics")])
    bad = replace(bad, **{file: [str(tmp_path / file)]})  # type: ignore[arg-type]
    with pytest.raises(OpticalError, match=problem):
        distill(replace(recipe, relevance=bad), tmp_path / "toy")
    assert not (tmp_path / "toy").exists()
    assert not (tmp_path / ".toy.work").exists()


def test_no_question_left_is_told(setting: RelevanceRecipe, tmp_path: Path) -> None:
    (tmp_path / "topics").write_text("00\tmto\n")
    with pytest.raises(InputError, match="no question is left"):
        read_lesson(replace(setting, topics=[str(tmp_path / "topics")]), ["Mto!"])


def test_recipes_that_make_no_sense_are_refused(recipe: Recipe, setting: RelevanceRecipe) -> None:
    with pytest.raises(RecipeError, match="as many files each, got 1, 2 and 1"):
        replace(setting, translations=["a", "b"])
    with pytest.raises(RecipeError, match="at least one relevance objective"):
        replace(setting, objectives=[])
    with pytest.raises(RecipeError, match="unknown name 'contrastive'"):
        replace(setting, objectives=[{"name": "contrastive"}])
    with pytest.raises(RecipeError, match="above 0"):
        replace(setting, training=replace(TRAINING, epochs=0))
    with pytest.raises(RecipeError, match="side of sentence-mse must be one of foreign, english, got 'both'"):
        replace(recipe, objectives=[{"name": "sentence-mse", "side": "both"}])
    with pytest.raises(RecipeError, match="stands there twice"):
        replace(recipe, objectives=[{"name": "sentence-mse", "side": "english"}] * 2)
    with pytest.raises(RecipeError, match="limit must be at least 1"):
        replace(recipe, limit=0)
    with pytest.raises(RecipeError, match="set documents to teacher"):
        replace(recipe, documents="self")
    mapped = StudentRecipe(vocabulary=None, map="bures")
    with pytest.raises(RecipeError, match="not trained"):
        replace(recipe, student=mapped)
    untrained = replace(recipe, relevance=None, training=replace(TRAINING, epochs=0))
    with pytest.raises(RecipeError, match="sentence vectors"):
        replace(untrained, late_interaction=True, student=mapped)
