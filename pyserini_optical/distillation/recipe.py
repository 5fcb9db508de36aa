"""Recipes: a YAML file that says how an encoder is made. Data only: nothing in it runs, unknown keys are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from pyserini_optical.data import Pathish
from pyserini_optical.data.settings import check, read_settings
from pyserini_optical.distillation.named import make_objectives
from pyserini_optical.distillation.quick_recipe import QuickRecipe
from pyserini_optical.distillation.training_recipe import TrainingRecipe as TrainingRecipe
from pyserini_optical.distillation.training_recipe import check_name_and_seed
from pyserini_optical.errors import RecipeError
from pyserini_optical.models.fixed_dimensional import FixedDimensional
from pyserini_optical.models.names import resolve_file
from pyserini_optical.objectives import OBJECTIVES, RELEVANCE_OBJECTIVES, Objective, RelevanceObjective
from pyserini_optical.objectives.marginals import Weighing

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
    start : {"plans", "table", "pieces", "glosses"}
        How embeddings start: by a translation table counted in the bitext (``table``); by one summed from the transport
        plans of a student that started so; or as means of the teacher's pieces. With ``glosses`` they stay the
        teacher's, the student reads each foreign word as its most probable translation, and ``vocabulary`` is None.
    map : {"none", "mean-offset", "bures"}
        A training-free map of the student's sentence vectors onto the teacher's, fitted on the bitext; see
        :func:`~pyserini_optical.models.training_free.map_vectors`.
    names : list of str
        For ``glosses``: English corpora, JSONL. A word that the bitext lacks is read as the word that it spells, of the
        bitext's, the teacher's and these; one of several translations as that which meets the text's other words in
        their passages.
    sounds : str or None
        For ``glosses``: a pronouncing dictionary (:func:`~pyserini_optical.models.sounds.read_pronunciations`), a path
        or ``package:…``. What a word spells may then be written by its sounds, too.
    """

    model: str | None = None
    vocabulary: int | None = 16000
    start: Literal["plans", "table", "pieces", "glosses"] = "plans"
    map: Literal["none", "mean-offset", "bures"] = "none"
    names: list[str] = field(default_factory=list)
    sounds: str | None = None

    def __post_init__(self) -> None:
        if self.vocabulary is not None and self.vocabulary < 1:
            raise RecipeError(f"vocabulary must be at least 1, or null to keep the tokeniser, got {self.vocabulary!r}")
        if self.start == "glosses" and self.vocabulary is not None:
            raise RecipeError("start: glosses reads English words and learns no pieces; set student.vocabulary to null")
        if (self.names or self.sounds) and self.start != "glosses":
            raise RecipeError("student.names and student.sounds are for start: glosses")
        if self.start == "plans" and self.model is not None and self.vocabulary is not None:
            raise RecipeError("start: plans moves the teacher's embeddings into the student, which must start from it")

    @property
    def counts(self) -> bool:
        """Whether a translation table is counted in the bitext."""
        return self.start == "glosses" or (self.vocabulary is not None and self.start != "pieces")


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
        return make_objectives(self.objectives, RELEVANCE_OBJECTIVES)


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
        Whether special tokens take part in alignment: [CLS] and [SEP], and the markers and [MASK]s that a
        late-interaction model adds to a query. What such a model scores by stays as it is.
    marginals : {"uniform", "norm", "idf"}
        What the tokens that take part weigh by in alignment: all alike, by the length of their vectors, or by how rare
        their pieces are in the bitext; see :mod:`pyserini_optical.objectives.marginals`. A start from plans has all
        alike.
    documents : {"teacher", "self"}
        Who encodes the documents.
    query_weights : {"uniform", "idf"}
        What the tokens of a query weigh in late interaction, when training is over: all alike, or by how rare their
        pieces are (:func:`~pyserini_optical.models.late_interaction.weigh_queries`), in ``student.names`` or else in
        the side of the bitext whose pieces the student reads.
    fixed_dimensional : FixedDimensional or None
        Shape and seed of the single vectors that stand for a late-interaction student's token vectors
        (:class:`~pyserini_optical.models.fixed_dimensional.FixedDimensional`); the teacher's by default.
    seed : int
        Of everything random.
    limit : int or None
        Learn from so many pairs of the bitext, drawn with the seed; with the same seed fewer are among more.
    mini_batch_size : int or None
        The student reads each batch of sentence pairs in parts of so many, twice: large batches for contrastive
        objectives, with the model's memory of small ones, for one more forward pass.
    relevance : RelevanceRecipe or None
        A second stage, on questions with translations.
    quick : QuickRecipe or None
        A last stage, QuiCK: a query generator teaches on passages of the target collection. With it, and a student that
        is not aligned (``training.epochs`` 0, ``student.vocabulary`` null), ``bitext`` may be empty.
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
    marginals: Weighing = "uniform"
    documents: Literal["teacher", "self"] = "teacher"
    query_weights: Literal["uniform", "idf"] = "uniform"
    fixed_dimensional: FixedDimensional | None = None
    seed: int = 0
    limit: int | None = None
    mini_batch_size: int | None = None
    relevance: RelevanceRecipe | None = None
    quick: QuickRecipe | None = None

    def __post_init__(self) -> None:
        check_name_and_seed(self.name, self.seed)
        aligned = self.training.epochs or self.student.vocabulary is not None or self.student.start == "glosses"
        if not self.bitext and (aligned or self.quick is None):
            raise RecipeError("bitext must name at least one file")
        if self.late_interaction and any(entry.get("name") == "sentence-mse" for entry in self.objectives):
            raise RecipeError("sentence-mse compares sentence vectors; a late-interaction model has none, remove it")
        if self.fixed_dimensional is not None and not self.late_interaction:
            raise RecipeError("fixed_dimensional is for late_interaction: true; remove it")
        if self.query_weights != "uniform" and (not self.late_interaction or self.documents == "self"):
            raise RecipeError("query_weights: idf is for late_interaction: true and documents: teacher")
        for count in ("limit", "mini_batch_size"):
            if (value := getattr(self, count)) is not None and value < 1:
                raise RecipeError(f"{count} must be at least 1, got {value}")
        self.make_objectives("english")
        if not self.make_objectives() and self.training.epochs:
            raise RecipeError("objectives must name at least one objective, or training.epochs be 0")
        if self.student.map != "none" and (
            self.training.epochs or self.relevance is not None or self.quick is not None
        ):
            raise RecipeError("student.map is for students that are not trained; set training.epochs to 0")
        if self.student.map != "none" and self.late_interaction:
            raise RecipeError("student.map moves sentence vectors, which a late-interaction model has not; remove it")
        stages = self.relevance is not None or self.quick is not None
        if self.documents == "self" and (self.student.map != "none" or self.student.start == "glosses" or stages):
            what = "start: glosses, student.map, relevance and quick are for students of questions"
            raise RecipeError(f"{what}; set documents to teacher")

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
        return make_objectives(of_side, OBJECTIVES)

    @property
    def files(self) -> list[str]:
        """All files that it names."""
        found = [*self.bitext, *self.exclude, *self.student.names]
        found += [str(resolve_file(self.student.sounds))] if self.student.sounds else []
        found += [self.development] if self.development else []
        if (relevance := self.relevance) is not None:
            found += [*relevance.topics, *relevance.translations, *relevance.qrels, relevance.corpus]
        if (quick := self.quick) is not None:
            found += [*quick.topics, *quick.qrels, *quick.runs, quick.corpus]
        return found

    def as_dict(self) -> dict[str, Any]:
        """Give the recipe as plain data, for manifests.

        Parts that a recipe does not use are left out: a new one leaves the manifests of other recipes as they are.
        """
        plain = asdict(self)
        student = plain["student"]
        for part, key in (
            (plain, "marginals"),
            (plain, "query_weights"),
            (plain, "fixed_dimensional"),
            (plain, "limit"),
            (plain, "mini_batch_size"),
            (plain, "relevance"),
            (plain, "quick"),
            (student, "map"),
            (student, "names"),
            (student, "sounds"),
        ):
            if part[key] in (None, "none", [], "uniform"):
                del part[key]
        return plain


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
