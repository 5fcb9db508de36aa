"""Training a query generator: to write the question of a passage, then to tell its passage from others [1]_.

References
----------
.. [1] Ren, Shou, Wu, Gong, Jiang. Empowering Dual-Encoder with Query Generator for Cross-Lingual Dense Retrieval.
   EMNLP 2022. arXiv:2303.14991.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pyserini_optical.data import Manifest, Pathish, fingerprint_files, fingerprint_texts, only_process, read_corpus
from pyserini_optical.data.settings import read_settings
from pyserini_optical.distillation.checkpoint import MANIFEST, Checkpoint
from pyserini_optical.distillation.generator_data import Example, GeneratorData, read_examples
from pyserini_optical.distillation.negatives import corpus_key
from pyserini_optical.distillation.training_recipe import TrainingRecipe, check_name_and_seed
from pyserini_optical.errors import RecipeError
from pyserini_optical.models.new_generator import NewGenerator
from pyserini_optical.progress import say

if TYPE_CHECKING:
    from pyserini_optical.models.query_generator import QueryGenerator


@dataclass(frozen=True)
class ContrastiveRecipe:
    """The second stage: the question must be more probable under its passage than under others.

    Attributes
    ----------
    negatives : int
        Other passages a question.
    depth : int
        They are drawn from those that the question brings, or from so many that BM25 finds with it, or else from the
        whole corpus.
    temperature : float
        By which the scores are divided.
    likelihood : float
        Weight of the first stage's loss beside it, so that it keeps writing.
    training : TrainingRecipe
        ``batch_size`` counts questions; ``max_length`` and ``patience`` have no effect.
    """

    negatives: int = 3
    depth: int = 30
    temperature: float = 1.0
    likelihood: float = 1.0
    training: TrainingRecipe = field(default_factory=lambda: TrainingRecipe(epochs=1, batch_size=8))

    def __post_init__(self) -> None:
        if self.negatives < 1 or self.depth < 1:
            raise RecipeError(f"negatives and depth must be at least 1, got {self.negatives} and {self.depth}")
        if self.temperature <= 0:
            raise RecipeError(f"temperature must be above zero, got {self.temperature:g}")


@dataclass(frozen=True)
class GeneratorRecipe:
    """How a query generator is trained.

    Attributes
    ----------
    name : str
        Name of the generator, and of its folder beside the recipe.
    sources : list of GeneratorData
        What it learns from, by language.
    corpus : str
        The passages, JSONL.
    model : str
        What it starts from by path, hub name or ``package:…``: a sequence-to-sequence model, or a BERT-like encoder
        such as a student, whose weights both halves then begin with; ``new`` for a small one with random weights.
    size : NewGenerator
        How large that is.
    training : TrainingRecipe
        The first stage; ``max_length`` cuts passages, ``patience`` has no effect.
    contrastive : ContrastiveRecipe or None
        The second stage; None leaves it out. Only questions take part, not bitext.
    exclude : list of str
        Topics files whose texts must not be trained on.
    seed : int
        Of everything random.
    """

    name: str
    sources: list[GeneratorData]
    corpus: str
    model: str = "new"
    size: NewGenerator = field(default_factory=NewGenerator)
    training: TrainingRecipe = field(default_factory=lambda: TrainingRecipe(batch_size=32, max_length=192))
    contrastive: ContrastiveRecipe | None = None
    exclude: list[str] = field(default_factory=list)
    seed: int = 0

    def __post_init__(self) -> None:
        check_name_and_seed(self.name, self.seed)
        if not self.sources:
            raise RecipeError("sources must name questions in at least one language")
        if self.model != "new" and self.size != NewGenerator():
            raise RecipeError("size is for model: new; remove it")


def train_generator(
    recipe: GeneratorRecipe | Pathish, output: Pathish | None = None, *, settings: Sequence[str] = ()
) -> Path:
    r"""Train a query generator.

    With the score t of :meth:`~pyserini_optical.models.query_generator.QueryGenerator.score` and for each question q
    its passage :math:`p_0` and the mined ones :math:`p_1 \dots p_k`, the first stage learns by :math:`L_1` and the
    second by :math:`L_2 + w L_1`:

    .. math::
        L_1 = -\frac{1}{B} \sum_q t(q, p_0), \qquad
        L_2 = -\frac{1}{B} \sum_q \log \frac{\exp t(q, p_0) / \tau}{\sum_{j=0}^k \exp t(q, p_j) / \tau}

    Parameters
    ----------
    recipe : GeneratorRecipe or path-like
        The recipe, or its YAML file.
    output : path-like, optional
        Folder of the checkpoint; by default the generator's name beside the recipe's file, or in the working directory.
    settings : sequence of str
        ``key=value`` over what the file says.

    Returns
    -------
    Path
        The checkpoint, a transformers folder with ``optical.json``, ``manifest.json`` and ``training.json``; made,
        kept and gone on with as by :func:`~pyserini_optical.distillation.distill`.

    Raises
    ------
    InputError, RecipeError, CheckpointError, SetupError
        Bad questions, passages, recipe or model.
    """
    folder = Path()
    if not isinstance(recipe, GeneratorRecipe):
        folder = Path(recipe).parent
        recipe = read_settings(GeneratorRecipe, recipe, settings)
    checkpoint = Checkpoint(output if output is not None else folder / recipe.name)
    with only_process(checkpoint.output):
        return _make(recipe, checkpoint)


def _make(recipe: GeneratorRecipe, checkpoint: Checkpoint) -> Path:
    from pyserini_optical.models.provenance import Provenance
    from pyserini_optical.models.transformer import weights_fingerprint

    passages = {passage.id: passage.text for passage in read_corpus(recipe.corpus)}
    examples = read_examples(recipe.sources, passages, recipe.corpus, exclude=recipe.exclude, seed=recipe.seed)
    inputs = {
        "data": fingerprint_texts(part for example in examples for part in map(str, example)),
        "corpus": corpus_key(passages),
        "model": weights_fingerprint(recipe.size.tokenizer if recipe.model == "new" else recipe.model),
    }
    parameters = asdict(recipe)
    for path in ("sources", "corpus", "exclude"):
        del parameters[path]
    manifest = Manifest("train-generator", inputs=inputs, parameters=parameters)
    if checkpoint.is_made(manifest):
        return checkpoint.output
    work = checkpoint.claim(manifest)
    generator = _start(recipe, examples, work)
    log = _learn(generator, recipe, examples, passages, work)
    provenance = Provenance(recipe=asdict(recipe), inputs=inputs, versions=manifest.versions)
    return checkpoint.save(generator, manifest, provenance, _card(recipe, generator, examples), log)


def _start(recipe: GeneratorRecipe, examples: Sequence[Example], work: Path) -> QueryGenerator:
    """Give the untrained generator; a new one is made once, and every process trains from the same bytes."""
    from transformers import set_seed

    from pyserini_optical.models.new_generator import new_generator
    from pyserini_optical.models.query_generator import QueryGenerator, is_seq2seq, load_seq2seq
    from pyserini_optical.models.transformer import quiet
    from pyserini_optical.models.warm_generator import warm_generator

    set_seed(recipe.seed)
    length = recipe.training.max_length
    start = work / "start"
    if not start.is_dir():
        if recipe.model == "new":
            texts = list(dict.fromkeys(text for example in examples for text in (example.question, example.passage)))
            say(f"learning {recipe.size.vocabulary} word pieces from {len(texts):,} texts")
            tokenizer, model = new_generator(recipe.size, texts, max_length=length, seed=recipe.seed)
        elif is_seq2seq(recipe.model):
            tokenizer, model = load_seq2seq(recipe.model)
            tokenizer.model_max_length = length
        else:
            tokenizer, model = warm_generator(recipe.model, max_length=length, seed=recipe.seed)
        beside = work / ".start"
        shutil.rmtree(beside, ignore_errors=True)
        with quiet():
            model.save_pretrained(beside)
        tokenizer.save_pretrained(beside)
        Manifest("start", outputs=fingerprint_files(beside)).save(beside / MANIFEST)
        os.replace(beside, start)
    generator = QueryGenerator(str(start))
    generator.passage_length = min(length, generator.tokenizer.model_max_length)
    return generator


def _learn(
    generator: QueryGenerator,
    recipe: GeneratorRecipe,
    examples: Sequence[Example],
    passages: dict[str, str],
    work: Path,
) -> list[dict[str, Any]]:
    from pyserini_optical.distillation.generator_data import mine_candidates
    from pyserini_optical.distillation.generator_trainer import Stage, fit

    log: list[dict[str, Any]] = []
    stages: list[tuple[Literal["likelihood", "contrastive"], TrainingRecipe, Stage]] = []
    if recipe.training.epochs:
        rows = [(example.question, [example.passage], example.tag) for example in examples]
        stages.append(("likelihood", recipe.training, Stage(rows)))
    second = recipe.contrastive
    if second is not None and second.training.epochs:
        rows = mine_candidates(
            examples, passages, recipe.corpus, second.negatives, depth=second.depth, seed=recipe.seed, work=work
        )
        stages.append(("contrastive", second.training, Stage(rows, second.temperature, second.likelihood)))
    for name, training, stage in stages:
        log += fit(generator, stage, training, seed=recipe.seed, work=work / name, title=f"generator, {name}")
    return log


def _card(recipe: GeneratorRecipe, generator: QueryGenerator, examples: Sequence[Example]) -> str:
    millions = sum(weight.numel() for weight in generator.model.parameters()) / 1e6
    tags = ", ".join(dict.fromkeys(example.tag for example in examples))
    start = "random weights" if recipe.model == "new" else f"`{recipe.model}`"
    return f"""---
library_name: transformers
tags: [query-generation, pyserini-optical]
---

# {recipe.name}

A query generator of {millions:.1f} million weights, trained from {start} with pyserini-optical on {len(examples):,}
examples; the tags before its passages are: {tags}.

```bash
pyserini-optical generate PATH corpus.jsonl topics.tsv qrels.txt --language CODE
```

`optical.json` holds the recipe and the fingerprints of the data; `training.json` holds the training log.
"""
