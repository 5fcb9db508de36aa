"""One run from several, by ranx: its fusion methods and normalisations, tuned on development topics only.

But Condorcet's, plain and weighted: what ranx gives for them hangs on the order of a set, another in every process.

References
----------
.. [1] Bassani, Romelli. ranx.fuse: A Python Library for Metasearch. CIKM 2022.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from pyserini_optical.data import (
    Pathish,
    check_output,
    one_process,
    order_hits,
    read_lines,
    read_qrels,
    read_run,
    write_run,
    write_text,
)
from pyserini_optical.data.fields import checked_id
from pyserini_optical.data.settings import check, nearest
from pyserini_optical.errors import InputError, OpticalError
from pyserini_optical.progress import say

if TYPE_CHECKING:
    import ranx

Run = dict[str, dict[str, float]]
Norm = Literal["min-max", "min-max-inverted", "max", "sum", "zmuv", "rank", "borda", "none"]

# ranx's names; those with parameters that have no default must be tuned, or given them.
METHODS = ("anz", "bordafuse", "isr", "log_isr", "max", "med", "min", "mnz", "rrf", "sum")
TUNED = (
    "bayesfuse", "gmnz", "logn_isr", "mapfuse", "mixed", "posfuse", "probfuse", "rbc", "segfuse", "slidefuse",
    "w_bordafuse", "wmnz", "wsum",
)  # fmt: skip
# Those that read the order of a run alone.
_BY_RANK = {
    "bayesfuse", "bordafuse", "isr", "log_isr", "logn_isr", "mapfuse", "posfuse", "probfuse", "rbc", "rrf", "slidefuse",
    "w_bordafuse",
}  # fmt: skip

# ranx's functions by the names that its own search takes.
_METRICS = {
    "reciprocal_rank": "mrr",
    "ndcg": "ndcg",
    "average_precision": "map",
    "hit_rate": "hit_rate",
    "recall": "recall",
    "precision": "precision",
}


@dataclass(frozen=True)
class Fusion:
    """How runs are fused.

    Attributes
    ----------
    method : str
        ranx's name of it: ``rrf``, ``wsum``, ``mnz``, ….
    norm : str
        How each run's scores are normalised, topic by topic, before that.
    runs : int
        How many runs it takes; 0 for any number.
    parameters : dict
        The method's own, as ranx names them (``weights``, ``k``, ``probs``, …).
    tuned : str
        On what they were tuned; empty if they were not.
    """

    method: str = "rrf"
    norm: Norm = "min-max"
    runs: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)
    tuned: str = ""

    def __post_init__(self) -> None:
        known = (*METHODS, *TUNED)
        if self.method not in known:
            raise InputError(f"unknown fusion method {self.method!r}{nearest(self.method, known)}")
        if self.norm not in get_args(Norm):
            raise InputError(f"unknown normalisation {self.norm!r}{nearest(self.norm, get_args(Norm))}")

    def check(self, runs: int) -> None:
        """Refuse what cannot fuse so many runs.

        Raises
        ------
        InputError
            Parameters are missing, or they are for another number of runs.
        """
        if self.method in TUNED and not self.parameters:
            remedy = "tune it on development topics, or choose rrf"
            raise InputError(f"the fusion method {self.method} needs parameters", remedy=remedy)
        if self.runs and self.runs != runs:
            raise InputError(f"this fusion was tuned for {self.runs} runs, got {runs}", remedy="give as many")
        # ranx reads past the end of a list that is too short.
        if any(len(value) != runs for value in self.parameters.values() if isinstance(value, list | tuple)):
            problem = f"the parameters of the fusion method {self.method} do not fit {runs} runs"
            raise InputError(problem, remedy="tune it on these runs")

    def save(self, path: Pathish) -> None:
        """Write it as JSON, for :meth:`load`."""
        with write_text(path) as stream:
            json.dump(asdict(self), stream, indent=1, default=_plain)
            stream.write("\n")

    @classmethod
    def load(cls, path: Pathish) -> Fusion:
        """Read what :meth:`save` wrote.

        Raises
        ------
        InputError
            It cannot be read or is not a fusion.
        """
        try:
            text = "\n".join(line for _, line in read_lines(path))
            found: Fusion = check(json.loads(text), cls, str(path))
        except (ValueError, RecursionError, OpticalError) as error:
            raise InputError(f"no saved fusion ({error})", path=path, remedy="tune it again") from None
        return found


@one_process("output")
def fuse(
    runs: Sequence[Pathish | Mapping[str, Mapping[str, float]]],
    output: Pathish | None = None,
    *,
    fusion: Fusion | None = None,
    hits: int = 1000,
    tag: str | None = None,
) -> Run:
    """Make one run of several.

    Parameters
    ----------
    runs : sequence of path-like or run
        Two or more. A topic that one of them lacks counts there as one without hits, and is said.
    output : path-like, optional
        TREC run to write.
    fusion : Fusion, optional
        How; reciprocal rank fusion by default.
    hits : int
        Passages a topic, at most.
    tag : str, optional
        Name of the run in its last column; the method by default.

    Returns
    -------
    dict of str to dict of str to float
        Score by passage id by topic id.

    Raises
    ------
    InputError
        Fewer than two runs, one that cannot be read, or a method whose parameters are missing or for other runs.
    """
    from numba.core.errors import NumbaError
    from ranx import fuse as ranx_fuse

    fusion = fusion or Fusion()
    fusion.check(len(runs))
    if hits < 1:
        raise InputError(f"{hits} hits asked for", remedy="ask for one or more")
    tag = checked_id(fusion.method if tag is None else tag, "run tag")
    if output is not None:
        check_output(output)
    given = _read(runs)
    topics = list(dict.fromkeys(topic for run in given for topic in run))
    # ranx's log odds are of so many hits, and it reads past their end.
    odds = fusion.parameters.get("log_odds")
    depth = (
        min((len(each) for each in odds if isinstance(each, list)), default=None) if isinstance(odds, list) else None
    )
    prepared = [_prepare(run, topics, number, fusion, depth) for number, run in enumerate(given, 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba's, about casts inside ranx
        try:
            parameters = {name: _array(value) for name, value in fusion.parameters.items()}
            made = ranx_fuse(prepared, norm=_norm(fusion), method=fusion.method, params=parameters).to_dict()
        except (NumbaError, TypeError, ValueError, KeyError, IndexError, AssertionError) as error:
            reason = type(error).__name__ if isinstance(error, NumbaError) or not str(error) else error
            problem = f"the parameters do not fit the fusion method {fusion.method} ({reason})"
            raise InputError(problem, remedy="tune it on these runs") from None
    fused: Run = {topic: dict(order_hits(made.get(topic, {}))[:hits]) for topic in topics}
    if output is not None:
        write_run(output, fused, tag)
    return fused


def tune_fusion(
    runs: Sequence[Pathish | Mapping[str, Mapping[str, float]]],
    qrels: Pathish | Mapping[str, Mapping[str, int]],
    *,
    method: str = "wsum",
    norm: Norm = "min-max",
    measure: str = "nDCG@10",
) -> Fusion:
    """Find a method's parameters on development topics, by ranx's search over a grid or its estimates.

    Parameters
    ----------
    runs : sequence of path-like or run
        Of the development topics, in the order in which the test runs will be fused.
    qrels : path-like or mapping
        Of the development topics.
    method, norm : str
        See :class:`Fusion`.
    measure : str
        What is made largest, named as everywhere.

    Raises
    ------
    InputError
        As :func:`fuse`; a method without parameters; runs and qrels without a topic in common; no relevant passage in
        any run.
    """
    from ranx import Qrels, optimize_fusion

    from pyserini_optical.evaluate import parse_measure

    fusion = Fusion(method, norm, len(runs))
    if method not in (*TUNED, "rrf"):
        raise InputError(f"the fusion method {method} has no parameters to tune", remedy="leave the tuning out")
    wanted = parse_measure(measure)
    judged = read_qrels(qrels) if not isinstance(qrels, Mapping) else qrels
    given = _read(runs)
    topics = [topic for topic in judged if any(topic in run for run in given)]
    if not topics:
        raise InputError("the runs share no topic with the qrels", remedy="check that the ids are written alike")
    if not any(judged[topic].get(hit, 0) > 0 for run in given for topic in topics for hit in run.get(topic, ())):
        remedy = "check the qrels, or give runs that find some of it"
        raise InputError("no run finds a relevant passage of the development topics", remedy=remedy)
    prepared = [_prepare(run, topics, number, fusion) for number, run in enumerate(given, 1)]
    if wanted.function not in _METRICS:
        raise InputError(f"ranx does not tune for {measure}", remedy="choose RR, nDCG, AP, Success, R or P")
    metric = _METRICS[wanted.function] + (f"@{wanted.cutoff}" if wanted.cutoff else "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        relevant = Qrels({topic: dict(judged[topic]) for topic in topics})
        with redirect_stdout(sys.stderr):  # ranx's own bar
            tuned = optimize_fusion(relevant, prepared, norm=_norm(fusion), method=method, metric=metric)
    found = json.loads(json.dumps(tuned, default=_plain))
    said = f"{measure} on {len(topics)} development topics"
    say(f"{method}, tuned for {said}" + (f": {found['weights']}" if "weights" in found else ""))
    return Fusion(method, norm, len(runs), found, said)


def _read(runs: Sequence[Pathish | Mapping[str, Mapping[str, float]]]) -> list[Mapping[str, Mapping[str, float]]]:
    if len(runs) < 2:
        raise InputError(f"fusion wants two runs or more, got {len(runs)}", remedy="name another run")
    return [run if isinstance(run, Mapping) else read_run(run) for run in runs]


def _prepare(
    run: Mapping[str, Mapping[str, float]], topics: Sequence[str], number: int, fusion: Fusion, depth: int | None = None
) -> ranx.Run:
    """Give ranx's form of a run, with an empty entry for each topic that it lacks: ranx wants the same in all.

    Where only ranks count, they are the scores: ranx would put equal ones in an order of its own.
    """
    import ranx
    from numba import types
    from numba.typed import Dict

    missing = sum(not run.get(topic) for topic in topics)
    if missing:
        say(f"run {number} has no hits for {missing} of {len(topics)} topics; the others decide there")
    if missing < len(topics):
        ordered = {topic: order_hits(run.get(topic, {}))[:depth] for topic in topics}
        if fusion.method in _BY_RANK or fusion.norm in ("rank", "borda"):
            ordered = {
                topic: [(hit, len(hits) - n) for n, (hit, _) in enumerate(hits)] for topic, hits in ordered.items()
            }
        return ranx.Run({topic: {hit: float(score) for hit, score in hits} for topic, hits in ordered.items()})
    # ranx cannot make a run that has no hits at all of a dictionary.
    empty = ranx.Run()
    for topic in topics:
        empty.run[topic] = Dict.empty(types.unicode_type, types.float64)
    return empty


def _norm(fusion: Fusion) -> str | None:
    """Give ranx's normalisation; none where only ranks count, unless it turns them round."""
    ranked = fusion.method in _BY_RANK and fusion.norm != "min-max-inverted"
    return None if ranked or fusion.norm == "none" else fusion.norm


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return list(value)  # numba's lists


def _array(value: Any) -> Any:
    """Give lists as ranx makes them when it tunes: of arrays, or of fractions (numba takes no others among them)."""
    if isinstance(value, list) and value and all(isinstance(part, list) for part in value):
        return [np.asarray(part, dtype=float) for part in value]
    if isinstance(value, list):
        return tuple(map(float, value))
    return value
