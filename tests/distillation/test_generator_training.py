from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyserini_optical.data import read_corpus
from pyserini_optical.distillation import GeneratorRecipe, train_generator
from pyserini_optical.distillation.generator_data import GeneratorData, mine_candidates, read_examples
from pyserini_optical.distillation.generator_trainer import Stage, _collate, _Trainer
from pyserini_optical.distillation.generator_training import ContrastiveRecipe
from pyserini_optical.distillation.training_recipe import TrainingRecipe
from pyserini_optical.errors import InputError, RecipeError
from pyserini_optical.models.new_generator import NewGenerator
from pyserini_optical.models.provenance import Provenance
from pyserini_optical.models.query_generator import QueryGenerator


@pytest.fixture
def recipe(toy_collection: Path, toy_files: tuple[Path, Path], tiny: Path) -> GeneratorRecipe:
    training = TrainingRecipe(epochs=1, batch_size=20, learning_rate=1e-3, checkpoint_steps=2, max_length=24)
    files = {name: [str(toy_collection / name)] for name in ("topics.sw.tsv", "qrels.txt", "questions.tsv")}
    return GeneratorRecipe(
        name="toy",
        sources=[
            GeneratorData(
                "sw", topics=files["topics.sw.tsv"], qrels=files["qrels.txt"], bitext=[str(toy_files[1])], limit=50
            ),
            GeneratorData("en", questions=files["questions.tsv"]),
        ],
        corpus=str(toy_collection / "corpus.jsonl"),
        size=NewGenerator(str(tiny), vocabulary=120, layers=1, width=16, heads=1, feed_forward=16, dropout=0.1),
        training=training,
        contrastive=ContrastiveRecipe(negatives=2, depth=10, training=replace(training, batch_size=15)),
    )


