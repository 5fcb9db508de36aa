"""Several languages as one comparison: is a system better over all of them?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pyserini_optical.data import Manifest, Pathish, fingerprint, one_process
from pyserini_optical.errors import InputError
from pyserini_optical.evaluate.comparison import Comparison, Inference, conclude
from pyserini_optical.evaluate.context import Context
from pyserini_optical.evaluate.measures import Scores
from pyserini_optical.evaluate.report import read_scores, write_report


@one_process("report")
def pool(
    reports: Mapping[str, Pathish],
    *,
    baseline: str | None = None,
    inference: Inference | None = None,
    report: Pathish | None = None,
) -> Comparison:
    """Compare the runs that several languages have in common, over the topics of all of them.

    A topic that several languages have (a parallel collection, such as XQuAD) counts once, with the mean of its values:
    its versions are one draw, not several, and tests that took them for several would find too much.

    Parameters
    ----------
    reports : mapping of str to path
        The ``report.json`` of a comparison or study by language.
    baseline : str, optional
        The run that every other is held against; without it all pairs are compared.
    inference : Inference, optional
        How significance is decided.
    report : path, optional
        A directory for the report of the pooled comparison, with a panel for each language.

    Returns
    -------
    Comparison
        Of all languages; each by itself under ``languages``.

    Raises
    ------
    InputError
        A file is not a report, or the reports have no run or no measure in common, or not the baseline.
    """
    read = {language: read_scores(path) for language, path in reports.items()}
    if len(read) < 2:
        raise InputError("one language has nothing to be pooled with", remedy="give the reports of at least two")
    scores = [each for each, _ in read.values()]
    runs = [run for run in scores[0] if all(run in each for each in scores)]
    if not runs:
        raise InputError("the reports have no run in common", remedy="give the runs of all languages the same names")
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
    pooled = conclude(
        {run: _pooled([part.scores[run] for part in languages.values()]) for run in runs}, baseline, inference
    )
    comparison = replace(pooled, languages=languages)
    if report is not None:
        manifest = Manifest("pool", inputs={language: fingerprint(path) for language, path in reports.items()})
        title = f"Pooled over {', '.join(reports)}"
        write_report(comparison, report, Context(title=title, manifest=manifest))
    return comparison


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
