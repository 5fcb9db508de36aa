"""Training data from English relevance labels: questions in another language, with hard negatives from several runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyserini_optical.data import (
    Manifest,
    Pathish,
    check_output,
    fingerprint,
    one_process,
    order_hits,
    read_corpus,
    read_qrels,
    read_run,
    read_topics,
)
from pyserini_optical.data.fields import shown
from pyserini_optical.data.relevance import Question, read_relevance, write_relevance
from pyserini_optical.distillation.negatives import bm25_hits, check_passages, is_negative
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.evaluate.answers import read_answers
from pyserini_optical.progress import say
from pyserini_optical.translation import Translator, load_translator, translate_texts

if TYPE_CHECKING:
    from pyserini_optical.models import Encoder

_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.xz")


@dataclass(frozen=True)
class _Example:
    """A question by its id, and all passages that are relevant to it."""

    id: str
    question: Question
    relevant: frozenset[str]


@one_process("output")
def make_training_data(
    questions: Pathish,
    corpus: Pathish,
    output: Pathish,
    *,
    qrels: Pathish | None = None,
    answers: Pathish | None = None,
    translator: Translator | str | None = None,
    runs: Sequence[Pathish] = (),
    dense: Sequence[tuple[str, Pathish]] = (),
    negatives: int = 20,
    depth: int = 50,
    limit: int | None = None,
    seed: int = 0,
    work: Pathish = "work",
) -> Path:
    """Write questions with their relevant passage and hard negatives, for :func:`~pyserini_optical.fine_tune`.

    Negatives are the best hits of all lists in turn, without the relevant passages and without those that hold an
    answer of the question, whatever the case.

    Parameters
    ----------
    questions : path-like
        English questions: relevance labels as :func:`~pyserini_optical.data.relevance.read_relevance` reads them, or,
        with ``qrels``, topics.
    corpus : path-like
        The passages, JSONL.
    output : path-like
        File to write, ``.jsonl``, ``.jsonl.gz`` or ``.jsonl.xz``; ``NAME.manifest.json`` beside it says what it was
        made from. If both are there, made from the same things, nothing is done.
    qrels : path-like, optional
        What is relevant to the topics; each relevant passage makes an example.
    answers : path-like, optional
        With ``qrels``: ``id⇥answer⇥answer…`` by topic.
    translator : Translator or str, optional
        Translates the questions into the language to train for, after English has found the negatives; see
        :func:`~pyserini_optical.translation.load_translator`. What a slow one finished is kept in ``work``. Where the
        questions are there in both languages it is ``table:FOREIGN-TOPICS``.
    runs : sequence of path-like
        TREC runs of the questions in place of BM25's search; their topics are those of the topics file, or the numbers
        of the lines in the file of labels, from 1.
    dense : sequence of (str, path-like)
        Encoders and their indexes or token stores, which search for negatives too.
    negatives : int
        So many a question at most.
    depth : int
        So many hits of each list are looked at.
    limit : int, optional
        So many examples, drawn with the seed.
    seed : int
        Of that draw.
    work : path-like
        Folder for the BM25 index and for translations, shared with studies.

    Returns
    -------
    Path
        The output.

    Raises
    ------
    OpticalError
        A file, the translator, an encoder or an index cannot be used.
    """
    target = Path(output)
    if not target.name.endswith(_SUFFIXES):
        remedy = f"let it end in {', '.join(_SUFFIXES)}"
        raise InputError("no name for training data", path=target, remedy=remedy)
    for name, value in (("negatives", negatives), ("depth", depth), ("limit", limit)):
        if value is not None and value < 1:
            raise InputError(f"{name} {value} asked for", remedy="ask for one or more")
    if seed < 0:
        raise InputError(f"seed {seed} asked for", remedy="ask for 0 or more")
    check_output(target)
    if answers is not None and qrels is None:
        raise InputError("answers belong to topics, labels have their own", path=answers, remedy="give qrels too")
    if isinstance(translator, str):
        translator = load_translator(translator, work)
    from pyserini_optical.models import load_encoder

    encoders = [(load_encoder(name), Path(index)) for name, index in dense]
    files = {"questions": questions, "corpus": corpus, "qrels": qrels, "answers": answers}
    files |= {f"run {number}": run for number, run in enumerate(runs, 1)}
    files |= {f"index {number}": index for number, (_, index) in enumerate(encoders, 1)}
    inputs = {name: fingerprint(path) for name, path in files.items() if path is not None}
    inputs |= {f"encoder {number}": encoder.fingerprint for number, (encoder, _) in enumerate(encoders, 1)}
    parameters: dict[str, Any] = {"negatives": negatives, "depth": depth, "limit": limit, "seed": seed}
    if translator is not None:
        inputs["translator"] = translator.version
        parameters["translator"] = translator.name
    manifest = Manifest("make training data", inputs=inputs, parameters=parameters)
    beside = target.with_name(f"{target.name}.manifest.json")
    if _is_made(target, beside, manifest):
        say(f"{target}: is there already, made from the same things")
        return target
    examples = _examples(questions, qrels, answers, limit, seed)
    passages = {passage.id: passage.text for passage in read_corpus(corpus)}
    check_passages([example.question for example in examples], passages, os.fspath(corpus))
    # First what is slow and kept.
    foreign = {example.id: example.question.text for example in examples}
    if translator is not None:
        foreign = translate_texts(translator, foreign, work)
    lists = [_from_run(run, examples, depth) for run in runs]
    if not lists:
        place = Path(work) / "training-data" / inputs["corpus"][:16]
        lists.append(list(bm25_hits([example.question for example in examples], corpus, depth, place)))
    lists += [_from_search(encoder, index, examples, depth) for encoder, index in encoders]
    found = [
        example.question._replace(text=foreign[example.id], negatives=tuple(_hard(example, hits, passages, negatives)))
        for example, hits in zip(examples, zip(*lists, strict=True), strict=True)
    ]
    without = sum(not question.negatives for question in found)
    say(f"{len(found)} questions" + (f", {without} of them without a negative" if without else ""))
    beside.unlink(missing_ok=True)  # first: it must not speak for another file
    write_relevance(target, found)
    replace(manifest, outputs={target.name: fingerprint(target)}).save(beside)
    return target


def _is_made(target: Path, beside: Path, manifest: Manifest) -> bool:
    try:
        there = Manifest.load(beside)
        there.check(target.parent, "it is made again")
    except (InputError, CheckpointError):
        return False
    return there.matches(manifest) and target.name in there.outputs


def _examples(
    questions: Pathish, qrels: Pathish | None, answers: Pathish | None, limit: int | None, seed: int
) -> list[_Example]:
    if qrels is None:
        labels = enumerate(read_relevance(questions), 1)
        found = [_Example(str(number), question, frozenset([question.passage])) for number, question in labels]
    else:
        found = list(_judged(read_topics(questions), read_qrels(qrels), read_answers(answers) if answers else {}))
        if not found:
            remedy = "check that the ids are written alike"
            raise InputError("judges no passage relevant to these topics", path=qrels, remedy=remedy)
    if limit is not None and limit < len(found):
        found = [found[number] for number in sorted(np.random.default_rng(seed).permutation(len(found))[:limit])]
    return found


def _judged(
    topics: Mapping[str, str], qrels: Mapping[str, Mapping[str, int]], answers: Mapping[str, tuple[str, ...]]
) -> Iterator[_Example]:
    for topic, text in topics.items():
        relevant = frozenset(passage for passage, relevance in qrels.get(topic, {}).items() if relevance > 0)
        for passage in sorted(relevant):
            yield _Example(topic, Question(text, passage, answers.get(topic, ())), relevant)


def _from_run(path: Pathish, examples: Sequence[_Example], depth: int) -> list[list[str]]:
    run = read_run(path)
    missing = [example.id for example in examples if example.id not in run]
    if len(missing) == len(examples):
        remedy = "its topics must be those of the topics file, or the numbers of the lines in the file of labels"
        raise InputError(f"has no hits for question {shown(missing[0])} nor any other", path=path, remedy=remedy)
    if missing:
        say(f"{os.fspath(path)}: no hits for {len(missing)} of {len(examples)} questions")
    return [[hit for hit, _ in order_hits(run.get(example.id, {}))[:depth]] for example in examples]


def _from_search(encoder: Encoder, index: Path, examples: Sequence[_Example], depth: int) -> list[list[str]]:
    from pyserini_optical.retrieve import search

    found = search(encoder, index, {example.id: example.question.text for example in examples}, hits=depth)
    return [[hit for hit, _ in order_hits(found[example.id])] for example in examples]


def _hard(example: _Example, lists: Sequence[Sequence[str]], passages: Mapping[str, str], count: int) -> Iterator[str]:
    """Yield the best hits that are not relevant, of each list in turn."""
    given = 0
    for hit in dict.fromkeys(chain.from_iterable(zip_longest(*lists))):
        if hit is None or hit in example.relevant or given == count:
            continue
        if hit not in passages:
            raise InputError(f"passage {shown(hit)} is not in the corpus", remedy="give the corpus of these runs")
        if is_negative(hit, example.question, passages):
            given += 1
            yield hit
