"""Runs and qrels: round trips, and the order of hits against trec_eval's rule spelt out with ctypes."""

from __future__ import annotations

import ctypes
import functools
import itertools
import lzma
import math
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyserini_optical.data import order_hits, read_qrels, read_run, write_run
from pyserini_optical.errors import InputError

ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6).filter(
    lambda text: text.split() == [text] and not text.startswith("\ufeff")
)
singles = st.floats(width=32, allow_nan=False, allow_infinity=False)
LARGEST = 3.4028234663852886e38


def as_trec_eval(hits: dict[str, float]) -> list[str]:
    """trec_eval's comp_sim_docno: `float` similarity descending, then strcmp of the document number, descending."""

    def compare(left: str, right: str) -> int:
        left_score, right_score = (ctypes.c_float(hits[passage]).value for passage in (left, right))
        if left_score != right_score:
            return -1 if left_score > right_score else 1
        return 1 if left.encode() < right.encode() else -1

    return sorted(hits, key=functools.cmp_to_key(compare))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    run=st.dictionaries(ids, st.dictionaries(ids, singles, min_size=1), min_size=1),
    suffix=st.sampled_from(["", ".gz", ".xz"]),
)
def test_round_trip(tmp_path: Path, run: dict[str, dict[str, float]], suffix: str) -> None:
    path = tmp_path / f"run.trec{suffix}"
    write_run(path, run, "tag")
    read = read_run(path)
    assert read == run
    assert list(read) == list(run)
    assert all(list(read[topic]) == [passage for passage, _ in order_hits(run[topic])] for topic in run)


@pytest.mark.parametrize("end", [b"", b"\0" * 8])
def test_every_stream_of_a_compressed_file_is_read(tmp_path: Path, end: bytes) -> None:
    first, second = (lzma.compress(f"{topic} Q0 p 1 1.0 x\n".encode()) for topic in "12")
    path = tmp_path / "run.txt.xz"
    path.write_bytes(first + end + second + end)
    assert read_run(path).keys() == {"1", "2"}
    middle = len(second) // 2
    damaged = second[:middle] + bytes([second[middle] ^ 1]) + second[middle + 1 :]
    for more in (damaged, second[:-3], b"2 Q0 p 1 1.0 x\n"):
        path.write_bytes(first + end + more)
        with pytest.raises(InputError, match=r"run\.txt\.xz:\d: damaged or truncated compressed file"):
            read_run(path)


def test_heavy_ties_are_ordered_as_by_trec_eval() -> None:
    chance = random.Random(7)
    for _ in range(50):
        passages = chance.sample(["d1", "d10", "d2", "D2", "é", "z", "अ", "\uffff", "😀", *map(str, range(60))], 40)
        # Steps far below what 32 bits can tell apart at 1, beside steps above it.
        hits = {passage: 1 + chance.choice([0, 1e-9, -1e-9, 1e-7, 0.5]) for passage in passages}
        assert [passage for passage, _ in order_hits(hits)] == as_trec_eval(hits)


@given(st.dictionaries(ids, st.sampled_from([0.0, -0.0, 0.1, 0.1 + 1e-10, 1 / 3, 5e-324, -1e30])))
def test_order_of_any_hits(hits: dict[str, float]) -> None:
    ordered = order_hits(hits)
    assert [passage for passage, _ in ordered] == as_trec_eval(hits)
    assert all(score == ctypes.c_float(hits[passage]).value for passage, score in ordered)


@given(singles)
def test_neighbouring_scores_stay_apart(tmp_path_factory: pytest.TempPathFactory, score: float) -> None:
    bits = ctypes.c_int32.from_buffer(ctypes.c_float(score)).value
    above = ctypes.c_float.from_buffer(ctypes.c_int32(bits + 1)).value
    if not math.isfinite(above):
        return
    path = tmp_path_factory.getbasetemp() / "neighbours.trec"
    write_run(path, {"1": {"a": score, "b": above}}, "tag")
    assert read_run(path)["1"] == {"a": score, "b": above}


def test_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.trec"
    write_run(path, {"007": {"d1": 0.1, "d2": 0.1 + 1e-10, "01": 2}, "nothing": {}, "1": {"x": -LARGEST}}, "OPTICAL")
    assert path.read_text(encoding="utf-8") == (
        "007 Q0 01 1 2 OPTICAL\n"
        "007 Q0 d2 2 0.100000001 OPTICAL\n"
        "007 Q0 d1 3 0.100000001 OPTICAL\n"
        "1 Q0 x 1 -3.40282347e+38 OPTICAL\n"
    )


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, 3.5e38, -1e300])
def test_scores_that_are_no_32_bit_numbers(tmp_path: Path, score: float) -> None:
    with pytest.raises(InputError, match=r"score .* of passage 'd2'"):
        order_hits({"d1": 1.0, "d2": score})
    with pytest.raises(InputError):
        write_run(tmp_path / "run.trec", {"1": {"d1": 1.0}, "2": {"d2": score}}, "tag")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("run", "tag", "words"),
    [
        ({}, "tag", "no hits"),
        ({"1": {}}, "tag", "no hits"),
        ({"1": {"d": 1.0}}, "my tag", "run tag 'my tag'"),
        ({"1": {"d": 1.0}}, "", "empty run tag"),
        ({"1 2": {"d": 1.0}}, "tag", "topic id '1 2'"),
        ({"1": {"c": 2.0, "d\t": 1.0}}, "tag", "passage id"),
    ],
)
def test_bad_runs_are_not_written(tmp_path: Path, run: dict[str, dict[str, float]], tag: str, words: str) -> None:
    path = tmp_path / "run.trec"
    with pytest.raises(InputError) as caught:
        write_run(path, run, tag)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_run_as_others_write_it(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    path.write_text("01\tQ0\td1\t0\t+.5e1\tBM25\n01   0 d2 7 5. x\n1 Q0 d1 1 -3 BM25\n01 Q0 d3 1 9 y", encoding="utf-8")
    assert read_run(path) == {"01": {"d1": 5.0, "d2": 5.0, "d3": 9.0}, "1": {"d1": -3.0}}


def test_scores_are_read_as_trec_eval_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    path.write_text("1 Q0 a 1 0.30000000001 t\n1 Q0 b 2 0.3 t\n", encoding="utf-8")
    run = read_run(path)["1"]
    assert run["a"] == run["b"] == ctypes.c_float(0.3).value


def test_qrels(tmp_path: Path) -> None:
    path = tmp_path / "qrels.txt"
    path.write_text("01 0 d1 2\n01\t0\td2\t0\n1 Q0 d1 -1\n01 0 007 +1\n", encoding="utf-8")
    assert read_qrels(path) == {"01": {"d1": 2, "d2": 0, "007": 1}, "1": {"d1": -1}}


def test_order_does_not_depend_on_the_order_of_the_hits() -> None:
    hits = [("a", 1.0), ("b", 1.0), ("c", 1.0), ("d", 2.0)]
    orders = {tuple(order_hits(dict(shuffled))) for shuffled in itertools.permutations(hits)}
    assert orders == {(("d", 2.0), ("c", 1.0), ("b", 1.0), ("a", 1.0))}
