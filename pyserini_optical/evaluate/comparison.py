"""Runs held against each other on the same qrels: the one function that most people need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from os import PathLike
from pathlib import Path
from typing import get_args

import numpy as np

from pyserini_optical.data import Pathish, one_process, read_qrels, read_run
from pyserini_optical.errors import InputError
from pyserini_optical.evaluate.answers import Answers, read_answers
from pyserini_optical.evaluate.context import gather, read_passages
from pyserini_optical.evaluate.measures import DEFAULT_MEASURES, Qrels, Run, Scores, average, evaluate, parse_measure
from pyserini_optical.evaluate.report import write_report
from pyserini_optical.evaluate.significance import Contrast, Correction, Test, bootstrap_interval, contrast_runs

# One run, or several of one system.
Source = Pathish | Run | Sequence[Pathish | Run]


@dataclass(frozen=True)
class Inference:
    """How significance is decided.

    Attributes
    ----------
    test : {"fisher", "student", "tukey"}
        Fisher's randomisation test, the paired t-test, or Tukey's HSD.
    correction : {"holm", "benjamini-hochberg"}
        For the number of comparisons on one measure; Tukey's test needs none.
    alpha : float
        Largest adjusted p-value that is called significant, between 0 and 1.
    seed : int
        Of the randomisation test and the bootstrap.

    Raises
    ------
    InputError
        One of them is not as above.
    """

    test: Test = "fisher"
    correction: Correction = "holm"
    alpha: float = 0.05
    seed: int = 42

    def __post_init__(self) -> None:
        for what, value, kind in (("test", self.test, Test), ("correction", self.correction, Correction)):
            if value not in get_args(kind):
                raise InputError(f"unknown {what} {value!r}", remedy=f"choose from {', '.join(get_args(kind))}")
        if not 0 < self.alpha < 1:
            raise InputError(f"alpha is {self.alpha}", remedy="give a value between 0 and 1, such as 0.05")
        if self.seed < 0:
            raise InputError(f"the seed is {self.seed}", remedy="give a whole number from 0 on")

    @property
    def corrected(self) -> str | None:
        """Whose correction is made; None for Tukey's test, which looks at the whole family by itself."""
        return (
            None
            if self.test == "tukey"
            else {"holm": "Holm", "benjamini-hochberg": "Benjamini–Hochberg"}[self.correction]
        )


@dataclass(frozen=True)
class Comparison:
    """What several runs reach on the same topics, and which differences are more than chance.

    Attributes
    ----------
    measures : tuple of str
        Names as in ir_measures, in the order asked for.
    topics : tuple of str
        The topics of the qrels, sorted.
    scores : mapping of str to Scores
        By run, in the order given.
    intervals : mapping of str to mapping of str to (float, float)
        By run and measure, the bootstrap interval (95%) of the mean.
    contrasts : tuple of Contrast
        Every run against the baseline, or all pairs; measure by measure.
    baseline : str or None
        The run that the others are held against.
    inference : Inference
        How significance was decided.
    unanswerable : tuple of str
        Topics without a relevant document: zero for every run.
    languages : mapping of str to Comparison
        What was pooled, if anything was.
    """

    measures: tuple[str, ...]
    topics: tuple[str, ...]
    scores: Mapping[str, Scores]
    intervals: Mapping[str, Mapping[str, tuple[float, float]]]
    contrasts: tuple[Contrast, ...]
    baseline: str | None
    inference: Inference
    unanswerable: tuple[str, ...]
    languages: Mapping[str, Comparison] = field(default_factory=dict)

    def mean(self, measure: str, run: str) -> float:
        """Mean of one run over all topics."""
        return self.scores[run].mean(parse_measure(measure).name)

    def contrast(self, measure: str, run: str, other: str) -> Contrast:
        """Give the comparison of two runs, as ``run`` minus ``other``.

        Raises
        ------
        KeyError
            These two were not compared (neither is the baseline).
        """
        name = parse_measure(measure).name
        for contrast in self.contrasts:
            if contrast.measure == name and {contrast.run, contrast.other} == {run, other}:
                return contrast if contrast.run == run else contrast.reversed()
        raise KeyError((measure, run, other))

    def beaten(self, measure: str, run: str) -> list[str]:
        """List the runs than which ``run`` is significantly better, in the order given."""
        parsed = parse_measure(measure)
        found = set()
        for contrast in self.contrasts:
            if contrast.measure == parsed.name and contrast.significant:
                better, worse = contrast.run, contrast.other
                if parsed.sign * contrast.difference < 0:
                    better, worse = worse, better
                if better == run:
                    found.add(worse)
        return [other for other in self.scores if other in found]


