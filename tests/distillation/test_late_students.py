"""Late interaction from end to end on the toy language: an English teacher, its student, both as checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pyserini_optical.data import Pair, read_bitext
from pyserini_optical.distillation import FineTuningRecipe, Recipe, distill, fine_tune
from pyserini_optical.distillation.development import MateRetrieval
from pyserini_optical.distillation.recipe import StudentRecipe, TrainingRecipe
from pyserini_optical.errors import RecipeError
from pyserini_optical.models import load_encoder
from pyserini_optical.models.fixed_dimensional import FixedDimensional
from pyserini_optical.models.late_interaction import is_late_interaction, load_late_interaction, project, raw_tokens
from pyserini_optical.models.plan_start import start_from_plans
from pyserini_optical.models.provenance import Provenance
from pyserini_optical.models.student import extend_student
from pyserini_optical.models.teacher import TeacherVectors
from pyserini_optical.models.transformer import load_transformer
from pyserini_optical.objectives import Contrastive, Representation

TRAINING = TrainingRecipe(epochs=2, batch_size=20, learning_rate=1e-2, checkpoint_steps=5, patience=9)


@pytest.fixture(scope="module")
def collection(toy_pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Questions whose passage says the same with some words more; the passage's first words answer it."""
    folder = tmp_path_factory.mktemp("collection")
    questions, corpus = folder / "questions.tsv", folder / "corpus.jsonl"
    with questions.open("w") as asked, corpus.open("w") as passages:
        for number, pair in enumerate(toy_pairs[:120]):
            words = pair.english.split()
            asked.write(f"{' '.join(words[3:])}\tp{number}\t{' '.join(words[:4])}\n")
            passages.write(f'{{"id": "p{number}", "text": "{pair.english}"}}\n')
    return str(questions), str(corpus)


@pytest.fixture(scope="module")
def teacher(tiny: Path, collection: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    questions, corpus = collection
    recipe = FineTuningRecipe(
        name="teacher",
        model=str(tiny),
        questions=[questions],
        corpus=corpus,
        late_interaction=True,
        projection=16,
        negatives=5,
        training=replace(TRAINING, learning_rate=2e-3),
    )
    return fine_tune(recipe, tmp_path_factory.mktemp("teacher") / "teacher")


@pytest.fixture(scope="module")
def recipe(teacher: Path, toy_files: tuple[Path, Path]) -> Recipe:
    bitext, development = toy_files
    return Recipe(
        name="toy",
        teacher=str(teacher),
        bitext=[str(bitext)],
        development=str(development),
        objectives=[{"name": "token-alignment"}, {"name": "contrastive"}],
        student=StudentRecipe(vocabulary=150, start="pieces"),
        training=replace(TRAINING, epochs=6),
        late_interaction=True,
    )


def test_the_teacher_learns_to_find_passages(teacher: Path, tiny: Path, toy_pairs: list[Pair]) -> None:
    model = load_late_interaction(str(teacher), "cpu")
    assert model.get_embedding_dimension() == 16
    asked = [Pair(" ".join(pair.english.split()[3:]), pair.english) for pair in toy_pairs[:120]]
    start = project(load_transformer(str(tiny), "cpu"), 16)
    assert MateRetrieval(model, asked)(model)["mate_mrr"] > MateRetrieval(start, asked)(start)["mate_mrr"] + 0.05


def test_the_student_learns_and_keeps_the_projection(recipe: Recipe, teacher: Path, tmp_path: Path) -> None:
    folder = distill(recipe, tmp_path / "toy")
    assert is_late_interaction(str(folder))
    student, english = (load_late_interaction(str(path), "cpu") for path in (folder, teacher))
    assert student.get_embedding_dimension() == 16
    untrained = distill(replace(recipe, training=replace(TRAINING, epochs=0)), tmp_path / "start")
    development = read_bitext(str(recipe.development))
    tried = MateRetrieval(english, development)
    assert tried(student)["mate_mrr"] > 2 * tried(load_late_interaction(str(untrained), "cpu"))["mate_mrr"]


def test_a_student_of_another_size_is_projected(
    recipe: Recipe, random_model: Callable[..., None], toy_pairs: list[Pair], tmp_path: Path
) -> None:
    random_model(tmp_path / "wide", [pair.foreign for pair in toy_pairs], dimension=48)
    other = replace(
        recipe,
        student=StudentRecipe(model=str(tmp_path / "wide"), vocabulary=None),
        training=replace(TRAINING, epochs=0.5),
    )
    folder = distill(other, tmp_path / "toy")
    assert load_late_interaction(str(folder), "cpu").get_embedding_dimension() == 16
    with pytest.raises(RecipeError, match="has none"):
        replace(other, objectives=[{"name": "sentence-mse"}])


def test_what_a_query_is_expanded_by_is_no_translation(teacher: Path, toy_pairs: list[Pair]) -> None:
    english = load_late_interaction(str(teacher), "cpu")
    plain = load_late_interaction(str(teacher), "cpu")
    english[0].query_expansion = {"strategy": "fixed", "attend": False, "length": 16}
    sentences = [pair.english for pair in toy_pairs]
    expanded = TeacherVectors(english, sentences).rows([0], torch.device("cpu"))
    assert int(expanded.mask.sum()) > len(sentences[0].split())  # or this test would show nothing
    started = []
    for model in (english, plain):
        student = load_late_interaction(str(teacher), "cpu")
        student[0].query_expansion = english[0].query_expansion if model is english else None
        extend_student(student, toy_pairs, vocabulary=150)
        start_from_plans(student, TeacherVectors(model, sentences), [pair.foreign for pair in toy_pairs])
        started.append(student[0].auto_model.get_input_embeddings().weight.detach())
    mask = english.tokenizer.mask_token_id
    assert torch.allclose(started[0][mask], plain[0].auto_model.get_input_embeddings().weight[mask])
    assert torch.nn.functional.cosine_similarity(*started).mean() > 0.95


def test_the_teacher_s_tokens_are_those_that_it_scores(teacher: Path, toy_pairs: list[Pair], tmp_path: Path) -> None:
    model = load_late_interaction(str(teacher), "cpu")
    sentences = [pair.english for pair in toy_pairs[:30]]
    for cache in (None, tmp_path / "cache"):
        vectors = TeacherVectors(model, sentences, cache=cache, fingerprint="x")
        found = vectors.rows([4, 9], torch.device("cpu"))
        assert found.pooled is None
        for row, number in enumerate((4, 9)):
            wanted = model.encode_query(sentences[number], show_progress_bar=False)
            ours = found.tokens[row][found.mask[row]]
            assert ours.shape == wanted.shape
            assert torch.allclose(ours, wanted, atol=2e-2)


def test_contrastive_scores_by_maxsim() -> None:
    torch.manual_seed(0)

    def side(lengths: list[int]) -> Representation:
        mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
        return Representation(torch.randn(len(lengths), max(lengths), 8), mask, None)

    student, teacher = side([3, 5, 1]), side([4, 2, 6])
    scores = torch.zeros(3, 3)
    for b in range(3):
        for c in range(3):
            q, d = student.tokens[b][student.mask[b]], teacher.tokens[c][teacher.mask[c]]
            cosines = torch.nn.functional.normalize(q, dim=-1) @ torch.nn.functional.normalize(d, dim=-1).T
            scores[b, c] = cosines.amax(dim=1).mean()
    expected = torch.nn.functional.cross_entropy(scores / 0.1, torch.arange(3))
    assert torch.allclose(Contrastive(0.1)(student, teacher), expected, atol=1e-5)


def test_raw_tokens_leave_special_tokens_out(tiny: Path) -> None:
    model = load_transformer(str(tiny), "cpu")
    vectors = raw_tokens(model).encode_query("the old farmer", show_progress_bar=False)
    assert vectors.shape == (3, 32)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-5)
    assert not is_late_interaction(str(tiny))


