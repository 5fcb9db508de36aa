"""QuiCK as a recipe's stage, from end to end on the toy language."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pyserini_optical.data import read_corpus, read_run, read_topics
from pyserini_optical.data.settings import read_settings
from pyserini_optical.distillation import Recipe, distill, load_recipe
from pyserini_optical.distillation.quick import distil_quick
from pyserini_optical.distillation.quick_lesson import read_quick_lesson
from pyserini_optical.distillation.quick_recipe import AlignmentRecipe, QuickRecipe
from pyserini_optical.distillation.recipe import StudentRecipe, TrainingRecipe
from pyserini_optical.errors import InputError, OpticalError, RecipeError
from pyserini_optical.generation import Generation
from pyserini_optical.models import load_encoder
from pyserini_optical.models.query_generator import QueryGenerator
from pyserini_optical.models.transformer import load_transformer
from pyserini_optical.objectives import GeneratorLoss
from pyserini_optical.study import Study

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


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the loss and the trainer are given, with nothing trained."""
    seen: dict[str, Any] = {}

    def loss(*arguments: Any) -> None:
        seen["candidates"], seen["scores"], seen["objectives"], seen["alignment"] = arguments[2:]

    def train(_: Any, __: Any, dataset: Any, *___: Any, **____: Any) -> list[Any]:
        seen["columns"] = dataset.to_dict()
        return []

    monkeypatch.setattr("pyserini_optical.objectives.GeneratorLoss", loss)
    monkeypatch.setattr("pyserini_optical.distillation.training.train", train)
    return seen


@pytest.mark.usefixtures("in_float32")
def test_the_loss_is_given_the_generator_s_scores_and_questions(
    setting: QuickRecipe, tiny: Path, generator: Path, given: dict[str, Any], tmp_path: Path
) -> None:
    model, loaded, once = load_transformer(str(tiny)), QueryGenerator(str(generator)), replace(setting, rounds=1)

    def run(name: str, exclude: list[str], of: QuickRecipe = once) -> dict[str, Any]:
        lesson = read_quick_lesson(of, exclude)
        distil_quick(model, model, lesson, of, documents=str(tiny), seed=0, work=tmp_path / name)
        return given

    seen = run("all", [])
    asked, generated = seen["columns"]["question"], seen["columns"]["generated"]
    assert asked == list(read_topics(setting.topics[0]).values())
    passages = {passage.id: passage.text for passage in read_corpus(setting.corpus)}
    found = json.loads((tmp_path / "all" / "round-1" / "candidates.json").read_text())
    for row, ids in enumerate(found):
        expected = loaded.score([asked[row]] * 5, [passages[name] for name in ids], ["sw"] * 5)
        assert seen["scores"][row].tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    assert all(len(set(row)) == 5 for row in seen["candidates"])
    assert seen["scores"].std() > 0
    assert seen["alignment"][0] == 1.0
    other = sum(text not in asked and text.startswith("who") for text in generated)
    assert other > 20
    # What must not be trained on stays out of the generated questions too.
    shared = next(text for text in generated if text not in asked)
    again = run("without", [shared.upper()])["columns"]
    assert shared in generated
    assert shared not in again["generated"]
    assert len(again["generated"]) == len(asked)
    unlabelled = replace(once, topics=[], qrels=[], questions=Generation(passages=20), bm25=False, alignment=None)
    written = run("unlabelled", [], unlabelled)["columns"]["question"]
    fewer = run("fewer", [written[0]], unlabelled)["columns"]["question"]
    assert fewer == [text for text in written if text != written[0]]


def test_without_an_objective_that_asks_a_teacher_there_is_none(
    setting: QuickRecipe, tiny: Path, given: dict[str, Any], tmp_path: Path
) -> None:
    alone = replace(setting, generator=None, alignment=None, objectives=[{"name": "info-nce"}], rounds=1)
    model = load_transformer(str(tiny))
    distil_quick(model, model, read_quick_lesson(alone, []), alone, documents=str(tiny), seed=0, work=tmp_path)
    assert list(given["objectives"]) == ["info-nce"]
    assert list(given["columns"]) == ["question", "label"]
    assert not (tmp_path / "round-1" / "scores").exists()
    cases: list[dict[str, Any]] = [{"alignment": setting.alignment}, {"topics": [], "qrels": []}]
    for changes in (*cases, {"objectives": setting.objectives}):
        with pytest.raises(RecipeError, match="a generator is missing"):
            replace(alone, **changes)


