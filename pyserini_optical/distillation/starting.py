"""The student before any training: made once, for all processes, and for other recipes that start so."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pyserini_optical.data import Manifest, Pair, fingerprint_files, fingerprint_texts, only_process
from pyserini_optical.distillation.checkpoint import MANIFEST
from pyserini_optical.distillation.recipe import Recipe
from pyserini_optical.errors import RecipeError
from pyserini_optical.models.names import resolve_file
from pyserini_optical.processes import is_first
from pyserini_optical.progress import progress, say

if TYPE_CHECKING:
    from pyserini_optical.distillation.training import Model
    from pyserini_optical.models.teacher import TeacherVectors

# By this students are known that start as they do here; raised when that changes.
STARTING = "1"

# What of a recipe and of its inputs says how its student starts.
_PARAMETERS = ("student", "late_interaction", "special_tokens", "seed")
_INPUTS = ("bitext", "teacher", "student", "counting", "reading", "names", "sounds")


def load_model(recipe: Recipe, name: str) -> Model:
    """Load a model as the recipe's kind: pooled, or for late interaction."""
    from pyserini_optical.models.late_interaction import load_late_interaction, unweighed
    from pyserini_optical.models.transformer import load_transformer

    return unweighed(load_late_interaction(name)) if recipe.late_interaction else load_transformer(name)


def start_student(
    recipe: Recipe,
    teacher: Model,
    vectors: TeacherVectors | None,
    pairs: Sequence[Pair],
    manifest: Manifest,
    kept: Path,
) -> Model:
    """Make the untrained student, or load it where it was made: a later process must not learn another vocabulary.

    Parameters
    ----------
    recipe : Recipe
        How it starts.
    teacher : SentenceTransformer or MultiVectorEncoder
        What it starts from.
    vectors : TeacherVectors or None
        Of the English side, for a start from plans.
    pairs : sequence of Pair
        The bitext.
    manifest : Manifest
        What the checkpoint is made from.
    kept : Path
        Folder below which ``starts/`` holds it.

    Raises
    ------
    InputError
        What was kept is damaged, or another process makes it.
    RecipeError
        The model or its tokeniser does not fit the teacher's.
    """
    from pyserini_optical.models.transformer import save_transformer

    folder = kept / "starts" / _mark(recipe, manifest, str(teacher.device))
    with ExitStack() as held:
        if is_first():
            held.enter_context(only_process(folder))
        if not folder.is_dir():
            student = _made(recipe, teacher, vectors, pairs)
            beside = folder.with_name(f".{folder.name}")
            shutil.rmtree(beside, ignore_errors=True)
            save_transformer(student, beside)
            Manifest("start", outputs=fingerprint_files(beside)).save(beside / MANIFEST)
            os.replace(beside, folder)
        Manifest.load(folder / MANIFEST).check(folder, f"remove {folder} and distil again")
    # Loaded even when just made: every process trains from the same bytes.
    return load_model(recipe, str(folder))


def _mark(recipe: Recipe, manifest: Manifest, device: str) -> str:
    from pyserini_optical.models.device import machine

    inputs = {name: manifest.inputs.get(name) for name in _INPUTS}
    parameters = {name: manifest.parameters[name] for name in _PARAMETERS}
    how = [STARTING, machine(device)["precision"], recipe.training.max_length, inputs, parameters]
    return fingerprint_texts([json.dumps(how, sort_keys=True)])[:16]


def _made(recipe: Recipe, teacher: Model, vectors: TeacherVectors | None, pairs: Sequence[Pair]) -> Model:
    from pyserini_optical.distillation.glossing import start_from_glosses
    from pyserini_optical.models.plan_start import start_from_plans
    from pyserini_optical.models.student import Start, extend_student
    from pyserini_optical.models.training_free import map_vectors

    setting = recipe.student
    student = _of_size(load_model(recipe, setting.model or recipe.teacher), teacher)
    if setting.vocabulary is not None:
        say(f"learning {setting.vocabulary} word pieces; their embeddings start from: {setting.start}")
        length = recipe.training.max_length
        first: Start = "pieces" if setting.start == "pieces" else "table"
        extend_student(student, pairs, vocabulary=setting.vocabulary, start=first, max_length=length)
        if setting.start == "plans" and vectors is not None:
            foreign = [pair.foreign for pair in pairs]
            with progress("plans, sentence pairs", len(pairs)) as advance:
                start_from_plans(student, vectors, foreign, max_length=length, advance=advance)
    if setting.start == "glosses":
        sounds = resolve_file(setting.sounds) if setting.sounds else None
        start_from_glosses(student, pairs, setting.names, sounds)
    return map_vectors(student, teacher, pairs, setting.map) if setting.map != "none" else student


def _of_size(student: Model, teacher: Model) -> Model:
    """Give a student whose vectors are as long as the teacher's: token vectors can be projected, pooled ones not."""
    from pyserini_optical.models.late_interaction import project

    sizes = [int(model.get_embedding_dimension() or 0) for model in (teacher, student)]
    if sizes[0] == sizes[1]:
        return student
    if student.model_type == "MultiVectorEncoder":
        return project(student, sizes[0])
    raise RecipeError(
        f"the teacher's vectors have {sizes[0]} dimensions and the student's {sizes[1]}; choose a student of the "
        "teacher's size, leave out student.model to start from the teacher, or set late_interaction, which projects"
    )