@pytest.mark.parametrize("settings", [{"marginals": "norm"}, {"marginals": "idf"}, {"special_tokens": True}])
def test_what_tokens_weigh_in_alignment_is_a_matter_of_the_recipe(
    recipe: Recipe, settings: dict[str, Any], tmp_path: Path
) -> None:
    anchored = [*recipe.objectives, {"name": "token-alignment", "side": "english", "weight": 0.1}]
    quick = replace(recipe, objectives=anchored, training=replace(recipe.training, epochs=0.2), development=None)
    usual, other = (
        load_file(distill(replace(quick, **one), tmp_path / name / "toy") / "model.safetensors")
        for name, one in (("usual", {}), ("other", settings))
    )
    assert usual.keys() == other.keys()
    assert any(not torch.equal(weight, other[name]) for name, weight in usual.items())
    assert "marginals" not in quick.as_dict()  # so that checkpoints from before are known again


def test_the_shape_of_single_vectors_is_the_recipe_s_or_the_teacher_s(
    recipe: Recipe, teacher: Path, tmp_path: Path
) -> None:
    assert Provenance.load(str(teacher)).fixed_dimensional == FixedDimensional()
    untrained = replace(recipe, training=replace(recipe.training, epochs=0))
    own = FixedDimensional(repetitions=4, bits=2, seed=3)
    for shape, expected in ((None, FixedDimensional()), (own, own)):
        folder = distill(replace(untrained, fixed_dimensional=shape), tmp_path / str(expected) / "toy")
        assert Provenance.load(str(folder)).fixed_dimensional == expected
    with pytest.raises(RecipeError, match="fixed_dimensional is for late_interaction"):
        replace(recipe, late_interaction=False, fixed_dimensional=own)


@pytest.mark.parametrize("start", ["table", "glosses"])
def test_a_recipe_may_weigh_queries_when_training_is_over(
    recipe: Recipe, teacher: Path, collection: tuple[str, str], tmp_path: Path, start: Any
) -> None:
    names = [collection[1]] if start == "glosses" else []
    student = StudentRecipe(vocabulary=None if names else 150, start=start, names=names)
    training = replace(recipe.training, epochs=0 if names else 0.2)
    plain = replace(recipe, student=student, training=training, development=None)
    folders = {
        weights: distill(replace(plain, query_weights=weights), tmp_path / weights / "toy")
        for weights in ("uniform", "idf")
    }
    uniform, weighed = (load_encoder(str(folder), "cpu") for folder in folders.values())
    assert (uniform.weighs_queries, weighed.weighs_queries) == (False, True)
    question = next(iter(read_bitext(recipe.bitext[0]))).foreign
    [ours], [theirs] = weighed.query_tokens([question]), uniform.query_tokens([question])
    lengths = np.linalg.norm(ours, axis=1)
    np.testing.assert_allclose(ours / lengths[:, None], theirs, atol=1e-4)
    assert 0 < lengths.min() < lengths.max() <= 1
    # As the start of another student it has no weights.
    other = replace(plain, student=StudentRecipe(model=str(folders["idf"]), vocabulary=None, start="pieces"))
    again = load_encoder(str(distill(replace(other, training=replace(training, epochs=0)), tmp_path / "other")), "cpu")
    np.testing.assert_allclose(np.linalg.norm(again.query_tokens([question])[0], axis=1), 1, atol=1e-4)
    with pytest.raises(RecipeError, match="query_weights: idf is for"):
        replace(plain, documents="self", student=StudentRecipe(vocabulary=150), query_weights="idf")
