"""The files of a report: a page for the eye, and the same numbers in Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyserini_optical.data import Pathish, read_lines, write_text
from pyserini_optical.data.jsonl import parse_object
from pyserini_optical.errors import InputError
from pyserini_optical.evaluate.context import Context
from pyserini_optical.evaluate.measures import Scores
from pyserini_optical.evaluate.page import to_html
from pyserini_optical.evaluate.significance import CONFIDENCE, RESAMPLES, assignments
from pyserini_optical.evaluate.tables import details_to_markdown, to_latex, to_markdown

if TYPE_CHECKING:
    from pyserini_optical.evaluate.comparison import Comparison

# The page comes last: where it is, the others are.
FILES = ("report.md", "report.tex", "report.csv", "report.json", "report.html")


def write_report(comparison: Comparison, directory: Pathish, context: Context | None = None) -> list[Path]:
    """Write ``report.html``, ``.md``, ``.tex``, ``.csv`` and ``.json`` to a directory, each whole or not at all.

    Parameters
    ----------
    comparison : Comparison
        What to write.
    directory : path-like
        Made if it is not there.
    context : Context, optional
        What the page and the Markdown show beside the numbers.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        The directory cannot be written to.
    """
    context = context or Context()
    # All are made before the first is written.
    texts = (
        to_markdown(comparison, title=context.title, lead=context.lead) + details_to_markdown(context),
        to_latex(comparison),
        to_csv(comparison),
        to_json(comparison),
        to_html(comparison, context),
    )
    paths = [Path(directory) / name for name in FILES]
    for path, text in zip(paths, texts, strict=True):
        with write_text(path) as stream:
            stream.write(text)
    return paths


def to_csv(comparison: Comparison) -> str:
    """Write a line for each run and measure: topics, mean, ends of its interval, the runs that it beats, the test."""
    inference = comparison.inference
    test = f"{inference.test}, {inference.corrected or 'no'} correction, p <= {inference.alpha:g}"
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["run", "measure", "topics", "mean", "low", "high", "better_than", "test"])
    for run in comparison.scores:
        for measure in comparison.measures:
            mean, (low, high) = comparison.mean(measure, run), comparison.intervals[run][measure]
            beaten = " | ".join(comparison.beaten(measure, run))
            writer.writerow([run, measure, len(comparison.topics), repr(mean), repr(low), repr(high), beaten, test])
    return stream.getvalue()


def to_json(comparison: Comparison) -> str:
    """Write everything as JSON: means, values by topic (in the order of ``topics``), every comparison."""
    return json.dumps(_content(comparison), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _content(comparison: Comparison) -> dict[str, Any]:
    inference = comparison.inference
    pairs = len(comparison.contrasts) // len(comparison.measures)
    return {
        "topics": comparison.topics,
        "measures": comparison.measures,
        "baseline": comparison.baseline,
        "test": inference.test,
        "alpha": inference.alpha,
        "correction": inference.correction if inference.corrected else "none",
        "comparisons_per_measure": pairs,
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        "assignments": assignments(pairs, inference.alpha) if inference.test == "fisher" else None,
        "seed": inference.seed,
        "unanswerable_topics": comparison.unanswerable,
        "runs": [
            {
                "name": run,
                "mean": {measure: comparison.mean(measure, run) for measure in comparison.measures},
                "interval": comparison.intervals[run],
                "seeds": scores.seeds,
                "missing_topics": scores.missing,
                "ignored_topics": scores.ignored,
                "by_topic": {measure: scores.values[measure].tolist() for measure in comparison.measures},
                "rank_of_first_relevant": scores.ranks,
            }
            for run, scores in comparison.scores.items()
        ],
        "contrasts": [asdict(contrast) for contrast in comparison.contrasts],
        "languages": {language: _content(part) for language, part in comparison.languages.items()},
    }


def read_scores(path: Pathish) -> tuple[dict[str, Scores], tuple[str, ...]]:
    """Read from a ``report.json`` what each run reached on each topic.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    scores : dict of str to Scores
        By run.
    unanswerable : tuple of str
        Topics without a relevant document.

    Raises
    ------
    InputError
        The file is missing or is not a report.
    """
    content = parse_object("\n".join(line for _, line in read_lines(path)), path=path)
    try:
        topics = tuple(map(str, content["topics"]))
        scores = {str(run["name"]): _scores(run, topics) for run in content["runs"]}
        if not topics or not scores or len({tuple(one.values) for one in scores.values()}) > 1:
            raise ValueError
        return scores, tuple(map(str, content["unanswerable_topics"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        remedy = "name the report.json of a comparison or study, or make it again"
        raise InputError("not a report", path=path, remedy=remedy) from None


def _scores(run: Mapping[str, Any], topics: tuple[str, ...]) -> Scores:
    values = {str(measure): np.array(each, dtype=np.float64) for measure, each in run["by_topic"].items()}
    if not values or any(each.shape != (len(topics),) or not np.isfinite(each).all() for each in values.values()):
        raise ValueError
    ranks = tuple(tuple(map(int, each)) for each in run.get("rank_of_first_relevant", ()))
    seeds = {str(measure): tuple(map(float, means)) for measure, means in run.get("seeds", {}).items()}
    counts = {len(means) for means in seeds.values()}
    if any(len(each) != len(topics) for each in ranks) or (seeds and set(seeds) != set(values)) or len(counts) > 1:
        raise ValueError
    if counts & {0, 1} or (counts and ranks and counts != {len(ranks)}):
        raise ValueError
    return Scores(
        topics=topics,
        values=values,
        missing=tuple(map(str, run["missing_topics"])),
        ignored=tuple(map(str, run["ignored_topics"])),
        ranks=ranks,
        seeds=seeds,
    )
