"""Several reports as one comparison: of other seeds, made on other days or machines, and of other languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike

import numpy as np

from pyserini_optical.data import Manifest, Pathish, fingerprint, one_process
from pyserini_optical.errors import InputError
from pyserini_optical.evaluate.comparison import Comparison, Inference, conclude
from pyserini_optical.evaluate.context import Context
from pyserini_optical.evaluate.measures import Scores, average
from pyserini_optical.evaluate.report import read_scores, write_report


@one_process("report")
def pool(
    reports: Mapping[str, Pathish | Sequence[Pathish]],
    *,
    baseline: str | None = None,
    inference: Inference | None = None,
    report: Pathish | None = None,
) -> Comparison:
    """Compare the runs that several reports have in common, over the topics of all languages and over all seeds.

    Several reports of one language are of the same systems with other seeds: a system's value on a topic is its mean
    over all of them. A topic that several languages have (a parallel collection, such as XQuAD) counts once, with the
    mean of its values: its versions are one draw, not several, and tests that took them for several would find too
    much.

    Parameters
    ----------
    reports : mapping of str to path, or to sequence of paths
        The ``report.json`` of a comparison or study by language, or several with other seeds.
    baseline : str, optional
        The run that every other is held against; without it all pairs are compared.
    inference : Inference, optional
        How significance is decided.
    report : path, optional
        A directory for the report of the pooled comparison, with a panel for each language.

    Returns
    -------
    Comparison
        Of all languages; each by itself under ``languages``, if there are several.

    Raises
    ------
    InputError
        A file is not a report, there is but one, the reports have no run or no measure in common, or not the baseline,
        or those of one language have other topics or a seed twice.
    """
    files = {language: [each] if isinstance(each, str | PathLike) else list(each) for language, each in reports.items()}
    if sum(map(len, files.values())) < 2 or not all(files.values()):
        raise InputError("one report has nothing to be pooled with", remedy="give at least two")
    read = {language: _join(paths) for language, paths in files.items()}
    scores = [each for each, _ in read.values()]
    runs = [run for run in scores[0] if all(run in each for each in scores)]
    if not runs:
        raise InputError(
            "the reports have no run in common", remedy="give the same systems the same names in all of them"
        )
    if baseline is not None and baseline not in runs:
        raise InputError(f"the baseline {baseline!r} is not in all reports", remedy=f"choose from {', '.join(runs)}")
    measures = [name for name in scores[0][runs[0]].values if all(name in each[runs[0]].values for each in scores)]
    if not measures:
        raise InputError("the reports have no measure in common", remedy="make them with the same measures")
    inference = inference or Inference()
    languages = {
        language: conclude(
            {run: replace(each[run], values={name: each[run].values[name] for name in measures}) for run in runs},
            baseline,
            inference,
            unanswerable,
        )
        for language, (each, unanswerable) in read.items()
    }
    if len(languages) > 1:
        pooled = conclude(
            {run: _pooled([part.scores[run] for part in languages.values()]) for run in runs}, baseline, inference
        )
        comparison = replace(pooled, languages=languages)
    else:
        [comparison] = languages.values()
    if report is not None:
        inputs = {
            f"{language} {number}" if len(paths) > 1 else language: fingerprint(path)
            for language, paths in files.items()
            for number, path in enumerate(paths, 1)
        }
        manifest = Manifest("pool", inputs=inputs)
        names = [
            f"{language} ({len(paths)} reports)" if len(paths) > 1 else language for language, paths in files.items()
        ]
        title = f"Pooled over {', '.join(names)}"
        write_report(comparison, report, Context(title=title, manifest=manifest))
    return comparison


def _join(paths: Sequence[Pathish]) -> tuple[dict[str, Scores], tuple[str, ...]]:
    """Read the reports of one language as one: of a system that all have, the mean over all its runs."""
    (scores, unanswerable), *others = [read_scores(path) for path in paths]
    topics = next(iter(scores.values())).topics
    for (more, _), path in zip(others, paths[1:], strict=True):
        if next(iter(more.values())).topics != topics:
            problem, remedy = "has other topics than the report before it", "name it as a language of its own"
            raise InputError(problem, path=path, remedy=remedy)
        before = sum(one.runs for run, one in scores.items() if run in more)
        scores = {run: _with_seeds(run, one, more[run], path) for run, one in scores.items() if run in more}
        if scores and sum(one.runs for one in scores.values()) == before:
            raise InputError("has no run that the reports before it lack", path=path, remedy="name one of other seeds")
    return scores, unanswerable


def _with_seeds(run: str, one: Scores, other: Scores, path: Pathish) -> Scores:
    """Add the runs of a system that another report has; what hangs on no seed is the same in both, and counts once."""
    measures = [measure for measure in one.values if measure in other.values]
    one, other = (
        replace(
            each,
            values={measure: each.values[measure] for measure in measures},
            seeds={measure: means for measure, means in each.seeds.items() if measure in measures},
        )
        for each in (one, other)
    )
    known = _signatures(one)
    again = [signature in known for signature in _signatures(other)]
    if not measures or all(again):
        return one
    if any(again):
        problem, remedy = f"run {run} has a seed that a report before it has, and others", "name reports of other seeds"
        raise InputError(problem, path=path, remedy=remedy)
    return average([one, other])


def _signatures(scores: Scores) -> list[tuple[object, ...]]:
    """Give what tells each run from others: its mean by each measure, and its ranks of the first relevant document."""
    means = zip(*([round(mean, 9) for mean in scores.means(measure)] for measure in sorted(scores.values)), strict=True)
    ranks = scores.ranks or [()] * scores.runs
    return list(zip(means, ranks, strict=True))


def _pooled(parts: list[Scores]) -> Scores:
    topics = tuple(sorted({topic for part in parts for topic in part.topics}))
    place = {topic: index for index, topic in enumerate(topics)}
    where = np.concatenate([[place[topic] for topic in part.topics] for part in parts])
    counts = np.bincount(where, minlength=len(topics))
    values = {
        measure: np.bincount(where, np.concatenate([part.values[measure] for part in parts])) / counts
        for measure in parts[0].values
    }
    return Scores(topics=topics, values=values)