@pytest.mark.parametrize("start", ["new", "encoder"])
def test_cut_off_in_the_second_stage_it_gives_the_same_bytes(
    recipe: GeneratorRecipe, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    class Killed(BaseException):
        pass

    if start == "encoder":
        recipe = replace(recipe, model=str(tiny), size=NewGenerator())
    whole = train_generator(recipe, tmp_path / "whole")
    done, compute = 0, _Trainer.compute_loss

    def counted(self: _Trainer, *arguments: Any, **more: Any) -> Any:
        nonlocal done
        done += 1
        if done == 8:  # of four and four steps
            raise Killed
        return compute(self, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(_Trainer, "compute_loss", counted)
        with pytest.raises(Killed):
            train_generator(recipe, tmp_path / "cut")
    again = train_generator(recipe, tmp_path / "cut")
    assert (again / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert (again / "tokenizer.json").read_bytes() == (whole / "tokenizer.json").read_bytes()
    before = (whole / "model.safetensors").stat().st_mtime_ns
    assert train_generator(recipe, tmp_path / "whole") == whole
    assert (whole / "model.safetensors").stat().st_mtime_ns == before
    card = (whole / "README.md").read_text()
    assert all(tag in card.partition("are: ")[2] for tag in ("sw", "sw-sentence", "en"))
    assert Provenance.load(str(whole)).recipe["contrastive"]["negatives"] == 2
    # From a generator that is there, with one stage.
    further = replace(recipe, model=str(whole), size=NewGenerator(), contrastive=None, seed=1)
    log = json.loads((train_generator(further, tmp_path / "further") / "training.json").read_text())
    assert any("loss" in entry for entry in log)
    assert not any("train_runtime" in entry for entry in log)  # which no two processes share
    assert QueryGenerator(str(tmp_path / "further"), "cpu").passage_length == 24


def test_the_second_stage_tells_passages_apart(generator: Path) -> None:
    log = json.loads((generator / "training.json").read_text())
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[0] > 1.5 * losses[1]


def test_examples(recipe: GeneratorRecipe, toy_collection: Path, toy_pairs: list[Any], tmp_path: Path) -> None:
    passages = {f"p{n:02}": pair.english for n, pair in enumerate(toy_pairs[::10])}
    examples = read_examples(recipe.sources, passages, "corpus", exclude=[], seed=0)
    tags = [example.tag for example in examples]
    assert len(tags) == 50 + tags.count("en")
    for example in examples:
        if example.tag == "sw-sentence":
            assert example.source is None
        else:
            assert example.source is not None
            assert passages[example.source.passage] == example.passage
            assert example.question.startswith("nani" if example.tag == "sw" else "who")
    (tmp_path / "sealed.tsv").write_text(f"x\t{examples[-1].question.upper()}\n")
    fewer = read_examples(recipe.sources, passages, "corpus", exclude=[str(tmp_path / "sealed.tsv")], seed=0)
    assert examples[-1].question not in {example.question for example in fewer}
    mined = mine_candidates(examples, passages, recipe.corpus, 3, depth=10, seed=0, work=tmp_path)
    assert len(mined) == sum(example.source is not None for example in examples)
    assert all(len(set(row)) == 4 for _, row, _ in mined)


@pytest.mark.usefixtures("in_float32")
def test_the_second_stage_s_loss(generator: Path) -> None:
    loaded = QueryGenerator(str(generator), "cpu")
    rows = [
        ("nani mto?", ["the river", "the old farmer", "a house"], "sw"),
        ("who sees the road?", ["a child sees the road today", "the boat", "the market"], "en"),
    ]
    trainer = object.__new__(_Trainer)  # its loss alone
    trainer._stage, trainer._passages = Stage(rows, temperature=0.5, likelihood=0.3), 3
    scores = np.array([loaded.score([question] * 3, passages, [tag] * 3) for question, passages, tag in rows])
    second = -np.mean([row[0] / 0.5 - np.log(np.exp(row / 0.5).sum()) for row in scores])
    first = -scores[:, 0].mean()
    loss = trainer.compute_loss(loaded.model, _collate(loaded, rows))
    assert loss.item() == pytest.approx(second + 0.3 * first, abs=1e-4)


def test_negatives_are_a_question_s_own_and_never_relevant(
    recipe: GeneratorRecipe, toy_collection: Path, tmp_path: Path
) -> None:
    passages = {passage.id: passage.text for passage in read_corpus(recipe.corpus)}
    own = tmp_path / "own.jsonl"
    own.write_text(json.dumps({"question": "nani?", "passage": "p00", "negatives": ["p07", "p09"]}) + "\n")
    (tmp_path / "topics").write_text(f"t\t{passages['p03']}\n")  # what BM25 finds first is p03
    (tmp_path / "qrels").write_text("".join(f"t 0 p{number:02} 1\n" for number in range(4, 2, -1)))
    sources = [GeneratorData("sw", [str(own)], [str(tmp_path / "topics")], [str(tmp_path / "qrels")])]
    examples = read_examples(sources, passages, recipe.corpus, exclude=[], seed=0)
    first, second = mine_candidates(examples, passages, recipe.corpus, 2, depth=2, seed=0, work=tmp_path)
    assert first[1][0] == passages["p00"]
    assert set(first[1][1:]) == {passages["p07"], passages["p09"]}
    assert second[1][0] == passages["p04"]
    assert passages["p03"] not in second[1]


def test_recipes_that_make_no_sense_are_refused(recipe: GeneratorRecipe, toy_collection: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="as many, got 1 and 0"):
        GeneratorData("sw", topics=["a"])
    with pytest.raises(RecipeError, match="nothing is named"):
        GeneratorData("sw")
    with pytest.raises(RecipeError, match="size is for model: new"):
        replace(recipe, model="google/mt5-small")
    with pytest.raises(RecipeError, match="sources must name"):
        replace(recipe, sources=[])
    with pytest.raises(RecipeError, match="bitext alone"):
        mine_candidates([], {}, "corpus", 3, depth=1, seed=0, work=tmp_path)
    with pytest.raises(InputError, match="no language code"):
        train_generator(replace(recipe, sources=[replace(recipe.sources[1], language="s w")]), tmp_path / "toy")
    (tmp_path / "qrels").write_text("t99 0 p00 1\n")
    sources = [replace(recipe.sources[0], qrels=[str(tmp_path / "qrels")])]
    with pytest.raises(InputError, match="no relevant passage for topic t00"):
        train_generator(replace(recipe, sources=sources), tmp_path / "toy")
    assert not (tmp_path / "toy").exists()