def test_other_relevant_passages_are_no_candidates(
    setting: QuickRecipe, tiny: Path, given: dict[str, Any], tmp_path: Path
) -> None:
    run, qrels = tmp_path / "run.txt", tmp_path / "qrels.txt"
    run.write_text("".join(f"t{n:02} Q0 p{(n + 1) % 30:02} 1 1 tag\n" for n in range(30)))
    qrels.write_text("".join(f"t{n:02} 0 p{m % 30:02} 1\n" for n in range(30) for m in range(n, n + 6)))
    several = replace(setting, qrels=[str(qrels)], runs=[str(run)], alignment=None, rounds=1, candidates=20)
    model = load_transformer(str(tiny))
    distil_quick(model, model, read_quick_lesson(several, []), several, documents=str(tiny), seed=0, work=tmp_path)
    for n, found in enumerate(json.loads((tmp_path / "round-1" / "candidates.json").read_text())):
        assert found[0] == f"p{n:02}"
        assert len(set(found)) == 21
        assert not {f"p{m % 30:02}" for m in range(n + 1, n + 6)} & set(found)
    with pytest.raises(RecipeError, match="candidates is 25"):  # beside six that are relevant there are 24
        read_quick_lesson(replace(several, candidates=25), [])


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
            read_quick_lesson(given, [])


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
    # Told before the student is begun.
    cases: list[tuple[dict[str, Any], str]] = [
        ({"generator": str(tmp_path / "none")}, "no such model folder"),
        ({"generator": recipe.teacher}, "not a sequence-to-sequence model"),
        ({"cross_encoder": recipe.teacher}, "not a cross-encoder"),
        ({"candidates": 30}, "the corpus has 30 passages"),
        ({"candidates": 30, "topics": [], "qrels": []}, "the corpus has 30 passages"),
        ({"language": "s w"}, "'s w' is no language code"),
        ({"alignment": AlignmentRecipe(["en", ""])}, "'' is no language code"),
        ({"language": "ha"}, "toy-generator has learnt to ask in sw, en, not in ha; train one that has"),
        ({"alignment": AlignmentRecipe(["en", "fr"])}, "toy-generator has learnt to ask in sw, en, not in fr"),
    ]
    for changes, problem in cases:
        with pytest.raises(OpticalError, match=problem):
            distill(replace(recipe, quick=replace(setting, **changes)), tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="no question is left"):
        read_quick_lesson(setting, list(read_topics(setting.topics[0]).values()))


def test_the_study_trains_on_none_of_its_questions() -> None:
    root = Path(__file__).parents[2]
    study = read_settings(Study, root / "runs" / "quick" / "study.yaml")
    recipes = [load_recipe(root / run.search, run.set) for run in study.each_run().values() if run.distils]
    assert len(recipes) >= 4
    for made in recipes:
        assert made.quick is not None
        assert sorted(made.exclude) == sorted(study.topics.values())
        assert not set(made.exclude) & set(made.quick.topics)


@pytest.mark.parametrize("name", ["quick", "quick-labels", "optical-quick"])
def test_the_recipes_take_the_generator_of_their_language(name: str) -> None:
    root = Path(__file__).parents[2]
    found = load_recipe(root / "encoders" / f"{name}.yaml", ["language=sw"]).quick
    assert found is not None
    assert (found.language, found.generator) == ("sw", "encoders/query-generator-sw")


def test_students_of_one_teacher_search_one_index(recipe: Recipe, setting: QuickRecipe, tmp_path: Path) -> None:
    kept = tmp_path / "work"
    short = replace(setting, rounds=1, alignment=None, training=replace(TRAINING, epochs=0.5))
    for seed in (0, 1):
        distill(replace(recipe, quick=short, seed=seed), tmp_path / f"toy-{seed}", work=kept)
        (index,) = kept.glob("indexes/faiss-*")
        changed = (index / "index").stat().st_mtime_ns
        if seed == 0:
            first = changed
    assert changed == first
