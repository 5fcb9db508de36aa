"""Effectiveness measures, named as ir_measures names them, computed by ranx, equal to trec_eval's.

ranx gets nothing to decide: the hits come in trec_eval's order, with ranks for scores and small numbers for document
ids (left alone, it orders ties in its own way and hashes the ids into floats).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import order_hits
from pyserini_optical.errors import InputError

Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Mapping[str, float]]

DEFAULT_MEASURES = ("RR@10", "nDCG@10", "Success@1", "Success@10", "R@100")

# What people write → the name of ir_measures, its function in ranx, whether a cutoff must be given.
_KINDS = {
    "rr": ("RR", "reciprocal_rank", False),
    "mrr": ("RR", "reciprocal_rank", False),
    "ndcg": ("nDCG", "ndcg", False),
    "ap": ("AP", "average_precision", False),
    "map": ("AP", "average_precision", False),
    "success": ("Success", "hit_rate", True),
    "r": ("R", "recall", True),
    "recall": ("R", "recall", True),
    "p": ("P", "precision", True),
    "precision": ("P", "precision", True),
}


@dataclass(frozen=True)
class Measure:
    """One measure: its name in ir_measures (``RR@10``), its function in ranx and its cutoff there (0: none)."""

    name: str
    function: str
    cutoff: int


@dataclass(frozen=True)
class Scores:
    """What one run reaches on each topic.

    Attributes
    ----------
    topics : tuple of str, length n
        The topics of the qrels, sorted.
    values : mapping of str to array, shape (n,)
        For each measure (by its ir_measures name) the value on each topic.
    missing : tuple of str
        Topics of the qrels for which the run has no hit: their values are zero.
    ignored : tuple of str
        Topics of the run that are not in the qrels: they count nowhere.
    """

    topics: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    missing: tuple[str, ...]
    ignored: tuple[str, ...]

    def mean(self, measure: str) -> float:
        """Mean over all topics of the qrels, as ``trec_eval -c`` gives it.

        Parameters
        ----------
        measure : str
            A key of ``values``.
        """
        # One by one in the order of the topics, as trec_eval adds, so that the last digit agrees.
        return float(np.cumsum(self.values[measure])[-1] / len(self.topics))


def parse_measure(text: str) -> Measure:
    """Read the name of a measure, such as ``nDCG@10``; ``MRR``, ``MAP``, ``Recall`` and ``Precision`` are aliases.

    Parameters
    ----------
    text : str
        RR, nDCG or AP, with or without ``@k``, or Success, R or P with ``@k``; capitals do not matter.

    Raises
    ------
    InputError
        There is no such measure, or its cutoff is missing.
    """
    match = re.fullmatch(r"([A-Za-z]+)(?:@0*([1-9][0-9]*))?", text.strip(), re.ASCII)
    kind = _KINDS.get(match[1].lower()) if match else None
    if match is None or kind is None:
        known = ", ".join(dict.fromkeys(name + "@k" * needs for name, _, needs in _KINDS.values()))
        raise InputError(f"unknown measure {text!r}", remedy=f"choose from {known}; each takes a cutoff, as in RR@10")
    name, function, needs_cutoff = kind
    if match[2] is None:
        if needs_cutoff:
            raise InputError(f"measure {text!r} needs a cutoff", remedy=f"write it as {name}@10")
        return Measure(name, function, 0)
    return Measure(f"{name}@{match[2]}", function, int(match[2]))


def evaluate(qrels: Qrels, run: Run, measures: Sequence[str] = DEFAULT_MEASURES) -> Scores:
    r"""Compute measures of one run on every topic of the qrels.

    Hits are ordered as trec_eval orders them: score at float32 descending, then document id descending; the ranks in a
    file are not looked at. A document counts as relevant from relevance 1 on; the gain of nDCG is the relevance,

    .. math:: \mathrm{DCG}@k = \sum_{i=1}^{k} \frac{\max(0, \mathrm{rel}_i)}{\log_2(i + 1)},

    divided by its largest possible value. A topic without a relevant document scores zero.

    Parameters
    ----------
    qrels : mapping
        Topic → document → relevance.
    run : mapping
        Topic → document → score.
    measures : sequence of str
        As :func:`parse_measure` reads them.

    Returns
    -------
    Scores
        One value a topic and measure.

    Raises
    ------
    InputError
        A measure is unknown or the qrels are empty.

    References
    ----------
    Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002, section 3.
    """
    parsed = [parse_measure(measure) for measure in measures]
    if not qrels:
        raise InputError("the qrels hold no topic", remedy="give relevance judgements for at least one topic")

    from numba.core.errors import NumbaTypeSafetyWarning
    from numba.typed import List
    from ranx import metrics

    topics = tuple(sorted(qrels))
    wanted, found = List(), List()
    for topic in topics:
        judged, ranked = _arrays(qrels[topic], run.get(topic, {}))
        wanted.append(judged)
        found.append(ranked)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaTypeSafetyWarning)  # a cast inside ranx, when it is first compiled
        values = {one.name: getattr(metrics, one.function)(wanted, found, one.cutoff) for one in parsed}
    return Scores(
        topics=topics,
        values=values,
        missing=tuple(topic for topic in topics if not run.get(topic)),
        ignored=tuple(sorted(topic for topic in run if topic not in qrels)),
    )


def _arrays(judged: Mapping[str, int], hits: Mapping[str, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give one topic in ranx's form: rows (document number, relevance) and (document number, score), best first."""
    relevant = sorted(((doc, rel) for doc, rel in judged.items() if rel > 0), key=lambda item: -item[1])
    number = {doc: float(index) for index, (doc, _) in enumerate(relevant)}
    order = [doc for doc, _ in order_hits(hits)]
    # A document that is not relevant needs a number above all relevant ones, no matter which.
    ranked = [(number.get(doc, float(len(relevant) + rank)), -float(rank)) for rank, doc in enumerate(order)]
    return (
        np.array([(number[doc], rel) for doc, rel in relevant], dtype=np.float64).reshape(-1, 2),
        np.array(ranked, dtype=np.float64).reshape(-1, 2),
    )
