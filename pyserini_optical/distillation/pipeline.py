"""One encoder from a recipe: read, extend, train, save; every part that is done is kept for a later process."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyserini_optical.data import (
    Manifest,
    Pair,
    Pathish,
    filter_bitext,
    fingerprint_texts,
    read_bitext,
    read_topics,
    write_text,
)
from pyserini_optical.distillation.card import model_card
from pyserini_optical.distillation.recipe import Recipe, load_recipe
from pyserini_optical.errors import InputError, RecipeError
from pyserini_optical.progress import progress, say

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MANIFEST = "manifest.json"
_STEP = "distill"


def distill(recipe: Recipe | Pathish, output: Pathish | None = None, *, settings: Sequence[str] = ()) -> Path:
    """Make one encoder from a recipe.

    Parameters
    ----------
    recipe : Recipe or path-like
        The recipe, or its YAML file.
    output : path-like, optional
        Folder of the checkpoint; by default the encoder's name beside the recipe's file, or in the working directory.
    settings : sequence of str
        ``key=value`` over what the file says.

    Returns
    -------
    Path
        The checkpoint: a sentence-transformers folder with ``optical.json``, ``manifest.json`` and ``training.json``.
        If it is there and was made from the same recipe and data, nothing is done. While it is made, the parts lie in
        ``.NAME.work`` beside it, from which the same command goes on after a kill.

    Raises
    ------
    InputError, RecipeError, CheckpointError, SetupError
        A bad bitext, recipe or model.
    """
    if isinstance(recipe, Recipe):
        folder = Path()
    else:
        folder = Path(recipe).parent
        recipe = load_recipe(recipe, settings)
    output = (Path(output) if output is not None else folder / recipe.name).absolute()
    if output.exists() and not _is_ours(output) and not _is_empty(output):
        remedy = "choose another --output or remove it"
        raise InputError("exists and is not a checkpoint of ours", path=output, remedy=remedy)

    from pyserini_optical.models.transformer import weights_fingerprint

    pairs, development = _read(recipe)
    inputs = {
        "bitext": fingerprint_texts(text for pair in pairs for text in (pair.foreign, pair.english)),
        "development": fingerprint_texts(text for pair in development for text in (pair.foreign, pair.english)),
        "teacher": weights_fingerprint(recipe.teacher),
        "student": weights_fingerprint(recipe.student.model or recipe.teacher),
    }
    parameters = recipe.as_dict()
    for path in ("bitext", "development", "exclude"):
        del parameters[path]
    manifest = Manifest(_STEP, inputs=inputs, parameters=parameters)
    if (output / "model.safetensors").is_file() and _stands_for(output, manifest):
        say(f"{output}: is there already, made from the same recipe and data")
        return output

    work = output.parent / f".{output.name}.work"
    _claim(work, manifest)
    student, log = _make(recipe, pairs, development, work, inputs["teacher"])
    _save(student, log, recipe, manifest, work, output)
    return output


def _read(recipe: Recipe) -> tuple[list[Pair], list[Pair]]:
    development = read_bitext(recipe.development) if recipe.development else []
    exclude = [text for path in recipe.exclude for text in read_topics(path).values()]
    exclude += [text for pair in development for text in (pair.foreign, pair.english)]
    pairs, report = filter_bitext([pair for path in recipe.bitext for pair in read_bitext(path)], exclude=exclude)
    say(f"bitext: {report}")
    if not pairs:
        raise InputError("no sentence pair is left after filtering", path=recipe.bitext[0], remedy="give more bitext")
    return pairs, development


def _claim(work: Path, manifest: Manifest) -> None:
    """Keep the work of an earlier process if it was for the same thing, and begin anew otherwise."""
    if work.exists() and not _stands_for(work, manifest):
        shutil.rmtree(work)
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "choose an output directory that can be written to"
        raise InputError(f"cannot be written ({error.strerror})", path=work, remedy=remedy) from None
    manifest.save(work / MANIFEST)


def _stands_for(folder: Path, manifest: Manifest) -> bool:
    return (folder / MANIFEST).is_file() and Manifest.load(folder / MANIFEST).matches(manifest)


def _is_ours(folder: Path) -> bool:
    """Whether a folder is a checkpoint, which may be replaced: an index or a study has a manifest too."""
    return (folder / MANIFEST).is_file() and Manifest.load(folder / MANIFEST).step == _STEP


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _make(
    recipe: Recipe, pairs: Sequence[Pair], development: Sequence[Pair], work: Path, fingerprint: str
) -> tuple[SentenceTransformer, list[dict[str, Any]]]:
    from transformers import set_seed

    from pyserini_optical.distillation.development import MateRetrieval
    from pyserini_optical.distillation.training import train
    from pyserini_optical.models.teacher import TeacherVectors
    from pyserini_optical.models.transformer import load_transformer
    from pyserini_optical.objectives import DistillationLoss

    set_seed(recipe.seed)
    teacher = load_transformer(recipe.teacher)
    student = _start(recipe, pairs, work)
    sizes = [model.get_embedding_dimension() for model in (teacher, student)]
    if sizes[0] != sizes[1]:
        raise RecipeError(
            f"the teacher's vectors have {sizes[0]} dimensions and the student's {sizes[1]}; "
            "choose a student of the teacher's size, or leave out student.model to start from the teacher"
        )
    evaluator = MateRetrieval(teacher, development) if development else None
    if evaluator is not None:
        say(f"at the start: mate retrieval MRR {evaluator(student)['mate_mrr']:.4f}")
    if not recipe.training.epochs:
        return student, []
    with progress("teacher's vectors, sentences", len(pairs)) as advance:
        vectors = TeacherVectors(
            teacher,
            [pair.english for pair in pairs],
            cache=work / "teacher",
            fingerprint=fingerprint,
            special_tokens=recipe.special_tokens,
            max_length=recipe.training.max_length,
            advance=advance,
        )
    loss = DistillationLoss(student, vectors, recipe.make_objectives(), special_tokens=recipe.special_tokens)
    log = train(student, loss, [pair.foreign for pair in pairs], recipe, work / "trainer", evaluator)
    return student, log


def _start(recipe: Recipe, pairs: Sequence[Pair], work: Path) -> SentenceTransformer:
    """The untrained student, made once: a later process must not learn another vocabulary."""
    from pyserini_optical.models.student import extend_student
    from pyserini_optical.models.transformer import load_transformer, save_transformer

    folder = work / "start"
    if not folder.is_dir():
        setting = recipe.student
        student = load_transformer(setting.model or recipe.teacher)
        if setting.vocabulary is not None:
            say(f"learning {setting.vocabulary} word pieces; their embeddings start from: {setting.start}")
            length = recipe.training.max_length
            extend_student(student, pairs, vocabulary=setting.vocabulary, start=setting.start, max_length=length)
        beside = work / ".start"
        shutil.rmtree(beside, ignore_errors=True)
        save_transformer(student, beside)
        os.replace(beside, folder)
    # Loaded even when just made: every process trains from the same bytes.
    return load_transformer(str(folder))


def _save(
    student: SentenceTransformer,
    log: list[dict[str, Any]],
    recipe: Recipe,
    manifest: Manifest,
    work: Path,
    output: Path,
) -> None:
    from pyserini_optical.models.encoder import Provenance
    from pyserini_optical.models.transformer import save_transformer

    beside = work / "checkpoint"
    shutil.rmtree(beside, ignore_errors=True)
    save_transformer(student, beside)
    teaches = recipe.documents == "teacher"
    # A folder by its full path: the checkpoint is used from other working directories than it was made in.
    teacher = str(Path(recipe.teacher).absolute()) if Path(recipe.teacher).exists() else recipe.teacher
    Provenance(
        documents=teacher if teaches else "self",
        documents_fingerprint=manifest.inputs["teacher"] if teaches else None,
        recipe=recipe.as_dict(),
        inputs=manifest.inputs,
        versions=manifest.versions,
    ).save(beside)
    with write_text(beside / "README.md") as stream:
        stream.write(model_card(recipe))
    with write_text(beside / "training.json") as stream:
        json.dump(log, stream, indent=1)
        stream.write("\n")
    manifest.save(beside / MANIFEST)
    if output.exists():
        shutil.rmtree(output)
    os.replace(beside, output)
    shutil.rmtree(work)