@one_process("report")
def compare(
    qrels: Pathish | Qrels,
    runs: Sequence[Pathish] | Mapping[str, Source],
    *,
    baseline: str | None = None,
    measures: Sequence[str] = DEFAULT_MEASURES,
    test: Test = "fisher",
    correction: Correction = "holm",
    alpha: float = 0.05,
    seed: int = 42,
    answers: Pathish | None = None,
    corpus: Pathish | None = None,
    topics: Mapping[str, Pathish] | None = None,
    quantities: Pathish | None = None,
    report: Pathish | None = None,
) -> Comparison:
    """Compare runs: measures equal to trec_eval's, significance corrected for the number of comparisons.

    Topics that a run lacks count as zero and are named in the result, as are topics that are not in the qrels.

    Parameters
    ----------
    qrels : path or mapping
        TREC qrels, or topic → document → relevance.
    runs : sequence of paths, or mapping of names to paths or runs
        TREC runs, or topic → document → score. A path gives its file name as the run's name, without ``.txt``,
        ``.trec``, ``.run``, ``.gz``, ``.xz``. A sequence of runs under one name is one system, as with several seeds:
        on each topic it has their mean.
    baseline : str, optional
        Name of the run that every other is held against; without it all pairs are compared.
    measures : sequence of str
        As in ir_measures: RR, nDCG, AP, Success, R, P, with a cutoff as in ``RR@10``; ``MRR@10`` is understood too.
        ``R@2kt`` is recall within 2,000 tokens, ``RankDistance@100`` the distance of parallel passages.
    test, correction, alpha, seed
        As :class:`Inference` has them.
    answers : path, optional
        The answers that ``R@2kt`` looks for, ``id⇥answer⇥answer…``.
    corpus : path, optional
        The passages, for ``R@2kt`` and for the report.
    topics : mapping of str to path, optional
        Topics files for the report, by what they are, such as ``Swahili`` and ``human translation``.
    quantities : path, optional
        For the report: numbers about the runs, such as seconds or sentence pairs, as tab-separated columns under a
        header that begins with ``run``.
    report : path, optional
        A directory to which ``report.html``, ``.md``, ``.tex``, ``.csv`` and ``.json`` are written.

    Returns
    -------
    Comparison
        Scores by topic, and every comparison made.

    Raises
    ------
    InputError
        A file cannot be used, a run shares no topic with the qrels, two runs have one name, the baseline, a measure or
        the test is unknown, or alpha is out of range.
    """
    names = tuple(dict.fromkeys(parse_measure(measure).name for measure in measures))
    if not names:
        raise InputError("no measure given", remedy=f"leave it out for {', '.join(DEFAULT_MEASURES)}")
    inference = Inference(test, correction, alpha, seed)
    named = runs if isinstance(runs, Mapping) else name_runs(runs)
    sources = {name: _each(source) for name, source in named.items()}
    if not all(sources.values()) or not sources:
        raise InputError("no run given", remedy="give at least one run, and two to compare")
    if baseline is not None and baseline not in sources:
        raise InputError(f"the baseline {baseline!r} is not among the runs", remedy=f"choose from {', '.join(sources)}")

    judgements: Qrels = qrels if isinstance(qrels, Mapping) else read_qrels(qrels)
    known = None
    if any(parse_measure(name).reads_answers for name in names):
        known = _answers(answers, corpus, [source for each in sources.values() for source in each])
    # A run is let go once it is scored: deep runs are large.
    scores = {
        name: average([_score(judgements, name, source, names, known) for source in each])
        for name, each in sources.items()
    }
    unanswerable = sorted(topic for topic, docs in judgements.items() if not any(r > 0 for r in docs.values()))
    comparison = conclude(scores, baseline, inference, unanswerable)
    if report is not None:
        paths = {"qrels": qrels} | {
            name if len(each) == 1 else f"{name} {number}": source
            for name, each in sources.items()
            for number, source in enumerate(each, 1)
        }
        files = {name: path for name, path in paths.items() if isinstance(path, str | PathLike)}
        write_report(comparison, report, gather(comparison, judgements, topics or {}, corpus, quantities, files))
    return comparison


