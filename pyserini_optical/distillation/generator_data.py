"""What a query generator learns from: questions with their passages in several languages, and sentence pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pyserini_optical.data import filter_bitext, read_bitext, read_topics
from pyserini_optical.data.relevance import Question, read_judged, read_relevance
from pyserini_optical.data.words import plain_words
from pyserini_optical.distillation.negatives import check_passages, mine_negatives
from pyserini_optical.errors import InputError, RecipeError
from pyserini_optical.models.query_generator import check_language
from pyserini_optical.progress import say


@dataclass(frozen=True)
class GeneratorData:
    """What there is in one language.

    Attributes
    ----------
    language : str
        Its code, which is the tag before the passage.
    questions : list of str
        Files of ``question⇥passage id⇥answer…``, or what ``make-training-data`` writes, with its negatives.
    topics, qrels : list of str
        Topics files, and for each of them the qrels; of several relevant passages the first counts, and the others are
        no negatives.
    bitext : list of str
        Sentence pairs. The English sentence stands where the passage does, under a tag of its own
        (``CODE-sentence``), so that the generator learns to write the language where questions are few.
    limit : int or None
        So many of its examples, drawn with the seed.
    """

    language: str
    questions: list[str] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    qrels: list[str] = field(default_factory=list)
    bitext: list[str] = field(default_factory=list)
    limit: int | None = None

    def __post_init__(self) -> None:
        if len(self.topics) != len(self.qrels):
            raise RecipeError(f"topics and qrels must be as many, got {len(self.topics)} and {len(self.qrels)}")
        if not (self.questions or self.topics or self.bitext):
            raise RecipeError(f"nothing is named to learn {self.language!r} from; give questions, topics or bitext")
        if self.limit is not None and self.limit < 1:
            raise RecipeError(f"limit must be at least 1, got {self.limit}")


class Example(NamedTuple):
    """A question, or the sentence of a pair, and what it is to be written from.

    Attributes
    ----------
    question, passage : str
        The texts.
    tag : str
        What stands before the passage.
    source : Question or None
        The question with its labels; None for a sentence pair.
    """

    question: str
    passage: str
    tag: str
    source: Question | None = None


def read_examples(
    sources: Sequence[GeneratorData],
    passages: Mapping[str, str],
    corpus: str,
    *,
    exclude: Sequence[str],
    seed: int,
) -> list[Example]:
    """Read what a generator learns from; repetitions, and the texts of the topics files ``exclude``, stay out.

    Raises
    ------
    InputError, RecipeError
        A file cannot be read, a topic has no relevant passage, the corpus lacks a passage, or nothing is left.
    """
    forbidden = [text for path in exclude for text in read_topics(path).values()]
    asked = {plain_words(text) for text in forbidden}
    examples: list[Example] = []
    for number, each in enumerate(sources):
        check_language(each.language)
        questions = [question for path in each.questions for question in read_relevance(path)]
        for topics, qrels in zip(each.topics, each.qrels, strict=True):
            questions += read_judged(topics, qrels).values()
        check_passages(questions, passages, corpus)
        once = {(question.text, question.passage): question for question in questions}.values()
        kept = [question for question in once if plain_words(question.text) not in asked]
        found = [Example(question.text, passages[question.passage], each.language, question) for question in kept]
        if each.bitext:
            read = [pair for path in each.bitext for pair in read_bitext(path)]
            pairs, report = filter_bitext(read, exclude=forbidden)
            say(f"bitext of {each.language}: {report}")
            found += [Example(pair.foreign, pair.english, f"{each.language}-sentence") for pair in pairs]
        if each.limit is not None and each.limit < len(found):
            chosen = np.random.default_rng([seed, number]).permutation(len(found))[: each.limit]
            found = [found[place] for place in chosen]
        questions_alone = sum(example.source is not None for example in found)
        say(f"{each.language}: {len(found):,} examples, {questions_alone:,} questions")
        examples += found
    if not examples:
        raise InputError("no example is left", path=Path(corpus), remedy="give more questions or bitext")
    return examples


def mine_candidates(
    examples: Sequence[Example],
    passages: Mapping[str, str],
    corpus: str,
    negatives: int,
    *,
    depth: int,
    seed: int,
    work: Path,
) -> list[tuple[str, list[str], str]]:
    """Give each question with its passage and then negatives, its own or mined ones, and its tag.

    Raises
    ------
    RecipeError
        There is no question, or none but one passage that does not answer it.
    """
    asked = [(example, example.source) for example in examples if example.source is not None]
    if not asked:
        raise RecipeError("contrastive wants questions with passages, and sources have bitext alone; leave it out")
    questions = [question for _, question in asked]
    mined = mine_negatives(questions, corpus, passages, depth=depth, seed=seed, work=work, count=negatives)
    return [
        (example.question, [example.passage, *(passages[passage] for passage in row)], example.tag)
        for (example, _), row in zip(asked, mined, strict=True)
    ]
