"""One encoder from a recipe: read, extend, train, save; every part that is done is kept for a later process."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyserini_optical.data import (
    Manifest,
    Pair,
    Pathish,
    fingerprint_texts,
    only_process,
    read_corpus,
)
from pyserini_optical.distillation.card import model_card, provenance
from pyserini_optical.distillation.checkpoint import Checkpoint
from pyserini_optical.distillation.lessons import Lessons, manifest_of, read_lessons
from pyserini_optical.distillation.quick import distil_quick
from pyserini_optical.distillation.recipe import Recipe, load_recipe
from pyserini_optical.distillation.relevance import distil_relevance
from pyserini_optical.distillation.starting import load_model, start_student
from pyserini_optical.errors import RecipeError
from pyserini_optical.processes import count, first, is_first
from pyserini_optical.progress import progress, say

if TYPE_CHECKING:
    from pyserini_optical.distillation.development import MateRetrieval
    from pyserini_optical.distillation.training import Model
    from pyserini_optical.models.teacher import TeacherVectors
    from pyserini_optical.objectives import Marginals


def distill(
    recipe: Recipe | Pathish,
    output: Pathish | None = None,
    *,
    settings: Sequence[str] = (),
    work: Pathish | None = None,
) -> Path:
    """Make one encoder from a recipe.

    Parameters
    ----------
    recipe : Recipe or path-like
        The recipe, or its YAML file.
    output : path-like, optional
        Folder of the checkpoint; by default the encoder's name beside the recipe's file, or in the working directory.
    settings : sequence of str
        ``key=value`` over what the file says.
    work : path-like, optional
        Folder where the teacher's vectors of the bitext (2 bytes × dimension a token), the untrained student and the
        teacher's index of QuiCK's corpus stay, for other recipes on the same sentence pairs or passages, and for
        studies with this ``--work``; by default they go when the checkpoint is made.

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

    Notes
    -----
    Several processes that ``torchrun`` or ``accelerate launch`` started make one checkpoint: the first one prepares and
    writes all of it, and all of them train, each on a share of every batch. They must see the same files.
    """
    with ExitStack() as held:
        with first():
            folder = Path()
            if not isinstance(recipe, Recipe):
                folder = Path(recipe).parent
                recipe = load_recipe(recipe, settings)
            _check_shares(recipe)
            checkpoint = Checkpoint(output if output is not None else folder / recipe.name)
            if is_first():
                held.enter_context(only_process(checkpoint.output))
        return _distill(recipe, checkpoint, Path(work) if work is not None else None)


def _check_shares(recipe: Recipe) -> None:
    """Refuse batches that several processes cannot share evenly."""
    trainings = {"": recipe.training}
    if recipe.relevance is not None:
        trainings["relevance."] = recipe.relevance.training
    if recipe.quick is not None:
        trainings["quick."] = recipe.quick.training
    for part, training in trainings.items():
        if training.batch_size % count():
            raise RecipeError(
                f"{part}training.batch_size is {training.batch_size}, which {count()} processes cannot share evenly; "
                f"set it to a multiple of {count()} or start another number of processes"
            )


def _distill(recipe: Recipe, checkpoint: Checkpoint, kept: Path | None) -> Path:
    with first():
        read = read_lessons(recipe)
        manifest = manifest_of(recipe, read)
        if checkpoint.is_made(manifest):
            return checkpoint.output
        work = checkpoint.claim(manifest) if is_first() else checkpoint.work
    student, log = _make(recipe, read, work, manifest, kept)
    with first():  # the others wait, or an end of theirs might end it
        if is_first():
            checkpoint.save(student, manifest, provenance(recipe, manifest), model_card(recipe), log)
    return checkpoint.output


def _make(
    recipe: Recipe, read: Lessons, work: Path, manifest: Manifest, kept: Path | None
) -> tuple[Model, list[dict[str, Any]]]:
    from transformers import set_seed

    from pyserini_optical.distillation.development import MateRetrieval

    pairs = read.pairs
    with first():
        set_seed(recipe.seed)
        teacher = load_model(recipe, recipe.teacher)
        vectors = None
        if recipe.training.epochs or (recipe.student.start == "plans" and recipe.student.vocabulary is not None):
            vectors = _vectors(
                recipe, teacher, [pair.english for pair in pairs], work, manifest.inputs["teacher"], kept
            )
        student = start_student(recipe, teacher, vectors, pairs, manifest, kept or work)
        evaluator = MateRetrieval(teacher, read.development) if read.development else None
        if evaluator is not None and is_first():
            say(f"at the start: mate retrieval MRR {evaluator(student)['mate_mrr']:.4f}")
    log = []
    if recipe.training.epochs and vectors is not None:
        log = _align(student, vectors, recipe, pairs, evaluator, work)
    seed = recipe.seed
    if recipe.relevance is not None and read.relevance is not None:
        log += distil_relevance(student, teacher, read.relevance, recipe.relevance, seed=seed, work=work / "relevance")
        if evaluator is not None and is_first():
            say(f"after relevance distillation: mate retrieval MRR {evaluator(student)['mate_mrr']:.4f}")
    if recipe.quick is not None and read.quick is not None:
        log += distil_quick(
            student,
            teacher,
            read.quick,
            recipe.quick,
            documents=recipe.teacher,
            seed=seed,
            work=work / "quick",
            kept=kept / "indexes" if kept is not None else None,
        )
        if evaluator is not None and is_first():
            say(f"after QuiCK: mate retrieval MRR {evaluator(student)['mate_mrr']:.4f}")
    if recipe.query_weights == "idf":
        _weigh(recipe, student, pairs)
    return student, log


def _weigh(recipe: Recipe, student: Model, pairs: Sequence[Pair]) -> None:
    """Weigh the tokens of queries by how rare their pieces are; with glosses these are English."""
    from pyserini_optical.models.late_interaction import weigh_queries

    texts = [pair.foreign for pair in pairs]
    if recipe.student.start == "glosses":
        texts = [passage.text for path in recipe.student.names for passage in read_corpus(path)]
        texts = texts or [pair.english for pair in pairs]
    weigh_queries(student, texts)


def _vectors(
    recipe: Recipe, teacher: Model, sentences: list[str], work: Path, teacher_mark: str, kept: Path | None
) -> TeacherVectors:
    """Give the teacher's vectors, from where other recipes left them or will find them."""
    from pyserini_optical.models.device import machine
    from pyserini_optical.models.teacher import COMPUTING, TeacherVectors

    cache = work / "teacher"
    if kept is not None:
        how = [COMPUTING, machine(str(teacher.device))["precision"], teacher_mark]
        how += map(str, (recipe.special_tokens, recipe.marginals, recipe.late_interaction, recipe.training.max_length))
        cache = kept / "vectors" / fingerprint_texts([*how, *sentences])[:16]
    with ExitStack() as held, progress("teacher's vectors, sentences", len(sentences)) as advance:
        if kept is not None and is_first():
            held.enter_context(only_process(cache))
        return TeacherVectors(
            teacher,
            sentences,
            cache=cache,
            fingerprint=teacher_mark,
            marginals=_marginals(recipe, teacher, sentences),
            max_length=recipe.training.max_length,
            advance=advance,
        )


