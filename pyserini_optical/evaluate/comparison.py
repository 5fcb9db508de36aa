"""Runs held against each other on the same qrels: the one function that most people need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import get_args

from pyserini_optical.data import Pathish, read_qrels, read_run
from pyserini_optical.errors import InputError
from pyserini_optical.evaluate.measures import DEFAULT_MEASURES, Qrels, Run, Scores, evaluate, parse_measure
from pyserini_optical.evaluate.significance import Contrast, Test, contrast_runs


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
    contrasts : tuple of Contrast
        Every run against the baseline, or all pairs; measure by measure.
    baseline : str or None
        The run that the others are held against.
    test, alpha, seed
        How significance was decided.
    unanswerable : tuple of str
        Topics without a relevant document: zero for every run.
    """

    measures: tuple[str, ...]
    topics: tuple[str, ...]
    scores: Mapping[str, Scores]
    contrasts: tuple[Contrast, ...]
    baseline: str | None
    test: Test
    alpha: float
    seed: int
    unanswerable: tuple[str, ...]

    @property
    def corrected(self) -> bool:
        """Whether Holm's correction was made; Tukey's test looks at the whole family by itself."""
        return self.test != "tukey"

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
        name = parse_measure(measure).name
        found = set()
        for contrast in self.contrasts:
            if contrast.measure == name and contrast.significant:
                better, worse = contrast.run, contrast.other
                if contrast.difference < 0:
                    better, worse = worse, better
                if better == run:
                    found.add(worse)
        return [other for other in self.scores if other in found]


def compare(
    qrels: Pathish | Qrels,
    runs: Sequence[Pathish] | Mapping[str, Pathish | Run],
    *,
    baseline: str | None = None,
    measures: Sequence[str] = DEFAULT_MEASURES,
    test: Test = "fisher",
    alpha: float = 0.05,
    seed: int = 42,
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
        ``.trec``, ``.run``, ``.gz``, ``.xz``.
    baseline : str, optional
        Name of the run that every other is held against; without it all pairs are compared.
    measures : sequence of str
        As in ir_measures: RR, nDCG, AP, Success, R, P, with a cutoff as in ``RR@10``; ``MRR@10`` is understood too.
    test : {"fisher", "student", "tukey"}
        Fisher's randomisation test or the paired t-test with Holm's correction for each measure, or Tukey's HSD.
    alpha : float
        Largest adjusted p-value that is called significant, between 0 and 1.
    seed : int
        Of the randomisation test and the bootstrap.
    report : path, optional
        A directory to which ``report.md``, ``report.tex`` and ``report.json`` are written.

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
    if test not in get_args(Test):
        raise InputError(f"unknown test {test!r}", remedy=f"choose from {', '.join(get_args(Test))}")
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}", remedy="give a value between 0 and 1, such as 0.05")
    if seed < 0:
        raise InputError(f"the seed is {seed}", remedy="give a whole number from 0 on")
    sources = dict(runs) if isinstance(runs, Mapping) else name_runs(runs)
    if not sources:
        raise InputError("no run given", remedy="give at least one run, and two to compare")
    if baseline is not None and baseline not in sources:
        raise InputError(f"the baseline {baseline!r} is not among the runs", remedy=f"choose from {', '.join(sources)}")

    judgements: Qrels = qrels if isinstance(qrels, Mapping) else read_qrels(qrels)
    # A run is let go once it is scored: deep runs are large.
    scores = {name: _score(judgements, name, source, names) for name, source in sources.items()}
    if baseline is None:
        pairs = list(combinations(scores, 2))
    else:
        pairs = [(name, baseline) for name in scores if name != baseline]
    values = {name: one.values for name, one in scores.items()}
    comparison = Comparison(
        measures=names,
        topics=next(iter(scores.values())).topics,
        scores=scores,
        contrasts=tuple(contrast_runs(values, pairs, test=test, alpha=alpha, seed=seed)),
        baseline=baseline,
        test=test,
        alpha=alpha,
        seed=seed,
        unanswerable=tuple(
            sorted(topic for topic, docs in judgements.items() if not any(r > 0 for r in docs.values()))
        ),
    )
    if report is not None:
        from pyserini_optical.evaluate.tables import write_report

        write_report(comparison, report)
    return comparison


def run_name(path: Pathish) -> str:
    """Name a run after its file, without ``.txt``, ``.trec``, ``.run``, ``.gz``, ``.xz``."""
    path = Path(path)
    while path.suffix in {".txt", ".trec", ".run", ".gz", ".xz"}:
        path = path.with_suffix("")
    return path.name


def name_runs(paths: Sequence[Pathish | tuple[str, Pathish]]) -> dict[str, Pathish]:
    """Give each run its name: the one that stands before its path, or that of its file.

    Raises
    ------
    InputError
        Two runs have the same name.
    """
    named: dict[str, Pathish] = {}
    for item in paths:
        name, path = item if isinstance(item, tuple) else (run_name(item), item)
        if name in named:
            remedy = "give one of them another name, as NAME=PATH on the command line or as a mapping in Python"
            raise InputError(f"a second run is named {name!r}, after {named[name]}", path=path, remedy=remedy)
        named[name] = path
    return named


def _score(qrels: Qrels, name: str, source: Pathish | Run, measures: Sequence[str]) -> Scores:
    run: Run = source if isinstance(source, Mapping) else read_run(source)
    scores = evaluate(qrels, run, measures)
    if not run.keys() & qrels.keys():
        theirs, ours = next(iter(run), None), scores.topics[0]
        seen = f"it has {theirs!r}, they have {ours!r}" if theirs is not None else "it is empty"
        raise InputError(
            f"run {name!r} shares no topic with the qrels ({seen})",
            path=None if isinstance(source, Mapping) else source,
            remedy="check that both are of the same topics, with ids written alike",
        )
    return scores
