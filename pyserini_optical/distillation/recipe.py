"""Recipes: a YAML file that says how an encoder is made. Data only: nothing in it runs, unknown keys are refused."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_type_hints

from pyserini_optical.couplings import COUPLINGS, Coupling
from pyserini_optical.data import Pathish
from pyserini_optical.data.settings import PLAIN, check, nearest, read_settings
from pyserini_optical.errors import RecipeError
from pyserini_optical.objectives import OBJECTIVES, RELEVANCE_OBJECTIVES, Objective, RelevanceObjective

Side: TypeAlias = Literal["foreign", "english"]


@dataclass(frozen=True)
class StudentRecipe:
    """Where the student starts.

    Attributes
    ----------
    model : str or None
        The model to start from; the teacher if None.
    vocabulary : int or None
        Word pieces to learn on the foreign side; None keeps the tokeniser (for a multilingual start).
    start : {"plans", "table", "pieces"}
        How embeddings start: by a translation table counted in the bitext; by one summed from the transport plans of a
        student that started so; or as means of the teacher's pieces.
    map : {"none", "mean-offset", "bures"}
        A training-free map of the student's sentence vectors onto the teacher's, fitted on the bitext; see
        :func:`~pyserini_optical.models.training_free.map_vectors`.
    """

    model: str | None = None
    vocabulary: int | None = 16000
    start: Literal["plans", "table", "pieces"] = "plans"
    map: Literal["none", "mean-offset", "bures"] = "none"

    def __post_init__(self) -> None:
        if self.vocabulary is not None and self.vocabulary < 1:
            raise RecipeError(f"vocabulary must be at least 1, or null to keep the tokeniser, got {self.vocabulary!r}")
        if self.start == "plans" and self.model is not None and self.vocabulary is not None:
            raise RecipeError("start: plans moves the teacher's embeddings into the student, which must start from it")


@dataclass(frozen=True)
class TrainingRecipe:
    """How the student is trained.

    Attributes
    ----------
    epochs : float
        Passes over the bitext; 0 leaves the student at its start.
    batch_size : int
        Sentence pairs a step.
    learning_rate : float
        Peak of AdamW's learning rate, after a linear warm-up and before a linear decay to zero.
    warmup : float
        Share of the steps that warm up.
    clip : float
        Largest norm of the gradient; 0 for no limit.
    max_length : int
        Sentences are cut after so many pieces.
    checkpoint_steps : int
        Every so many steps the state is saved, for a later process to go on from, and the development set is tried.
    patience : int
        Training ends after so many tries without a better one.
    """

    epochs: float = 3
    batch_size: int = 64
    learning_rate: float = 1e-4
    warmup: float = 0.1
    clip: float = 1.0
    max_length: int = 128
    checkpoint_steps: int = 200
    patience: int = 4

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("max_length", 3), ("checkpoint_steps", 1), ("patience", 1)):
            if getattr(self, name) < least:
                raise RecipeError(f"{name} must be at least {least}, got {getattr(self, name)!r}")
        if self.warmup > 1:
            raise RecipeError(f"warmup must be a share of the steps, from 0 to 1, got {self.warmup!r}")


@dataclass(frozen=True)
class RelevanceRecipe:
    """How the student, aligned by then, learns its teacher's scores of passages.

    Attributes
    ----------
    topics : list of str
        Topics files of foreign questions.
    translations : list of str
        For each of them the topics file with the questions in English, by the same ids.
    qrels : list of str
        For each of them the qrels; of several relevant passages the first counts.
    corpus : str
        The passages, JSONL.
    objectives : list of dict
        As a recipe's, of :data:`~pyserini_optical.objectives.RELEVANCE_OBJECTIVES`.
    candidates : int
        Each question brings so many passages beside its relevant one, those that BM25 finds with its translation, and
        is scored with all passages of the batch.
    training : TrainingRecipe
        ``batch_size`` counts questions; ``max_length`` cuts them. There is no early stopping.
    """

    topics: list[str]
    translations: list[str]
    qrels: list[str]
    corpus: str
    objectives: list[dict[str, Any]] = field(default_factory=lambda: [{"name": "relevance-kl"}])
    candidates: int = 7
    training: TrainingRecipe = field(default_factory=TrainingRecipe)

    def __post_init__(self) -> None:
        if not len(self.topics) == len(self.translations) == len(self.qrels) > 0:
            counts = f"{len(self.topics)}, {len(self.translations)} and {len(self.qrels)}"
            raise RecipeError(f"topics, translations and qrels must be as many files each, got {counts}")
        if not self.make_objectives():
            raise RecipeError("objectives must name at least one relevance objective")
        if not self.training.epochs:
            raise RecipeError("training.epochs must be above 0; leave the relevance part out to do without it")

    def make_objectives(self) -> dict[str, tuple[float, RelevanceObjective]]:
        """Give weight and objective by name; errors as of :meth:`Recipe.make_objectives`."""
        return _make_objectives(self.objectives, RELEVANCE_OBJECTIVES)


@dataclass(frozen=True)
class Recipe:
    """How an encoder is made.

    Attributes
    ----------
    name : str
        Name of the encoder, and of its folder beside the recipe.
    teacher : str
        The English retriever, by path, hub name or ``package:…``.
    bitext : list of str
        Files of sentence pairs.
    objectives : list of dict
        Each has a ``name``, a ``weight`` (1 by default) and that objective's own options; ``coupling`` is a name or a
        dict with ``name`` and that coupling's options. With ``side: english`` it is an anchor: the student's own
        reading of the English side is kept near the teacher's.
    student, training
        See :class:`StudentRecipe` and :class:`TrainingRecipe`.
    development : str or None
        Sentence pairs for early stopping by mate retrieval, kept out of training.
    exclude : list of str
        Topics files whose texts must not be trained on.
    late_interaction : bool
        Whether teacher and student score by MaxSim over their token vectors; a teacher that was not made for it gives
        its token vectors as they are.
    special_tokens : bool
        Whether [CLS] and [SEP] take part in token alignment (late interaction leaves them out).
    documents : {"teacher", "self"}
        Who encodes the documents.
    seed : int
        Of everything random.
    limit : int or None
        Learn from so many pairs of the bitext, drawn with the seed; with the same seed fewer are among more.
    relevance : RelevanceRecipe or None
        A second stage, on questions.
    """

    name: str
    teacher: str
    bitext: list[str]
    objectives: list[dict[str, Any]]
    student: StudentRecipe = field(default_factory=StudentRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    development: str | None = None
    exclude: list[str] = field(default_factory=list)
    late_interaction: bool = False
    special_tokens: bool = False
    documents: Literal["teacher", "self"] = "teacher"
    seed: int = 0
    limit: int | None = None
    relevance: RelevanceRecipe | None = None

    def __post_init__(self) -> None:
        if not self.name or Path(self.name).name != self.name:
            raise RecipeError(f"name must be fit for a folder, got {self.name!r}")
        if not self.bitext:
            raise RecipeError("bitext must name at least one file")
        if self.late_interaction and any(entry.get("name") == "sentence-mse" for entry in self.objectives):
            raise RecipeError("sentence-mse compares sentence vectors; a late-interaction model has none, remove it")
        if self.late_interaction and self.special_tokens:
            raise RecipeError("special_tokens has no effect on late interaction, which leaves them out; remove it")
        if self.seed >= 2**32:
            raise RecipeError(f"seed must be below 2**32, got {self.seed}")
        if self.limit is not None and self.limit < 1:
            raise RecipeError(f"limit must be at least 1, got {self.limit}")
        self.make_objectives("english")
        if not self.make_objectives() and self.training.epochs:
            raise RecipeError("objectives must name at least one objective, or training.epochs be 0")
        if self.student.map != "none" and (self.training.epochs or self.relevance is not None):
            raise RecipeError("student.map is for students that are not trained; set training.epochs to 0")
        if self.student.map != "none" and self.late_interaction:
            raise RecipeError("student.map moves sentence vectors, which a late-interaction model has not; remove it")
        if self.documents == "self" and (self.student.map != "none" or self.relevance is not None):
            raise RecipeError("student.map and relevance are for students of questions; set documents to teacher")

    def make_objectives(self, side: Side = "foreign") -> dict[str, tuple[float, Objective]]:
        """Give weight and objective by name, of those on one side of the bitext.

        Raises
        ------
        RecipeError
            An unknown objective, coupling, side or option, or one twice.
        """
        of_side = []
        for entry in self.objectives:
            options = dict(entry)
            if check(options.pop("side", "foreign"), Side, f"objectives: side of {options.get('name')}") == side:
                of_side.append(options)
        return _make_objectives(of_side, OBJECTIVES)

    def as_dict(self) -> dict[str, Any]:
        """Give the recipe as plain data, for manifests.

        What was not there in the first version is left out unless it is used: checkpoints from before stay what they
        are.
        """
        plain = asdict(self)
        for part, key in ((plain, "limit"), (plain, "relevance"), (plain["student"], "map")):
            if part[key] in (None, "none"):
                del part[key]
        return plain


def _make_objectives(entries: Sequence[Mapping[str, Any]], registry: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for entry in entries:
        options = dict(entry)
        name = options.pop("name", None)
        weight = check(options.pop("weight", 1.0), float, f"objectives: weight of {name}")
        if name in made:
            raise RecipeError(f"objectives: {name} stands there twice")
        if "coupling" in options:
            options["coupling"] = _make_coupling(options["coupling"])
        made[name] = (float(weight), _make(name, registry, options, "objectives"))
    return made


def _make_coupling(value: Any) -> Coupling:
    options = dict(value) if isinstance(value, dict) else {"name": value}
    coupling: Coupling = _make(options.pop("name", None), COUPLINGS, options, "coupling")
    return coupling


def _make(name: Any, registry: Mapping[str, Any], options: Mapping[str, Any], where: str) -> Any:
    if not isinstance(name, str) or name not in registry:
        problem = "a name is missing" if name is None else f"unknown name {name!r}"
        raise RecipeError(f"{where}: {problem}{nearest(str(name), registry)}")
    made = registry[name]
    allowed = inspect.signature(made).parameters
    hints = get_type_hints(made if is_dataclass(made) else made.__init__)
    checked = {}
    for key, value in options.items():
        if key not in allowed:
            raise RecipeError(f"{where}: {name} has no option {key!r}{nearest(str(key), allowed)}")
        # What is not plain, a coupling, is made already.
        checked[key] = check(value, hints[key], f"{where}: {name}: {key}") if hints[key] in PLAIN else value
    try:
        return made(**checked)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{where}: {name}: {error}") from None


def load_recipe(path: Pathish, settings: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    path : path-like
        The YAML file.
    settings : sequence of str
        ``key=value`` over what the file says; see :func:`~pyserini_optical.data.settings.read_settings`.

    Raises
    ------
    InputError
        The file cannot be read.
    RecipeError
        It is not a recipe.
    """
    return read_settings(Recipe, path, settings)
