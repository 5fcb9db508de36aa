"""What an encoder is made from: the sentence pairs and questions that a recipe names, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from pyserini_optical.data import (
    Manifest,
    Pair,
    filter_bitext,
    fingerprint,
    fingerprint_texts,
    read_bitext,
    read_topics,
)
from pyserini_optical.distillation.quick_lesson import QuickLesson, read_quick_lesson, without_files
from pyserini_optical.distillation.recipe import Recipe
from pyserini_optical.distillation.relevance import Lesson, read_lesson, without_paths
from pyserini_optical.errors import InputError, RecipeError
from pyserini_optical.models.names import resolve_file
from pyserini_optical.progress import say


class Lessons(NamedTuple):
    """What the student learns from, stage by stage."""

    pairs: list[Pair]
    development: list[Pair]
    relevance: Lesson | None
    quick: QuickLesson | None


def check_model(name: str, *, late_interaction: bool) -> None:
    """Refuse a model of another kind than what is made from it.

    Raises
    ------
    RecipeError
        It was made for late interaction and the recipe pools, or it is a cross-encoder.
    """
    from pyserini_optical.models.cross_encoder import is_cross_encoder
    from pyserini_optical.models.late_interaction import is_late_interaction

    if is_cross_encoder(name):
        raise RecipeError(f"{name} is a cross-encoder, which has no vectors; name a retriever")
    if not late_interaction and is_late_interaction(name):
        raise RecipeError(f"{name} was made for late interaction; set late_interaction to true, or name another model")


def check_models(recipe: Recipe) -> None:
    """Check teacher and student of a recipe as :func:`check_model` does."""
    for model in dict.fromkeys((recipe.teacher, recipe.student.model or recipe.teacher)):
        check_model(model, late_interaction=recipe.late_interaction)


def read_lessons(recipe: Recipe) -> Lessons:
    """Read all that a recipe names, before anything is made.

    Raises
    ------
    InputError
        A file cannot be used, or no sentence pair is left.
    RecipeError
        As :func:`check_model`, of teacher and student.
    """
    check_models(recipe)
    wanted = dict.fromkeys(
        map(Path, recipe.student.names), "the passages to be searched by student.names, or [] for none"
    )
    if recipe.student.sounds:
        wanted[resolve_file(recipe.student.sounds)] = "a pronouncing dictionary by student.sounds, or null for none"
    for path, what in wanted.items():
        if not path.exists():
            raise InputError("no such file", path=path, remedy=f"name {what}")
    development = read_bitext(recipe.development) if recipe.development else []
    exclude = [text for path in recipe.exclude for text in read_topics(path).values()]
    exclude += [text for pair in development for text in (pair.foreign, pair.english)]
    pairs, report = filter_bitext([pair for path in recipe.bitext for pair in read_bitext(path)], exclude=exclude)
    say(f"bitext: {report}")
    if recipe.bitext and not pairs:
        raise InputError("no sentence pair is left after filtering", path=recipe.bitext[0], remedy="give more bitext")
    if recipe.limit is not None and recipe.limit < len(pairs):
        chosen = np.random.default_rng(recipe.seed).permutation(len(pairs))[: recipe.limit]
        pairs = [pairs[number] for number in chosen]
        say(f"drawn: {len(pairs):,} pairs")
    relevance = read_lesson(recipe.relevance, exclude) if recipe.relevance is not None else None
    quick = read_quick_lesson(recipe.quick, exclude) if recipe.quick is not None else None
    return Lessons(pairs, development, relevance, quick)


def manifest_of(recipe: Recipe, read: Lessons) -> Manifest:
    """Say what the checkpoint is made from, so that it is known when it is there."""
    from pyserini_optical.models.glosses import READING
    from pyserini_optical.models.table import COUNTING
    from pyserini_optical.models.transformer import weights_fingerprint

    inputs = {
        "bitext": fingerprint_texts(text for pair in read.pairs for text in (pair.foreign, pair.english)),
        "development": fingerprint_texts(text for pair in read.development for text in (pair.foreign, pair.english)),
        "teacher": weights_fingerprint(recipe.teacher),
        "student": weights_fingerprint(recipe.student.model or recipe.teacher),
    }
    if recipe.student.counts:
        inputs["counting"] = COUNTING
    if recipe.student.start == "glosses":
        inputs["reading"] = READING
    parameters = recipe.as_dict()
    for path in ("bitext", "development", "exclude"):
        del parameters[path]
    if names := parameters["student"].pop("names", []):
        inputs["names"] = fingerprint_texts(map(fingerprint, names))
    if sounds := parameters["student"].pop("sounds", None):
        inputs["sounds"] = fingerprint(resolve_file(sounds))
    if read.relevance is not None:
        inputs["relevance"] = read.relevance.fingerprint
        parameters["relevance"] = without_paths(parameters["relevance"])
    if recipe.quick is not None and read.quick is not None:
        inputs["quick"] = read.quick.fingerprint
        models = {"generator": recipe.quick.generator, "cross-encoder": recipe.quick.cross_encoder}
        inputs |= {name: weights_fingerprint(model) for name, model in models.items() if model is not None}
        parameters["quick"] = without_files(parameters["quick"])
    return Manifest("distill", inputs=inputs, parameters=parameters)
