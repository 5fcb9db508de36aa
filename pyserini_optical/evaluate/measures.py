"""Effectiveness measures, named as ir_measures names them, computed by ranx, equal to trec_eval's.

ranx gets nothing to decide: the hits come in trec_eval's order, with ranks for scores and small numbers for document
ids (left alone, it orders ties in its own way and hashes the ids into floats). Two measures that trec_eval lacks are
ours: the answer among the first tokens (``R@2kt``), and the rank distance between parallel passages.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import order_hits
from pyserini_optical.errors import InputError

if TYPE_CHECKING:
    from pyserini_optical.evaluate.answers import Answers

Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Mapping[str, float]]

DEFAULT_MEASURES = ("RR@10", "nDCG@10", "Success@1", "Success@10", "R@100")

_ANSWER_RECALL = "answer_recall"
_RANK_DISTANCE = "rank_distance"

# What people write → the name of ir_measures, its function in ranx (or ours), whether a cutoff must be given.
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
    "rankdistance": ("RankDistance", _RANK_DISTANCE, True),
}


@dataclass(frozen=True)
class Measure:
    """One measure: its name in ir_measures (``RR@10``), its function in ranx and its cutoff there (0: none)."""

    name: str
    function: str
    cutoff: int

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return -1 if self.function == _RANK_DISTANCE else 1

    @property
    def reads_answers(self) -> bool:
        """Whether it looks for answers in the texts of the passages."""
        return self.function == _ANSWER_RECALL


@dataclass(frozen=True)
class Scores:
    """What one run, or one system in several runs, reaches on each topic.

    Attributes
    ----------
    topics : tuple of str, length n
        The topics of the qrels, sorted.
    values : mapping of str to array, shape (n,)
        For each measure (by its ir_measures name) the value on each topic; of several runs their mean.
    missing : tuple of str
        Topics of the qrels for which the run has no hit: the values are zero, and the largest rank distance.
    ignored : tuple of str
        Topics of the run that are not in the qrels: they count nowhere.
    ranks : tuple of tuples of int, length (runs, n)
        At which rank each run has its first relevant document; 0 where it has none.
    first : tuple of str, length n
        The document that the (first) run ranks first; empty where it has no hit.
    seeds : mapping of str to tuple of float
        For each measure the mean of each run, if there are several.
    """

    topics: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    missing: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    ranks: tuple[tuple[int, ...], ...] = ()
    first: tuple[str, ...] = ()
    seeds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def mean(self, measure: str) -> float:
        """Mean over all topics of the qrels, as ``trec_eval -c`` gives it.

        Parameters
        ----------
        measure : str
            A key of ``values``.
        """
        # One by one in the order of the topics, as trec_eval adds, so that the last digit agrees.
        return float(np.cumsum(self.values[measure])[-1] / len(self.topics))

    @property
    def runs(self) -> int:
        """Of how many runs the values are the mean."""
        return max((len(means) for means in self.seeds.values()), default=1)

    def means(self, measure: str) -> tuple[float, ...]:
        """Mean of each run by itself."""
        return self.seeds.get(measure) or (self.mean(measure),)


def parse_measure(text: str) -> Measure:
    """Read the name of a measure, such as ``nDCG@10``; ``MRR``, ``MAP``, ``Recall`` and ``Precision`` are aliases.

    Parameters
    ----------
    text : str
        RR, nDCG or AP, with or without ``@k``, or Success, R, P or RankDistance with ``@k``, or ``R@2kt`` for a recall
        within 2,000 tokens; capitals do not matter.

    Raises
    ------
    InputError
        There is no such measure, or its cutoff is missing.
    """
    match = re.fullmatch(r"([A-Za-z]+)(?:@0*([1-9][0-9]{0,8})(kt)?)?", text.strip(), re.ASCII | re.IGNORECASE)
    kind = _KINDS.get(match[1].lower()) if match else None
    if match is None or kind is None or (match[3] and kind[0] != "R"):
        known = ", ".join(dict.fromkeys(name + "@k" * needs for name, _, needs in _KINDS.values()))
        remedy = f"choose from {known}, R@2kt; each takes a cutoff, as in RR@10"
        raise InputError(f"unknown measure {text!r}", remedy=remedy)
    name, function, needs_cutoff = kind
    if match[3]:
        return Measure(f"{name}@{match[2]}kt", _ANSWER_RECALL, 1_000 * int(match[2]))
    if match[2] is None:
        if needs_cutoff:
            raise InputError(f"measure {text!r} needs a cutoff", remedy=f"write it as {name}@10")
        return Measure(name, function, 0)
    return Measure(f"{name}@{match[2]}", function, int(match[2]))


def evaluate(
    qrels: Qrels, run: Run, measures: Sequence[str] = DEFAULT_MEASURES, *, answers: Answers | None = None
) -> Scores:
    r"""Compute measures of one run on every topic of the qrels.

    Hits are ordered as trec_eval orders them: score at float32 descending, then document id descending; the ranks in a
    file are not looked at. A document counts as relevant from relevance 1 on; the gain of nDCG is the relevance,

    .. math:: \mathrm{DCG}@k = \sum_{i=1}^{k} \frac{\max(0, \mathrm{rel}_i)}{\log_2(i + 1)},

    divided by its largest possible value. A topic without a relevant document scores zero, but where a measure looks
    for answers (``R@2kt``). ``RankDistance@k`` is for collections in which the relevant documents of a topic say the
    same in several languages (LAReQA),

    .. math:: \max_d r_d - \min_d r_d, \qquad r_d = k + 1 \text{ below rank } k,

    over the relevant documents d of a topic, and k where none is found: 0 for a ranking without language bias.

    Parameters
    ----------
    qrels : mapping
        Topic → document → relevance.
    run : mapping
        Topic → document → score.
    measures : sequence of str
        As :func:`parse_measure` reads them.
    answers : Answers, optional
        For measures within a number of tokens, such as ``R@2kt``.

    Returns
    -------
    Scores
        One value a topic and measure.

    Raises
    ------
    InputError
        A measure is unknown or lacks its answers, or the qrels are empty.

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
    orders = [[doc for doc, _ in order_hits(run.get(topic, {}))] for topic in topics]
    wanted, found = List(), List()
    for topic, order in zip(topics, orders, strict=True):
        judged, ranked = _arrays(qrels[topic], order)
        wanted.append(judged)
        found.append(ranked)
    values: dict[str, NDArray[np.float64]] = {}
    for one in parsed:
        if one.function == _RANK_DISTANCE:
            pairs = zip(topics, orders, strict=True)
            values[one.name] = np.array([_rank_distance(qrels[topic], order, one.cutoff) for topic, order in pairs])
        elif one.reads_answers:
            if answers is None:
                raise InputError(f"{one.name} needs answers and passages", remedy="give both, or leave the measure out")
            pairs = zip(topics, orders, strict=True)
            values[one.name] = np.array([answers.recall(topic, order, one.cutoff) for topic, order in pairs])
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NumbaTypeSafetyWarning)  # a cast inside ranx, when first compiled
                values[one.name] = getattr(metrics, one.function)(wanted, found, one.cutoff)
    return Scores(
        topics=topics,
        values=values,
        missing=tuple(topic for topic in topics if not run.get(topic)),
        ignored=tuple(sorted(topic for topic in run if topic not in qrels)),
        ranks=(tuple(_first_relevant(qrels[topic], order) for topic, order in zip(topics, orders, strict=True)),),
        first=tuple(order[0] if order else "" for order in orders),
    )


