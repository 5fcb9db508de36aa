"""What a report shows beside the numbers: questions, passages, costs, how the runs were made."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pyserini_optical.data import Manifest, Pathish, fingerprint, read_corpus, read_lines, read_topics
from pyserini_optical.errors import InputError

if TYPE_CHECKING:
    from pyserini_optical.evaluate.comparison import Comparison
    from pyserini_optical.evaluate.measures import Qrels

Quantities = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Context:
    """What a report says around a comparison; every part may be left out.

    Attributes
    ----------
    title, lead : str
        The heading, and a paragraph under it.
    topics : mapping of str to mapping of str to str
        Text by topic for each set of topics, such as the questions and their translation.
    relevant : mapping of str to sequence of str
        Relevant passages by topic.
    passages : mapping of str to (str, str)
        Title and text by passage: of those that are relevant, and of those that a run ranks first.
    quantities : mapping of str to mapping of str to float
        A number by run for each quantity that effectiveness is plotted against, such as seconds or sentence pairs.
    matches : mapping of str to mapping of str to sequence of (str, str, float)
        By run and topic, for runs by late interaction: which query word met which word of the first relevant passage,
        and what that added to the score.
    details : sequence of mappings of str to str
        How the runs were made: a table with a row for each.
    manifest : Manifest, optional
        What the numbers were made from.
    """

    title: str = "Comparison"
    lead: str = ""
    topics: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    relevant: Mapping[str, Sequence[str]] = field(default_factory=dict)
    passages: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    quantities: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    matches: Mapping[str, Mapping[str, Sequence[tuple[str, str, float]]]] = field(default_factory=dict)
    details: Sequence[Mapping[str, str]] = ()
    manifest: Manifest | None = None


def gather(
    comparison: Comparison,
    qrels: Qrels,
    topics: Mapping[str, Pathish],
    corpus: Pathish | None,
    quantities: Pathish | None,
    files: Mapping[str, Pathish],
) -> Context:
    """Read what a report of these runs shows.

    Parameters
    ----------
    comparison : Comparison
        The runs.
    qrels : mapping
        Topic → document → relevance.
    topics : mapping of str to path
        Topics files by what they are.
    corpus, quantities : path, optional
        The passages; numbers about the runs.
    files : mapping of str to path
        The files that were compared, whose fingerprints the report gives.

    Raises
    ------
    InputError
        A file cannot be used.
    """
    return Context(
        topics={name: read_topics(path) for name, path in topics.items()},
        relevant=relevant_passages(qrels),
        passages={} if corpus is None else read_passages(corpus, shown_passages(comparison, qrels)),
        quantities={} if quantities is None else read_quantities(quantities, comparison.scores),
        manifest=Manifest(
            "compare",
            inputs={name: fingerprint(path) for name, path in files.items()},
            parameters={
                "measures": comparison.measures,
                "baseline": comparison.baseline,
                **asdict(comparison.inference),
            },
        ),
    )


def relevant_passages(qrels: Qrels) -> dict[str, list[str]]:
    """Give the relevant passages of each topic, the most relevant first."""
    return {
        topic: sorted((doc for doc, relevance in docs.items() if relevance > 0), key=lambda doc: -docs[doc])
        for topic, docs in qrels.items()
    }


def shown_passages(comparison: Comparison, qrels: Qrels) -> set[str]:
    """Name the passages that a report shows: the relevant ones, and those that a run ranks first."""
    relevant = {doc for docs in relevant_passages(qrels).values() for doc in docs}
    return relevant | {doc for scores in comparison.scores.values() for doc in scores.first if doc}


def best_and_worst(comparison: Comparison, run: str, count: int = 5) -> list[str]:
    """Name the topics on which a run gains and loses most, by the first measure.

    Against the baseline, or the mean of all other runs where there is none or it is the run itself.
    """
    measure = comparison.measures[0]
    others = [name for name in comparison.scores if name != run]
    if comparison.baseline is not None and comparison.baseline != run:
        others = [comparison.baseline]
    against = np.mean([comparison.scores[name].values[measure] for name in others], axis=0) if others else 0.0
    # In the page's order: of equal differences the first topic.
    order = np.argsort(against - comparison.scores[run].values[measure], kind="stable")
    chosen = dict.fromkeys([*order[:count].tolist(), *order[::-1][:count].tolist()])
    return [comparison.topics[index] for index in chosen]


def read_passages(corpus: Pathish, wanted: Collection[str]) -> dict[str, tuple[str, str]]:
    """Read the title and the text of the passages that are wanted; those that the corpus lacks are left out."""
    return {passage.id: (passage.title, passage.text) for passage in read_corpus(corpus) if passage.id in wanted}


def read_quantities(path: Pathish, runs: Collection[str]) -> Quantities:
    """Read numbers about runs: a header ``run⇥quantity⇥…``, then a line a run; an empty field is left out.

    Parameters
    ----------
    path : path-like
        The file, plain, ``.gz`` or ``.xz``.
    runs : collection of str
        Names of the runs that are known.

    Returns
    -------
    dict of str to dict of str to float
        Number by run by quantity.

    Raises
    ------
    InputError
        The header is another, a line has other columns, names an unknown or repeated run, or holds what is no number.
    """
    header: list[str] = []
    found: Quantities = {}
    seen: set[str] = set()
    for number, line in read_lines(path):
        cells = [cell.strip() for cell in line.split("\t")]
        if not header:
            if cells[0] != "run" or len(cells) < 2 or not all(cells) or len(set(cells)) < len(cells):
                remedy = "write run⇥quantity⇥… with different names, such as run⇥seconds"
                raise InputError("not a header of quantities", path=path, line=number, remedy=remedy)
            header = cells
            found = {name: {} for name in header[1:]}
            continue
        run, *values = cells
        if len(cells) != len(header):
            problem = f"expected {len(header)} columns separated by tabs, found {len(cells)}"
            raise InputError(problem, path=path, line=number, remedy="leave a field empty where a number is not known")
        if run not in runs or run in seen:
            problem = f"run {run!r} {'stands twice' if run in seen else 'is not among the runs'}"
            raise InputError(problem, path=path, line=number, remedy=f"choose from {', '.join(runs)}")
        seen.add(run)
        for name, value in zip(header[1:], values, strict=True):
            if value:
                found[name][run] = _number(value, path, number)
    if not any(found.values()):
        raise InputError("holds no quantities", path=path, remedy="write a header and a line for each run")
    return found


def _number(text: str, path: Pathish, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{text!r} is not a number", path=path, line=line, remedy="write it as 1234.5")
    return value
