"""TREC qrels and runs, read strictly, and hits in the order in which trec_eval sees them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from struct import Struct
from typing import TypeVar

from pyserini_optical.data.fields import checked_id, shown
from pyserini_optical.data.files import Pathish, read_lines, write_text
from pyserini_optical.errors import InputError

_T = TypeVar("_T", int, float)

_FLOAT = Struct("=f")
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
# What C's atof reads in whole; Python's float() would also take 1_000 and other scripts' digits.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def read_qrels(path: Pathish) -> dict[str, dict[str, int]]:
    """Read relevance judgements, ``topic iteration passage relevance`` a line, separated by white space.

    Parameters
    ----------
    path : path-like
        The file, plain, ``.gz`` or ``.xz``.

    Returns
    -------
    dict of str to dict of str to int
        Relevance by passage id by topic id; 0 and below mean not relevant.

    Raises
    ------
    InputError
        A line without four columns, a relevance that is not a whole number, a repeated judgement, or no relevant
        passage in the whole file.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in read_lines(path):
        topic, _, passage, relevance = _columns(line, "topic iteration passage relevance", path, number)
        if not _INTEGER.fullmatch(relevance):
            problem = f"relevance {shown(relevance)} is not a whole number"
            raise InputError(problem, path=path, line=number, remedy="use 1 for relevant and 0 for not")
        _add(qrels, topic, passage, int(relevance), path, number)
    if not any(relevance > 0 for judged in qrels.values() for relevance in judged.values()):
        raise InputError("judges no passage relevant", path=path, remedy="check that it is the right file")
    return qrels


def read_run(path: Pathish) -> dict[str, dict[str, float]]:
    """Read a run, ``topic Q0 passage rank score tag`` a line, separated by white space.

    As in trec_eval the score alone gives the order, and it is rounded to a 32-bit float; the rank is checked, then
    passed over.

    Parameters
    ----------
    path : path-like
        The file, plain, ``.gz`` or ``.xz``.

    Returns
    -------
    dict of str to dict of str to float
        Score by passage id by topic id, in the order of the file.

    Raises
    ------
    InputError
        A line without six columns, a rank that is not a whole number from 0, a score that is not a finite 32-bit
        number, a passage that stands twice for one topic, or no line at all.
    """
    run: dict[str, dict[str, float]] = {}
    for number, line in read_lines(path):
        topic, _, passage, rank, score, _ = _columns(line, "topic Q0 passage rank score tag", path, number)
        if not _INTEGER.fullmatch(rank) or int(rank) < 0:
            problem = f"rank {shown(rank)} is not a whole number from 0"
            raise InputError(problem, path=path, line=number, remedy="number the hits of a topic from 1")
        value = _single(float(score)) if _NUMBER.fullmatch(score) else None
        if value is None:
            remedy = "scores are finite numbers that a 32-bit float can hold"
            raise InputError(f"score {shown(score)} is not usable", path=path, line=number, remedy=remedy)
        _add(run, topic, passage, value, path, number)
    if not run:
        raise InputError("holds no hits", path=path, remedy="check that the search was finished")
    return run


def order_hits(hits: Mapping[str, float]) -> list[tuple[str, float]]:
    """Order hits as trec_eval does: by score, descending, and where scores are equal by passage id, descending.

    trec_eval reads the score into a C ``float``, so scores are compared after rounding to 32 bits; passage ids by their
    UTF-8 bytes, which is the order of code points.

    Parameters
    ----------
    hits : mapping of str to float
        Score by passage id, for one topic.

    Returns
    -------
    list of (str, float)
        Passage id and its score rounded to 32 bits, best first.

    Raises
    ------
    InputError
        A score that is not a finite 32-bit number.
    """
    rounded = []
    for passage, score in hits.items():
        value = _single(score)
        if value is None:
            remedy = "scores are finite numbers that a 32-bit float can hold"
            raise InputError(f"score {score!r} of passage {shown(passage)} is not usable", remedy=remedy)
        rounded.append((value, passage))
    return [(passage, score) for score, passage in sorted(rounded, reverse=True)]


def write_run(path: Pathish, run: Mapping[str, Mapping[str, float]], tag: str) -> None:
    """Write a run in TREC format, hits as :func:`order_hits` gives them, ranks from 1; it appears when it is complete.

    Scores are rounded to 32 bits and printed with nine significant digits (``%.9g``): the fewest that keep any two
    different 32-bit floats different, so that writing makes no ties. Topics without hits leave no line.

    Parameters
    ----------
    path : path-like
        The file, plain, ``.gz`` or ``.xz``.
    run : mapping of str to mapping of str to float
        Score by passage id by topic id.
    tag : str
        The name of the run, without white space.

    Raises
    ------
    InputError
        No hit at all, a score that is not a finite 32-bit number, or a tag or an id that is empty or holds white
        space; then nothing is written.
    """
    checked_id(tag, "run tag", path=path)
    if not any(run.values()):
        raise InputError("no hits to write", path=path, remedy="check the topics and the index of the search")
    with write_text(path) as file:
        for topic, hits in run.items():
            checked_id(topic, "topic id", path=path)
            for rank, (passage, score) in enumerate(order_hits(hits), 1):
                checked_id(passage, "passage id", path=path)
                file.write(f"{topic} Q0 {passage} {rank} {score:.9g} {tag}\n")


def _single(score: float) -> float | None:
    """Round to a 32-bit float; None where that is not a finite number."""
    try:
        value: float = _FLOAT.unpack(_FLOAT.pack(score))[0]
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def _columns(line: str, names: str, path: Pathish, number: int) -> list[str]:
    columns = line.split()
    expected = len(names.split())
    if len(columns) != expected:
        problem = f"expected {expected} columns, found {len(columns)}"
        raise InputError(problem, path=path, line=number, remedy=f"write `{names}`, separated by white space")
    checked_id(columns[0], "topic id", path=path, line=number)
    checked_id(columns[2], "passage id", path=path, line=number)
    return columns


def _add(table: dict[str, dict[str, _T]], topic: str, passage: str, value: _T, path: Pathish, number: int) -> None:
    row = table.setdefault(topic, {})
    if passage in row:
        problem = f"passage {shown(passage)} stands twice for topic {shown(topic)}"
        raise InputError(problem, path=path, line=number, remedy="keep one line for each")
    row[passage] = value