def conclude(
    scores: Mapping[str, Scores], baseline: str | None, inference: Inference, unanswerable: Sequence[str] = ()
) -> Comparison:
    """Test what the scores of several runs on the same topics say.

    Parameters
    ----------
    scores : mapping of str to Scores
        By run; all of the same topics and measures.
    baseline : str or None
        The run that every other is held against; None tests all pairs.
    inference : Inference
        How significance is decided.
    unanswerable : sequence of str
        Topics without a relevant document.

    Returns
    -------
    Comparison
        With intervals and contrasts.
    """
    if baseline is None:
        pairs = list(combinations(scores, 2))
    else:
        pairs = [(name, baseline) for name in scores if name != baseline]
    values = {name: one.values for name, one in scores.items()}
    some = next(iter(scores.values()))
    measures = tuple(some.values)
    keys = [(run, measure) for run in scores for measure in measures]
    lows, highs = bootstrap_interval(
        np.stack([values[run][measure] for run, measure in keys], axis=1), seed=inference.seed
    )
    intervals: dict[str, dict[str, tuple[float, float]]] = {run: {} for run in scores}
    for (run, measure), low, high in zip(keys, lows, highs, strict=True):
        intervals[run][measure] = (float(low), float(high))
    contrasts = contrast_runs(
        values, pairs, test=inference.test, correction=inference.correction, alpha=inference.alpha, seed=inference.seed
    )
    return Comparison(
        measures=measures,
        topics=some.topics,
        scores=scores,
        intervals=intervals,
        contrasts=tuple(contrasts),
        baseline=baseline,
        inference=inference,
        unanswerable=tuple(unanswerable),
    )


def run_name(path: Pathish) -> str:
    """Name a run after its file, without ``.txt``, ``.trec``, ``.run``, ``.gz``, ``.xz``."""
    path = Path(path)
    while path.suffix in {".txt", ".trec", ".run", ".gz", ".xz"}:
        path = path.with_suffix("")
    return path.name


def name_runs(paths: Sequence[Pathish | tuple[str, Sequence[Pathish]]]) -> dict[str, Source]:
    """Give each run its name: the one that stands before its path or paths, or that of its file.

    Raises
    ------
    InputError
        Two runs have the same name, or a path stands twice under one.
    """
    named: dict[str, Source] = {}
    for item in paths:
        name, source = item if isinstance(item, tuple) else (run_name(item), [item])
        if name in named:
            remedy = "give one of them another name, as NAME=PATH on the command line or as a mapping in Python"
            raise InputError(f"a second run is named {name!r}", path=source[0] if source else None, remedy=remedy)
        if twice := [path for path in source if list(source).count(path) > 1]:
            raise InputError(f"stands twice under {name!r}", path=twice[0], remedy="give each seed's run once")
        named[name] = source
    return named


def _each(source: Source) -> list[Pathish | Run]:
    return [source] if isinstance(source, str | PathLike | Mapping) else list(source)


def _read(source: Pathish | Run) -> Run:
    return source if isinstance(source, Mapping) else read_run(source)


def _answers(answers: Pathish | None, corpus: Pathish | None, sources: Sequence[Pathish | Run]) -> Answers:
    if answers is None or corpus is None:
        missing = "answers" if answers is None else "passages"
        raise InputError(
            f"recall within a number of tokens needs the {missing}",
            remedy="give answers and corpus, or leave the measure out",
        )
    wanted = {doc for source in sources for hits in _read(source).values() for doc in hits}
    texts = {passage: text for passage, (_, text) in read_passages(corpus, wanted).items()}
    return Answers(read_answers(answers), texts)


def _score(qrels: Qrels, name: str, source: Pathish | Run, measures: Sequence[str], answers: Answers | None) -> Scores:
    run = _read(source)
    scores = evaluate(qrels, run, measures, answers=answers)
    if not run.keys() & qrels.keys():
        theirs, ours = next(iter(run), None), scores.topics[0]
        seen = f"it has {theirs!r}, they have {ours!r}" if theirs is not None else "it is empty"
        raise InputError(
            f"run {name!r} shares no topic with the qrels ({seen})",
            path=None if isinstance(source, Mapping) else source,
            remedy="check that both are of the same topics, with ids written alike",
        )
    return scores