def average(parts: Sequence[Scores]) -> Scores:
    """Take several runs of one system, such as those of several seeds, as one: the mean over the runs on each topic.

    Parameters
    ----------
    parts : sequence of Scores
        At least one, all of the same topics and measures; each of one run, or of several, which count each.

    Returns
    -------
    Scores
        A topic counts as missing if any run lacks it.
    """
    if len(parts) == 1:
        return parts[0]
    measures = list(parts[0].values)
    counts = [part.runs for part in parts]
    return Scores(
        topics=parts[0].topics,
        values={
            measure: np.average([part.values[measure] for part in parts], axis=0, weights=counts)
            for measure in measures
        },
        missing=tuple(sorted({topic for part in parts for topic in part.missing})),
        ignored=tuple(sorted({topic for part in parts for topic in part.ignored})),
        ranks=tuple(ranks for part in parts for ranks in part.ranks),
        first=parts[0].first,
        seeds={measure: tuple(mean for part in parts for mean in part.means(measure)) for measure in measures},
    )


def _arrays(judged: Mapping[str, int], order: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give one topic in ranx's form: rows (document number, relevance) and (document number, score), best first."""
    relevant = sorted(((doc, rel) for doc, rel in judged.items() if rel > 0), key=lambda item: -item[1])
    number = {doc: float(index) for index, (doc, _) in enumerate(relevant)}
    # A document that is not relevant needs a number above all relevant ones, no matter which.
    ranked = [(number.get(doc, float(len(relevant) + rank)), -float(rank)) for rank, doc in enumerate(order)]
    return (
        np.array([(number[doc], rel) for doc, rel in relevant], dtype=np.float64).reshape(-1, 2),
        np.array(ranked, dtype=np.float64).reshape(-1, 2),
    )


def _first_relevant(judged: Mapping[str, int], order: Sequence[str]) -> int:
    return next((rank for rank, doc in enumerate(order, 1) if judged.get(doc, 0) > 0), 0)


def _rank_distance(judged: Mapping[str, int], order: Sequence[str], depth: int) -> float:
    relevant = {doc for doc, relevance in judged.items() if relevance > 0}
    ranks = [rank for rank, doc in enumerate(order[:depth], 1) if doc in relevant]
    if not ranks:
        return float(depth)
    return float((ranks[-1] if len(ranks) == len(relevant) else depth + 1) - ranks[0])
