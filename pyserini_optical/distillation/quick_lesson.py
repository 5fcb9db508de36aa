"""What QuiCK learns from: passages, and questions with their labels where there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pyserini_optical.data import fingerprint_texts, order_hits, read_corpus, read_run
from pyserini_optical.data.relevance import Question, read_judged
from pyserini_optical.data.words import plain_words
from pyserini_optical.distillation.negatives import check_passages, corpus_key
from pyserini_optical.distillation.quick_recipe import QuickRecipe
from pyserini_optical.errors import InputError, RecipeError
from pyserini_optical.generation.filters import Generated
from pyserini_optical.progress import say


class QuickLesson(NamedTuple):
    """What is learnt from.

    Attributes
    ----------
    questions : list of Generated
        Those given; None where they are to be generated.
    passages : dict of str to str
        All passages' texts by id.
    exclude : frozenset of str
        Questions that must not be trained on, as :func:`plain_words` gives them.
    runs : list of list of list of str
        For each run what it found for each question, best first.
    """

    questions: list[Generated] | None
    passages: dict[str, str]
    exclude: frozenset[str]
    runs: list[list[list[str]]]

    @property
    def fingerprint(self) -> str:
        """Fingerprint of all of it."""
        asked = [str(part) for question in self.questions or [] for part in question]
        found = [" ".join(hits) for run in self.runs for hits in run]
        return fingerprint_texts([*asked, corpus_key(self.passages), *sorted(self.exclude), *found])


def read_quick_lesson(setting: QuickRecipe, exclude: Sequence[str]) -> QuickLesson:
    """Read passages, and questions with their labels where there are any; evaluation text stays out.

    Raises
    ------
    InputError, RecipeError, CheckpointError
        A file cannot be read, a topic stands in two files, a question has no relevant passage or one that the corpus
        lacks, a run is on other topics or passages, the corpus has too few passages, a language is none, or a model is
        of the wrong kind.
    """
    from pyserini_optical.models import load_cross_encoder
    from pyserini_optical.models.query_generator import check_language, check_seq2seq, languages_of

    languages = (setting.language, *(setting.alignment.languages if setting.alignment is not None else ()))
    for language in languages:
        check_language(language)
    if setting.generator is not None:
        learnt = languages_of(check_seq2seq(setting.generator))
        unknown = next((language for language in languages if learnt and language not in learnt), None)
        if unknown is not None:
            raise RecipeError(
                f"{setting.generator} has learnt to ask in {', '.join(learnt)}, not in {unknown}; train one that has, "
                "with `train-generator`"
            )
    if setting.cross_encoder is not None:
        load_cross_encoder(setting.cross_encoder)
    passages = {passage.id: passage.text for passage in read_corpus(setting.corpus)}
    forbidden = frozenset(plain_words(text) for text in exclude)
    found: dict[str, Question] = {}
    for topics, qrels in zip(setting.topics, setting.qrels, strict=True):
        read = read_judged(topics, qrels)
        twice = next((topic for topic in read if topic in found), None)
        if twice is not None:
            raise InputError(f"topic {twice} stands in an earlier file too", path=topics, remedy="rename it")
        found |= read
    check_passages(list(found.values()), passages, setting.corpus)
    others = max((len(question.others) for question in found.values()), default=0)
    if len(passages) - others <= setting.candidates:
        raise RecipeError(f"candidates is {setting.candidates}, and the corpus has {len(passages)} passages")
    if not setting.topics:
        return QuickLesson(None, passages, forbidden, [])
    given = [Generated(topic, each.text, each.passage, each.others) for topic, each in found.items()]
    questions = allowed(given, forbidden)
    if not questions:
        raise InputError("no question is left after filtering", path=setting.topics[0], remedy="give more questions")
    runs = [_read_run(path, questions, passages, setting.corpus) for path in setting.runs]
    return QuickLesson(questions, passages, forbidden, runs)


def _read_run(path: str, questions: Sequence[Generated], passages: Mapping[str, str], corpus: str) -> list[list[str]]:
    """Give what a run found for each question, best first."""
    run = read_run(path)
    found = [[passage for passage, _ in order_hits(run.get(question.id, {}))] for question in questions]
    if not any(found):
        raise InputError("has hits for none of the topics", path=path, remedy="give a run on these topics")
    unknown = next((passage for hits in found for passage in hits if passage not in passages), None)
    if unknown is not None:
        raise InputError(f"passage {unknown} is not in {corpus}", path=path, remedy="give a run on this corpus")
    return found


def allowed(questions: list[Generated], exclude: frozenset[str]) -> list[Generated]:
    """Leave out the questions that must not be trained on."""
    kept = [question for question in questions if plain_words(question.text) not in exclude]
    if len(kept) < len(questions):
        say(f"questions: {len(questions) - len(kept):,} left out as evaluation text")
    return kept


def without_files(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Give a QuiCK recipe as plain data without its files, which a manifest knows by their content."""
    return {
        key: value
        for key, value in parameters.items()
        if key not in ("generator", "cross_encoder", "topics", "qrels", "corpus", "runs")
    }