def _align(
    student: Model,
    vectors: TeacherVectors,
    recipe: Recipe,
    pairs: Sequence[Pair],
    evaluator: MateRetrieval | None,
    work: Path,
) -> list[dict[str, Any]]:
    """Train the student on the bitext."""
    from datasets import Dataset

    from pyserini_optical.distillation.sampler import by_length
    from pyserini_optical.distillation.training import train
    from pyserini_optical.objectives import DistillationLoss

    anchor = recipe.make_objectives("english")
    foreign = [pair.foreign for pair in pairs]
    loss = DistillationLoss(
        student,
        vectors,
        recipe.make_objectives(),
        marginals=_marginals(recipe, student, foreign + [pair.english for pair in pairs if anchor]),
        english=anchor,
        mini_batch_size=recipe.mini_batch_size,
    )
    columns: dict[str, list[Any]] = {"foreign": foreign}
    if anchor:
        columns["english"] = [pair.english for pair in pairs]
    return train(
        student,
        loss,
        Dataset.from_dict(columns | {"label": list(range(len(foreign)))}),
        recipe.training,
        seed=recipe.seed,
        work=work / "trainer",
        sampler=by_length([len(sentence) for sentence in foreign]),
        development=evaluator,
        queries=["english"],
    )


def _marginals(recipe: Recipe, model: Model, sentences: Sequence[str]) -> Marginals:
    """Give what the tokens of one side weigh."""
    from pyserini_optical.models.teacher import piece_idf
    from pyserini_optical.objectives import Marginals

    idf = piece_idf(model, sentences, recipe.training.max_length) if recipe.marginals == "idf" else None
    return Marginals.of(model.tokenizer, special_tokens=recipe.special_tokens, by=recipe.marginals, idf=idf)
