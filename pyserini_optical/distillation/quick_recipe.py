"""What a recipe says about its stage with a query generator, QuiCK."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pyserini_optical.distillation.named import make_objectives
from pyserini_optical.distillation.training_recipe import TrainingRecipe
from pyserini_optical.errors import RecipeError
from pyserini_optical.generation.settings import Generation
from pyserini_optical.objectives import RELEVANCE_OBJECTIVES, RelevanceObjective


@dataclass(frozen=True)
class AlignmentRecipe:
    """How questions of different languages on one passage are brought together, without parallel sentences.

    Attributes
    ----------
    languages : list of str
        For each question the generator writes another one in one of these, drawn with the seed.
    weight : float
        Beside the objectives.
    temperature, symmetric
        See :class:`~pyserini_optical.objectives.QuestionAlignment`.
    """

    languages: list[str]
    weight: float = 1.0
    temperature: float = 0.05
    symmetric: bool = True

    def __post_init__(self) -> None:
        if not self.languages:
            raise RecipeError("languages must name at least one to generate questions in")
        if self.temperature <= 0:
            raise RecipeError(f"temperature must be above zero, got {self.temperature:g}")


@dataclass(frozen=True)
class QuickRecipe:
    """How a query generator teaches the student: on questions with their passages, given or generated.

    Attributes
    ----------
    generator : str or None
        The query generator, by path or hub name; see ``train-generator``. It scores passages, and writes questions
        where there are none, or for the alignment; None where nothing of that is wanted.
    language : str
        Code of the questions' language, the tag that the generator knows.
    corpus : str
        The passages of the target collection, JSONL; no labels are needed.
    cross_encoder : str or None
        A cross-encoder that scores passages in the generator's place, for comparison; see ``fine-tune``.
    topics, qrels : list of str
        Topics files and for each its qrels, a person's or what ``generate`` wrote; of several relevant passages the
        first counts, and the others are no candidates. Without them questions are generated.
    questions : Generation
        How, where there are no topics.
    runs : list of str
        TREC runs on these topics, from which candidates are taken too.
    bm25 : bool
        Whether BM25 gives candidates, searching with the questions as they stand.
    candidates : int
        Passages beside the relevant one that the generator scores for each question: taken in turn from the student's
        own list, BM25's and the runs'.
    rounds : int
        Candidates are found anew, by the student as it is by then, before each of so many rounds of training.
    objectives : list of dict
        As a recipe's, of :data:`~pyserini_optical.objectives.RELEVANCE_OBJECTIVES`.
    alignment : AlignmentRecipe or None
        None leaves it out.
    training : TrainingRecipe
        Of each round; ``batch_size`` counts questions, ``max_length`` cuts them. There is no early stopping.
    """

    language: str
    corpus: str
    generator: str | None = None
    cross_encoder: str | None = None
    topics: list[str] = field(default_factory=list)
    qrels: list[str] = field(default_factory=list)
    questions: Generation = field(default_factory=Generation)
    runs: list[str] = field(default_factory=list)
    bm25: bool = True
    candidates: int = 7
    rounds: int = 2
    objectives: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"name": "info-nce", "temperature": 0.05},
            {"name": "relevance-kl", "temperature": 0.05, "teacher_temperature": 0.5, "weight": 400.0},
        ]
    )
    alignment: AlignmentRecipe | None = None
    training: TrainingRecipe = field(
        default_factory=lambda: TrainingRecipe(epochs=1, batch_size=16, learning_rate=2e-5, max_length=64)
    )

    def __post_init__(self) -> None:
        if len(self.topics) != len(self.qrels):
            raise RecipeError(f"topics and qrels must be as many, got {len(self.topics)} and {len(self.qrels)}")
        if self.runs and not self.topics:
            raise RecipeError("runs are on topics, and none are given; remove them or name the topics")
        if self.candidates < 1 or self.rounds < 1:
            raise RecipeError(f"candidates and rounds must be at least 1, got {self.candidates} and {self.rounds}")
        if not self.make_objectives():
            raise RecipeError("objectives must name at least one relevance objective")
        scores = self.needs_teacher and self.cross_encoder is None
        if self.generator is None and (scores or not self.topics or self.alignment is not None):
            raise RecipeError("a generator is missing; train one with `train-generator`")
        if not self.training.epochs:
            raise RecipeError("training.epochs must be above 0; leave the quick part out to do without it")

    @property
    def needs_teacher(self) -> bool:
        """Whether an objective needs scores of the passages."""
        return any(objective.needs_teacher for _, objective in self.make_objectives().values())

    def make_objectives(self) -> dict[str, tuple[float, RelevanceObjective]]:
        """Give weight and objective by name; errors as of a recipe's."""
        return make_objectives(self.objectives, RELEVANCE_OBJECTIVES)
