from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pyserini_optical.data.relevance import Question, write_relevance
from pyserini_optical.distillation import FineTuningRecipe, fine_tune
from pyserini_optical.distillation.recipe import TrainingRecipe
from pyserini_optical.errors import CheckpointError, RecipeError
from pyserini_optical.models import load_cross_encoder
from pyserini_optical.models.cross_encoder import start_cross_encoder

NOUNS = ("farmer", "river", "house", "teacher")
# What happened often is relevant, whatever the question: a random model learns that in seconds.
PASSAGES = {f"{adverb}-{noun}": f"the old {noun} {adverb}" for adverb in ("often", "never") for noun in NOUNS}


@pytest.fixture(scope="module")
def recipe(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> FineTuningRecipe:
    """Every question brings its negatives."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in PASSAGES.items())
    )
    negatives = tuple(name for name in PASSAGES if name.startswith("never"))
    questions = [
        Question(f"{verb} {noun}", f"often-{noun}", (), negatives)
        for verb in ("sees", "buys", "finds", "leaves")
        for noun in NOUNS
    ]
    write_relevance(folder / "questions.jsonl", questions)
    training = TrainingRecipe(epochs=10, batch_size=8, learning_rate=3e-3, max_length=12, checkpoint_steps=8)
    return FineTuningRecipe(
        "toy",
        str(tiny),
        [str(folder / "questions.jsonl")],
        str(folder / "corpus.jsonl"),
        cross_encoder=True,
        negatives_per_question=3,
        training=training,
    )


@pytest.fixture(scope="module")
def made(recipe: FineTuningRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fine_tune(recipe, tmp_path_factory.mktemp("made") / "toy")


def test_it_learns_which_passage_answers(made: Path) -> None:
    model = load_cross_encoder(str(made), "cpu")
    for noun in ("market", "boat"):  # of which it has not read
        often, never, other = model.scores(
            [f"sees {noun}"] * 2 + ["finds road"], [f"the old {noun} often", *[f"the old {noun} never"] * 2]
        )
        assert often > never + 1
        assert never != other
    assert model.scores([], []).shape == (0,)
    optical = json.loads((made / "optical.json").read_text())
    assert optical["recipe"]["cross_encoder"] is True
    log = json.loads((made / "training.json").read_text())
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[-1] < losses[0]


def test_scores_have_all_digits_inside_autocast(made: Path) -> None:
    model = load_cross_encoder(str(made), "cpu")
    head = model._model.model.classifier
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert head(torch.ones(1, head.in_features, dtype=torch.bfloat16)).dtype == torch.float32


def test_pairs_are_cut_where_training_cut_them(made: Path) -> None:
    model = load_cross_encoder(str(made), "cpu")
    long = "the old boat " * 30
    one, other = model.scores(["sees boat"] * 2, [long, long + "today"])
    assert one == pytest.approx(other, abs=1e-5)


def test_it_is_made_once_and_alike(recipe: FineTuningRecipe, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (made / "model.safetensors").stat().st_mtime_ns
    assert fine_tune(recipe, made) == made
    assert (made / "model.safetensors").stat().st_mtime_ns == before
    assert "is there already" in capsys.readouterr().err


def test_an_interrupted_training_goes_on_where_it_stopped(
    recipe: FineTuningRecipe, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyserini_optical.distillation import training

    def stop(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 13:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training._Progress, "on_step_end", stop)
        with pytest.raises(KeyboardInterrupt):
            fine_tune(recipe, tmp_path / "toy")
    assert not (tmp_path / "toy").exists()
    again = fine_tune(recipe, tmp_path / "toy")
    assert (again / "model.safetensors").read_bytes() == (made / "model.safetensors").read_bytes()


def test_fine_tuning_goes_on_from_a_cross_encoder_with_its_head(
    recipe: FineTuningRecipe, made: Path, tmp_path: Path
) -> None:
    further = replace(recipe, model=str(made), training=TrainingRecipe(epochs=0, max_length=16))
    again = fine_tune(further, tmp_path / "again")
    old, new = load_file(made / "model.safetensors"), load_file(again / "model.safetensors")
    assert set(old) == set(new)
    assert all(bool((old[name] == new[name]).all()) for name in old)


def test_a_fresh_head_depends_on_the_seed_alone(recipe: FineTuningRecipe, tmp_path: Path) -> None:
    untrained = replace(recipe, training=TrainingRecipe(epochs=0, max_length=16))
    heads = [
        load_file(fine_tune(replace(untrained, seed=seed), tmp_path / name) / "model.safetensors")["classifier.weight"]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert bool((heads[0] == heads[1]).all())
    assert not bool((heads[0] == heads[2]).all())


@pytest.mark.parametrize(
    "changes", [{"late_interaction": True}, {"negatives": 0}, {"negatives_per_question": 0}, {"projection": 8}]
)
def test_what_does_not_belong_together_is_refused(recipe: FineTuningRecipe, changes: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        replace(recipe, **changes)


def test_manifests_of_other_models_do_not_know_of_it(recipe: FineTuningRecipe) -> None:
    usual = replace(recipe, cross_encoder=False, negatives_per_question=1).as_dict()
    assert not {"cross_encoder", "negatives_per_question"} & usual.keys()
    assert recipe.as_dict()["negatives_per_question"] == 3


def test_broken_cross_encoders_are_refused_in_a_sentence(made: Path, tiny: Path, tmp_path: Path) -> None:
    def broken(name: str) -> Path:
        shutil.copytree(made, tmp_path / name)
        (tmp_path / name / "manifest.json").unlink()  # which has the checksums
        return tmp_path / name

    cut = broken("cut")
    (cut / "model.safetensors").write_bytes((made / "model.safetensors").read_bytes()[:2000])
    headless = broken("headless")
    weights = load_file(made / "model.safetensors")
    save_file(
        {name: weight for name, weight in weights.items() if "classifier" not in name}, headless / "model.safetensors"
    )
    shallow = broken("shallow")
    save_file(
        {name: weight for name, weight in weights.items() if ".layer.1." not in name}, shallow / "model.safetensors"
    )
    pickled = broken("pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    lost = broken("lost")
    (lost / "config.json").write_text("{")
    two = broken("two")
    config = json.loads((made / "config.json").read_text())
    config |= {"id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1}}
    (two / "config.json").write_text(json.dumps(config))
    doubled = weights | {
        name: weights[name].repeat(2, *[1] * (weights[name].dim() - 1)) for name in weights if "classifier" in name
    }
    save_file(doubled, two / "model.safetensors")
    wild = broken("wild")
    weights["classifier.bias"][:] = float("nan")
    save_file(weights, wild / "model.safetensors")
    for folder, problem in (
        (tiny, r"not a cross-encoder \(no classification head\); make one"),
        (tmp_path / "none", "no such model folder"),
        (cut, "cannot be loaded"),
        (headless, r"its weights lack classifier\.bias"),
        (shallow, r"its weights lack bert\.encoder\.layer\.1"),
        (pickled, r"no model\.safetensors in the folder"),
        (lost, r"config\.json is damaged"),
        (two, "gives 2 labels; a re-ranker gives one score"),
        (wild, "NaN or infinite score for 'sees'"),
    ):
        with pytest.raises(CheckpointError, match=problem) as caught:
            load_cross_encoder(str(folder), "cpu").scores(["sees"], ["boat"])
        assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match="start from a model that gives one score"):
        start_cross_encoder(str(two), 16, "cpu")
