"""Synthetic topics and qrels for a corpus, in a language."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from os import fspath
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pyserini_optical.data import (
    Manifest,
    Passage,
    Pathish,
    fingerprint_texts,
    one_process,
    read_corpus,
    read_topics,
    write_text,
)
from pyserini_optical.data.fields import shown
from pyserini_optical.data.parts import in_parts
from pyserini_optical.errors import InputError
from pyserini_optical.generation.filters import Generated, GenerationReport, filter_questions
from pyserini_optical.generation.language import LanguageGuess
from pyserini_optical.generation.settings import Generation
from pyserini_optical.models.query_generator import QueryGenerator, check_language
from pyserini_optical.progress import say

if TYPE_CHECKING:
    from pyserini_optical.models import Encoder

# Questions that are written at a time, unless each passage wants more.
_BATCH = 32


@dataclass(frozen=True)
class RoundTrip:
    """Round-trip consistency: a question stays if a retriever finds its passage again.

    Attributes
    ----------
    encoder : Encoder or str
        What searches.
    index : path-like
        Its index or token store of the corpus.
    top : int
        The passage must be among so many.
    """

    encoder: Encoder | str
    index: Pathish
    top: int = 20

    def __post_init__(self) -> None:
        if self.top < 1:
            raise InputError(f"round trip among the first {self.top} asked for", remedy="ask for one or more")


@one_process("topics")
def generate(
    generator: QueryGenerator | Pathish,
    corpus: Pathish,
    topics: Pathish,
    qrels: Pathish,
    *,
    language: str,
    setting: Generation | None = None,
    seed: int = 0,
    examples: Mapping[str, Pathish] | None = None,
    round_trip: RoundTrip | None = None,
    device: str | None = None,
) -> GenerationReport:
    """Write synthetic topics for a corpus, and qrels that say which passage each is about.

    What is generated is kept in ``.NAME.work`` beside the topics until both files are written, so that a second call
    goes on where the first was cut off.

    Parameters
    ----------
    generator : QueryGenerator, str or path-like
        A query generator, or its name.
    corpus : path-like
        The passages, JSONL.
    topics, qrels : path-like
        Files to write. A topic's id is ``PASSAGE-LANGUAGE-NUMBER``.
    language : str
        Code of the questions' language, one that the generator was trained on.
    setting : Generation, optional
        How many and how; one question of each passage if it is not said.
    seed : int
        Of which passages are drawn, and of sampling.
    examples : mapping of str to path-like, optional
        Topics files by language, the wanted one and others: questions that look more like another are left out.
    round_trip : RoundTrip, optional
        Questions whose passage a retriever does not find again are left out.
    device : str, optional
        Torch device.

    Returns
    -------
    GenerationReport
        How many were kept, and how many dropped for which reason.

    Raises
    ------
    InputError
        A file cannot be read or written, a passage is not in the index, or no question is left.
    CheckpointError, SetupError
        The generator or the retriever is broken.
    """
    setting = setting or Generation()
    check_language(language)
    if seed < 0:
        raise InputError(f"seed {seed} asked for", remedy="ask for 0 or more")
    guess = _guess(examples, language)
    passages = draw_passages(corpus, setting.passages, seed)
    if round_trip is not None:
        round_trip = _opened(round_trip, passages, device)
    if not isinstance(generator, QueryGenerator):
        generator = QueryGenerator(fspath(generator), device)
    work = Path(topics).parent / f".{Path(topics).name}.work"
    # Opened first, so that what cannot be written is said before the work; both appear at the end, or neither.
    with write_text(topics) as asked, write_text(qrels) as judged:
        questions, report = generate_questions(
            generator, passages, setting, language=language, seed=seed, work=work, guess=guess, round_trip=round_trip
        )
        if not questions:
            raise InputError(f"no question is left ({report})", path=topics, remedy="train the generator more")
        asked.writelines(f"{question.id}\t{question.text}\n" for question in questions)
        judged.writelines(f"{question.id} 0 {question.passage} 1\n" for question in questions)
    shutil.rmtree(work)
    return report


def generate_questions(
    generator: QueryGenerator,
    passages: Sequence[Passage],
    setting: Generation,
    *,
    language: str,
    seed: int,
    work: Path,
    guess: LanguageGuess | None = None,
    round_trip: RoundTrip | None = None,
) -> tuple[list[Generated], GenerationReport]:
    """Generate questions about passages and filter them; ``work`` keeps those that are written.

    The parameters are those of :func:`generate`.
    """
    written = write_questions(generator, passages, setting, language=language, seed=seed, work=work)
    found = [
        (Generated(f"{passage.id}-{language}-{number}", text, passage.id), passage.text)
        for passage, texts in zip(passages, written, strict=True)
        for number, text in enumerate(texts, 1)
    ]
    kept, dropped = filter_questions(found, language, guess)
    if round_trip is not None and kept:
        before = len(kept)
        kept = _found_again(kept, round_trip)
        dropped["not found again"] = before - len(kept)
    report = GenerationReport(len(kept), dropped)
    say(f"questions in {language}: {report}")
    return kept, report


def write_questions(
    generator: QueryGenerator,
    passages: Sequence[Passage],
    setting: Generation,
    *,
    language: str,
    seed: int,
    work: Path,
) -> list[list[str]]:
    """Write ``setting.number`` questions about each passage, unfiltered; ``work`` keeps them, part by part."""
    manifest = Manifest(
        "generate",
        inputs={
            "generator": generator.fingerprint,
            "passages": fingerprint_texts(part for passage in passages for part in (passage.id, passage.text)),
        },
        parameters={
            "language": language,
            "number": setting.number,
            "decoding": asdict(setting.decoding),
            "seed": seed,
        },
    )

    def write(part: int, some: Sequence[Passage]) -> list[list[str]]:
        # Each part has a seed of its own: it is the same whether or not those before it were made by this process.
        own = int(np.random.SeedSequence([seed, part]).generate_state(1)[0])
        texts = [passage.text for passage in some]
        return generator.generate(texts, language, setting.number, seed=own, decoding=setting.decoding)

    size = max(1, _BATCH // setting.number)
    return in_parts(work, manifest, passages, write, size=size, title="generating questions, passages")


def draw_passages(corpus: Pathish, count: int | None, seed: int) -> list[Passage]:
    """Draw passages of a corpus with a seed, in the corpus's order; all of them if there are no more than ``count``.

    Raises
    ------
    InputError
        The corpus cannot be read.
    """
    if count is None:
        return list(read_corpus(corpus))
    total = sum(1 for _ in read_corpus(corpus))
    chosen = set(np.random.default_rng(seed).permutation(total)[:count].tolist())
    return [passage for number, passage in enumerate(read_corpus(corpus)) if number in chosen]


def _guess(examples: Mapping[str, Pathish] | None, language: str) -> LanguageGuess | None:
    if not examples:
        return None
    if language not in examples:
        raise InputError(f"no examples of {language}", remedy=f"give {language}=FILE beside those of other languages")
    return LanguageGuess({code: read_topics(path).values() for code, path in examples.items()})


def _opened(trip: RoundTrip, passages: Sequence[Passage], device: str | None) -> RoundTrip:
    """Load the retriever, and look for the passages in its index."""
    from pyserini_optical.models import load_encoder
    from pyserini_optical.retrieve.searching import open_index_for
    from pyserini_optical.retrieve.token_store import TokenStore, is_token_store

    encoder = load_encoder(trip.encoder, device) if isinstance(trip.encoder, str) else trip.encoder
    if is_token_store(trip.index):
        store = TokenStore.open(trip.index)
        store.check(encoder)
        ids = store.docids
    else:
        _, ids = open_index_for(encoder, Path(trip.index))
    missing = {passage.id for passage in passages}.difference(ids)
    if missing:
        raise InputError(f"holds no passage {shown(min(missing))}", path=trip.index, remedy="index this very corpus")
    return replace(trip, encoder=encoder)


def _found_again(questions: Sequence[Generated], trip: RoundTrip) -> list[Generated]:
    from pyserini_optical.retrieve import search

    run = search(trip.encoder, trip.index, {question.id: question.text for question in questions}, hits=trip.top)
    return [question for question in questions if question.passage in run[question.id]]
