"""What a study's training will cost, said before it starts."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pyserini_optical.data import Pair, read_bitext

if TYPE_CHECKING:
    from pyserini_optical.distillation import Recipe

# Sentences that are timed.
_SAMPLE = 64


@dataclass(frozen=True)
class Cost:
    """What distilling takes.

    Attributes
    ----------
    encoders : int
        Encoders to be made.
    pairs : int
        Sentence pairs that they see, each pass counted.
    seconds : float
        On this machine, about: a sentence costs one pass of the teacher for its vectors, which encoders on the same
        pairs share, and three (forward, and twice as much backward; one more with ``mini_batch_size``) each time that
        a student sees it. What else there is to do (tables, later stages, indexes, searching) is not in it.
    """

    encoders: int
    pairs: int
    seconds: float

    def __str__(self) -> str:
        minutes = math.ceil(self.seconds / 60)
        time = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
        pairs = f"sentence pairs that they see: {self.pairs:,}, about {time} of training"
        return f"encoders to distil: {self.encoders}; {pairs}"


def distillation_cost(recipes: Sequence[Recipe]) -> Cost:
    """Estimate what distilling costs, from the time that each teacher needs for some sentences of the bitext.

    Parameters
    ----------
    recipes : sequence of Recipe
        Of the encoders that are not there yet.

    Raises
    ------
    OpticalError
        A bitext or a teacher cannot be read.
    """
    read = cache(_pairs)
    seen, seconds = 0, 0.0
    taught = set()
    speed = cache(_seconds_a_sentence)
    for recipe in recipes:
        bitext = read(tuple(recipe.bitext))
        if not bitext or not recipe.training.epochs:
            continue
        pairs = min(len(bitext), recipe.limit or len(bitext))
        passes = round(pairs * recipe.training.epochs)
        seen += passes
        sample = tuple(pair.english for pair in bitext[:: max(1, len(bitext) // _SAMPLE)])
        sentence = speed(recipe.teacher, recipe.late_interaction, sample)
        seconds += (
            (4 if recipe.mini_batch_size else 3) * sentence * passes * (2 if recipe.make_objectives("english") else 1)
        )
        drawn = recipe.seed if recipe.limit else None
        teaching = (recipe.teacher, tuple(recipe.bitext), pairs, drawn, recipe.late_interaction)
        if teaching not in taught:
            taught.add(teaching)
            seconds += sentence * pairs
    return Cost(len(recipes), seen, seconds)


def _pairs(paths: tuple[str, ...]) -> list[Pair]:
    return [pair for path in paths for pair in read_bitext(path)]


def _seconds_a_sentence(teacher: str, late_interaction: bool, sentences: tuple[str, ...]) -> float:
    from pyserini_optical.models.late_interaction import load_late_interaction
    from pyserini_optical.models.teacher import encode_texts
    from pyserini_optical.models.transformer import load_transformer

    model = load_late_interaction(teacher) if late_interaction else load_transformer(teacher)
    encode_texts(model, sentences[:8], "query")  # the first pass sets things up
    taken = []
    for _ in range(3):  # the machine may have been busy at one time
        started = time.perf_counter()
        encode_texts(model, sentences, "query")
        taken.append(time.perf_counter() - started)
    return min(taken) / len(sentences)
