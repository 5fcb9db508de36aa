"""Fine-tuning a retriever on questions and their passages, as teachers are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyserini_optical.data import Manifest, Pathish, fingerprint_texts, only_process, read_corpus
from pyserini_optical.data.relevance import Question, read_relevance
from pyserini_optical.data.settings import read_settings
from pyserini_optical.distillation.checkpoint import Checkpoint
from pyserini_optical.distillation.lessons import check_model
from pyserini_optical.distillation.negatives import check_passages, corpus_key, mine_negatives
from pyserini_optical.distillation.training_recipe import TrainingRecipe, check_name_and_seed
from pyserini_optical.errors import RecipeError
from pyserini_optical.models.fixed_dimensional import FixedDimensional
from pyserini_optical.progress import say

if TYPE_CHECKING:
    from torch import nn

    from pyserini_optical.distillation.training import Model


@dataclass(frozen=True)
class FineTuningRecipe:
    """How a retriever is fine-tuned.

    Attributes
    ----------
    name : str
        Name of the encoder, and of its folder beside the recipe.
    model : str
        What it starts from, by path, hub name or ``package:…``.
    questions : list of str
        Files of ``question⇥passage id⇥answer…``, or what ``make-training-data`` writes.
    corpus : str
        The passages, JSONL.
    late_interaction : bool
        Whether it scores by MaxSim over token vectors, or by the cosine of pooled vectors.
    projection : int or None
        Length of the token vectors, by a fresh projection; None leaves them as they are.
    fixed_dimensional : FixedDimensional or None
        Shape and seed of the single vectors that stand for a late-interaction retriever's token vectors
        (:class:`~pyserini_optical.models.fixed_dimensional.FixedDimensional`); by default 20 repetitions of 4 bits and
        8 dimensions.
    cross_encoder : bool
        Whether it reads question and passage together, to re-rank with.
    negatives : int
        Hard negatives are drawn from so many passages that BM25 finds, or from those that the question brings; 0 for
        those of the batch alone.
    negatives_per_question : int
        So many are drawn.
    limit : int or None
        Train on so many questions, drawn with the seed.
    training : TrainingRecipe
        ``batch_size`` counts questions; ``max_length`` cuts passages, for a cross-encoder both together.
    seed : int
        Of everything random.
    """

    name: str
    model: str
    questions: list[str]
    corpus: str
    late_interaction: bool = False
    projection: int | None = None
    fixed_dimensional: FixedDimensional | None = None
    cross_encoder: bool = False
    negatives: int = 20
    negatives_per_question: int = 1
    limit: int | None = None
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    seed: int = 0

    def __post_init__(self) -> None:
        check_name_and_seed(self.name, self.seed)
        if not self.questions:
            raise RecipeError("questions must name at least one file")
        if self.projection is not None and (self.projection < 1 or not self.late_interaction):
            raise RecipeError("projection is the length of token vectors, 1 or more, and wants late_interaction: true")
        if self.fixed_dimensional is not None and not self.late_interaction:
            raise RecipeError("fixed_dimensional is for late_interaction: true; remove it")
        if self.cross_encoder and (self.late_interaction or not self.negatives):
            raise RecipeError("cross_encoder wants negatives of 1 or more, and no late_interaction")
        if self.negatives_per_question < 1:
            raise RecipeError("negatives_per_question must be at least 1; set negatives to 0 to do without")
        if self.limit is not None and self.limit < 1:
            raise RecipeError(f"limit must be at least 1, got {self.limit}")

    def as_dict(self) -> dict[str, Any]:
        """Give the recipe as plain data, for manifests, without what an older version did not have and nothing uses."""
        plain = asdict(self)
        for key, usual in (("cross_encoder", False), ("negatives_per_question", 1), ("fixed_dimensional", None)):
            if plain[key] == usual:
                del plain[key]
        return plain


def fine_tune(
    recipe: FineTuningRecipe | Pathish, output: Pathish | None = None, *, settings: Sequence[str] = ()
) -> Path:
    r"""Fine-tune a retriever so that each question finds its passage among the others.

    .. math::
        L = -\frac{1}{B} \sum_i \log \frac{\exp s(q_i, d_i) / \tau}{\sum_{d \in D} \exp s(q_i, d) / \tau}

    over all passages :math:`D` of the batch, the hard negatives with them; :math:`\tau` is 0.05 for the cosine and 1
    for MaxSim, sentence-transformers' values. No passage stands twice in a batch. A cross-encoder reads each pair anew,
    so for it :math:`D` is the question's passage and its own negatives alone, and :math:`\tau` is 1.

    Parameters
    ----------
    recipe : FineTuningRecipe or path-like
        The recipe, or its YAML file.
    output : path-like, optional
        Folder of the checkpoint; by default the encoder's name beside the recipe's file, or in the working directory.
    settings : sequence of str
        ``key=value`` over what the file says.

    Returns
    -------
    Path
        The checkpoint, which encodes queries and documents, or is a cross-encoder; made, kept and gone on with as by
        :func:`~pyserini_optical.distillation.distill`.

    Raises
    ------
    InputError, RecipeError, CheckpointError, SetupError
        Bad questions, passages, recipe or model.
    """
    folder = Path()
    if not isinstance(recipe, FineTuningRecipe):
        folder = Path(recipe).parent
        recipe = read_settings(FineTuningRecipe, recipe, settings)
    checkpoint = Checkpoint(output if output is not None else folder / recipe.name)
    with only_process(checkpoint.output):
        return _fine_tune(recipe, checkpoint)


def _fine_tune(recipe: FineTuningRecipe, checkpoint: Checkpoint) -> Path:
    questions = _questions(recipe)
    passages = {passage.id: passage.text for passage in read_corpus(recipe.corpus)}
    check_passages(questions, passages, recipe.corpus)

    from pyserini_optical.models.provenance import Provenance
    from pyserini_optical.models.transformer import weights_fingerprint

    inputs = {
        "questions": fingerprint_texts(
            part for q in questions for part in (q.text, q.passage, *q.answers, *q.negatives)
        ),
        "corpus": corpus_key(passages),
        "model": weights_fingerprint(recipe.model),
    }
    parameters = recipe.as_dict()
    for path in ("questions", "corpus"):
        del parameters[path]
    manifest = Manifest("fine-tune", inputs=inputs, parameters=parameters)
    if checkpoint.is_made(manifest):
        return checkpoint.output
    work = checkpoint.claim(manifest)
    model = _start(recipe)
    log = _train(model, recipe, questions, passages, work) if recipe.training.epochs else []
    shape = recipe.fixed_dimensional or FixedDimensional() if recipe.late_interaction else None
    provenance = Provenance(recipe=recipe.as_dict(), inputs=inputs, versions=manifest.versions, fixed_dimensional=shape)
    return checkpoint.save(model, manifest, provenance, _card(recipe, len(questions)), log)


def _questions(recipe: FineTuningRecipe) -> list[Question]:
    """Read the questions, each once; draw as many as are wanted."""
    found = list(dict.fromkeys(question for path in recipe.questions for question in read_relevance(path)))
    if recipe.limit is not None and recipe.limit < len(found):
        chosen = np.random.default_rng(recipe.seed).permutation(len(found))[: recipe.limit]
        found = [found[number] for number in chosen]
    say(f"{len(found)} questions")
    return found


def _start(recipe: FineTuningRecipe) -> Model:
    from transformers import set_seed

    from pyserini_optical.models.cross_encoder import start_cross_encoder
    from pyserini_optical.models.late_interaction import load_late_interaction, project, unweighed
    from pyserini_optical.models.transformer import load_transformer

    set_seed(recipe.seed)
    if recipe.cross_encoder:
        return start_cross_encoder(recipe.model, recipe.training.max_length)
    check_model(recipe.model, late_interaction=recipe.late_interaction)
    if not recipe.late_interaction:
        return load_transformer(recipe.model)
    model = unweighed(load_late_interaction(recipe.model))  # it will read documents too
    return project(model, recipe.projection) if recipe.projection is not None else model


def _train(
    model: Model, recipe: FineTuningRecipe, questions: Sequence[Question], passages: dict[str, str], work: Path
) -> list[dict[str, Any]]:
    from datasets import Dataset

    from pyserini_optical.distillation.training import train

    columns = {
        "question": [question.text for question in questions],
        "passage": [passages[question.passage] for question in questions],
    }
    if recipe.negatives:
        depth, count = recipe.negatives, recipe.negatives_per_question
        mined = mine_negatives(
            questions, recipe.corpus, passages, depth=depth, seed=recipe.seed, work=work, count=count
        )
        for number in range(count):
            name = "negative" if count == 1 else f"negative_{number + 1}"
            columns[name] = [passages[row[number]] for row in mined]
    loss, sampler = _loss(model)
    return train(
        model,
        loss,
        Dataset.from_dict(columns),
        recipe.training,
        seed=recipe.seed,
        work=work / "trainer",
        sampler=sampler,
        title="fine-tuning",
    )


def _loss(model: Model) -> tuple[nn.Module, Any]:
    """Give what the kind of model learns by, and how its batches are drawn."""
    import sentence_transformers
    from sentence_transformers.base.sampler import BatchSamplers
    from sentence_transformers.multi_vector_encoder.losses import MultiVectorMultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    if isinstance(model, sentence_transformers.CrossEncoder):
        from pyserini_optical.distillation.own_negatives import OwnNegativesLoss

        return OwnNegativesLoss(model), BatchSamplers.BATCH_SAMPLER
    late = isinstance(model, sentence_transformers.MultiVectorEncoder)
    loss = MultiVectorMultipleNegativesRankingLoss(model) if late else MultipleNegativesRankingLoss(model)
    return loss, BatchSamplers.NO_DUPLICATES


def _card(recipe: FineTuningRecipe, questions: int) -> str:
    how = "MaxSim over its token vectors" if recipe.late_interaction else "the cosine of its pooled vectors"
    how = "reading question and passage together" if recipe.cross_encoder else how
    return f"""---
library_name: sentence-transformers
tags: [sentence-transformers, pyserini-optical]
---

# {recipe.name}

`{recipe.model}`, fine-tuned with pyserini-optical on {questions} questions and their passages; it scores by {how}.
`optical.json` holds the recipe and the fingerprints of the data; `training.json` holds the training log.
"""
