"""QuiCK as a recipe's stage, from end to end on the toy language."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pyserini_optical.data import read_corpus, read_run, read_topics
from pyserini_optical.distillation import Recipe, distill
from pyserini_optical.distillation.quick import read_quick_lesson
from pyserini_optical.distillation.quick_recipe import AlignmentRecipe, QuickRecipe
from pyserini_optical.distillation.recipe import StudentRecipe, TrainingRecipe
from pyserini_optical.errors import InputError, OpticalError, RecipeError
from pyserini_optical.generation import Generation
from pyserini_optical.models import load_encoder
from pyserini_optical.models.query_generator import QueryGenerator
from pyserini_optical.objectives import GeneratorLoss

TRAINING = TrainingRecipe(epochs=2, batch_size=10, learning_rate=5e-3, checkpoint_steps=2, max_length=24)


@pytest.fixture(scope="module")
def setting(generator: Path, toy_collection: Path) -> QuickRecipe:
    return QuickRecipe(
        generator=str(generator),
        language="sw",
        corpus=str(toy_collection / "corpus.jsonl"),
        topics=[str(toy_collection / "topics.sw.tsv")],
        qrels=[str(toy_collection / "qrels.txt")],
        candidates=4,
        alignment=AlignmentRecipe(["en"]),
        training=TRAINING,
    )


@pytest.fixture(scope="module")
def recipe(tiny: Path, toy_files: tuple[Path, Path], setting: QuickRecipe) -> Recipe:
    return Recipe(
        name="toy",
        teacher=str(tiny),
        bitext=[str(toy_files[0])],
        objectives=[{"name": "contrastive"}],
        student=StudentRecipe(vocabulary=150, start="table"),
        training=TrainingRecipe(epochs=0.5, batch_size=40, learning_rate=1e-3, checkpoint_steps=3),
        quick=setting,
    )


@pytest.fixture(scope="module")
def undisturbed(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distill(recipe, tmp_path_factory.mktemp("undisturbed") / "toy")


def mrr(folder: Path, collection: Path) -> float:
    encoder = load_encoder(str(folder), "cpu")
    passages = [passage.text for passage in read_corpus(collection / "corpus.jsonl")]
    asked = list(read_topics(collection / "topics.sw.tsv").values())
    scores = encoder.encode_queries(asked) @ encoder.encode_passages(passages).T
    return float((1 / (1 + (scores > scores.diagonal()[:, None]).sum(axis=1))).mean())


def test_the_student_learns_to_find_the_passages(
    recipe: Recipe, setting: QuickRecipe, undisturbed: Path, toy_collection: Path, tmp_path: Path
) -> None:
    first = distill(replace(recipe, quick=None), tmp_path / "first")
    long = replace(setting, rounds=1, training=replace(TRAINING, epochs=30, checkpoint_steps=100))
    learnt = distill(replace(recipe, quick=long), tmp_path / "learnt")
    assert mrr(learnt, toy_collection) > 1.5 * mrr(first, toy_collection)
    log = json.loads((undisturbed / "training.json").read_text())
    for name in ("contrastive", "info-nce", "relevance-kl", "alignment"):
        assert any(name in entry for entry in log), name
    said = json.loads((undisturbed / "manifest.json").read_text())
    assert {"quick", "generator"} <= set(said["inputs"])
    assert not {"generator", "corpus", "topics"} & set(said["parameters"]["quick"])
    assert f"by the scores of `{setting.generator}`" in (undisturbed / "README.md").read_text()
    assert "quick" not in json.loads((first / "manifest.json").read_text())["parameters"]


def test_cut_off_in_the_second_round_it_gives_the_same_bytes(
    recipe: Recipe, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    done, forward, scored, score = 0, GeneratorLoss.forward, 0, QueryGenerator.score

    def counted(self: GeneratorLoss, *arguments: Any) -> Any:
        nonlocal done
        done += 1
        if done == 10:  # of six and six steps
            raise Killed
        return forward(self, *arguments)

    def counted_scores(self: QueryGenerator, questions: list[str], *arguments: Any) -> Any:
        nonlocal scored
        scored += len(questions)
        return score(self, questions, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(GeneratorLoss, "forward", counted)
        patch.setattr(QueryGenerator, "score", counted_scores)
        with pytest.raises(Killed):
            distill(recipe, tmp_path / "toy")
        before = scored
        # The second round scored only what the first had not.
        assert 30 * 5 <= before < 2 * 30 * 5
        work = tmp_path / ".toy.work" / "quick"
        rounds = [json.loads((work / f"round-{n}" / "candidates.json").read_text()) for n in (1, 2)]
        assert all(len(row) == len(set(row)) == 5 for found in rounds for row in found)
        assert [row[0] for row in rounds[0]] == [f"p{number:02}" for number in range(30)]
        assert rounds[0] != rounds[1]
        assert len(read_run(work / "round-2" / "student.txt.gz")) == 30
        distill(recipe, tmp_path / "toy")
        assert scored == before  # nothing was scored again
    weights = [(folder / "model.safetensors").read_bytes() for folder in (undisturbed, tmp_path / "toy")]
    assert weights[0] == weights[1]


def test_without_labels_and_bitext_and_for_late_interaction(
    recipe: Recipe, setting: QuickRecipe, toy_collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unlabelled = replace(
        setting, topics=[], qrels=[], questions=Generation(passages=20), rounds=1, bm25=False, alignment=None
    )
    sealed = tmp_path / "sealed.tsv"
    sealed.write_text((toy_collection / "topics.sw.tsv").read_text())
    student = StudentRecipe(vocabulary=None, start="pieces")
    untrained = replace(TRAINING, epochs=0)
    alone = replace(
        recipe,
        bitext=[],
        objectives=[],
        student=student,
        training=untrained,
        quick=unlabelled,
        late_interaction=True,
        exclude=[str(sealed)],
    )
    folder = distill(alone, tmp_path / "alone")
    assert load_encoder(str(folder), "cpu").late_interaction
    assert any("relevance-kl" in entry for entry in json.loads((folder / "training.json").read_text()))
    assert "questions in sw: kept" in capsys.readouterr().err
    with pytest.raises(RecipeError, match="bitext must name"):
        replace(alone, quick=None)


def test_runs_give_candidates(recipe: Recipe, setting: QuickRecipe, tmp_path: Path) -> None:
    run = tmp_path / "run.txt"
    run.write_text("".join(f"t{n:02} Q0 p{(n + 7) % 30:02} 1 1 tag\n" for n in range(30)))
    given = replace(setting, runs=[str(run)], alignment=None, rounds=1)
    distill(replace(recipe, quick=given), tmp_path / "with-run")
    assert read_quick_lesson(given, []).fingerprint != read_quick_lesson(replace(given, runs=[]), []).fingerprint
    for text, problem in (("x Q0 p01 1 1 tag\n", "none of the topics"), ("t01 Q0 p99 1 1 tag\n", "p99 is not in")):
        run.write_text(text)
        with pytest.raises(InputError, match=problem):
            distill(replace(recipe, quick=given), tmp_path / "other")
        assert not (tmp_path / "other").exists()


def test_what_makes_no_sense_is_refused(recipe: Recipe, setting: QuickRecipe, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="as many, got 1 and 0"):
        replace(setting, qrels=[])
    with pytest.raises(RecipeError, match="runs are on topics"):
        replace(setting, topics=[], qrels=[], runs=["run.txt"])
    with pytest.raises(RecipeError, match="at least one relevance objective"):
        replace(setting, objectives=[])
    with pytest.raises(RecipeError, match="rounds must be at least 1"):
        replace(setting, rounds=0)
    with pytest.raises(RecipeError, match="at least one to generate"):
        AlignmentRecipe([])
    with pytest.raises(RecipeError, match="set documents to teacher"):
        replace(recipe, documents="self")
    with pytest.raises(OpticalError, match="no such model folder"):
        distill(replace(recipe, quick=replace(setting, generator=str(tmp_path / "none"))), tmp_path / "toy")
    with pytest.raises(RecipeError, match="the corpus has 30 passages"):
        distill(replace(recipe, quick=replace(setting, candidates=30)), tmp_path / "toy")
    with pytest.raises(InputError, match="no question is left"):
        read_quick_lesson(setting, list(read_topics(setting.topics[0]).values()))
