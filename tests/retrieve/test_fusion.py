"""Fusion: ranx's methods by name, whatever topics are missing; tuned parameters survive a file."""

from __future__ import annotations

import random
from pathlib import Path
from typing import get_args

import pytest

from pyserini_optical.data import order_hits, read_run, write_run
from pyserini_optical.errors import InputError
from pyserini_optical.evaluate import evaluate
from pyserini_optical.retrieve.fusion import METHODS, TUNED, Fusion, Norm, Run, fuse, tune_fusion

Runs = tuple[Run, Run, dict[str, dict[str, int]]]


@pytest.fixture(scope="module")
def runs() -> Runs:
    """A good run and a bad one over 30 topics, and what is relevant."""
    draw = random.Random(0)
    good: Run = {}
    bad: Run = {}
    qrels: dict[str, dict[str, int]] = {}
    for topic in map(str, range(30)):
        passages = [f"p{n:02}" for n in range(20)]
        relevant = draw.choice(passages)
        qrels[topic] = {relevant: 1}
        good[topic] = {p: draw.random() + (0.7 if p == relevant else 0) for p in passages}
        bad[topic] = {p: 100 * draw.random() for p in draw.sample(passages, 12)}
    return good, bad, qrels


def mrr(run: Run, qrels: dict[str, dict[str, int]]) -> float:
    return evaluate(qrels, run, ["RR@10"]).mean("RR@10")


def test_reciprocal_rank_fusion_by_hand() -> None:
    first, second = {"1": {"a": 9.0, "b": 8.0}, "2": {"c": 1.0}}, {"1": {"b": 0.2, "c": 0.1}}
    fused = fuse([first, second])
    assert fused == {
        "1": {
            "b": pytest.approx(1 / 62 + 1 / 61),
            "a": pytest.approx(1 / 61),
            "c": pytest.approx(1 / 62),
        },
        "2": {"c": pytest.approx(1 / 61)},
    }
    assert list(fused["1"]) == ["b", "a", "c"]
    assert list(fuse([first, second], hits=1)["1"]) == ["b"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_fuses_runs_that_lack_topics(runs: Runs, method: str) -> None:
    good, bad, _ = runs
    fewer = {topic: hits for topic, hits in bad.items() if topic != "3"}
    fused = fuse([good, fewer], fusion=Fusion(method))
    assert fused.keys() == good.keys()
    assert fused["3"].keys() == good["3"].keys()
    assert fused == fuse([good, fewer], fusion=Fusion(method))


@pytest.mark.parametrize("norm", get_args(Norm))
def test_a_run_without_any_hit_adds_nothing(runs: Runs, norm: Norm) -> None:
    good, bad, qrels = runs
    nothing: Run = {topic: {} for topic in good}
    for method in METHODS:
        for empty in (Run(), nothing):
            fused = fuse([good, empty], fusion=Fusion(method, norm))
            assert {topic: hits.keys() for topic, hits in fused.items()} == {t: hits.keys() for t, hits in good.items()}
    tuned = tune_fusion([good, {"elsewhere": {"a": 1.0}}, bad], qrels, method="wsum", measure="RR@10", norm=norm)
    assert norm == "min-max-inverted" or mrr(fuse([good, {}, bad], fusion=tuned), qrels) > mrr(bad, qrels)
    assert fuse([nothing, {}]) == nothing


@pytest.mark.parametrize("method", TUNED)
def test_what_is_tuned_is_applied_again_from_its_file(runs: Runs, method: str, tmp_path: Path) -> None:
    good, bad, qrels = runs
    tuned = tune_fusion([good, bad], qrels, method=method, measure="RR@10")
    assert "30 development topics" in tuned.tuned
    fused = fuse([good, bad], fusion=tuned)
    tuned.save(tmp_path / "fusion.json")
    assert fuse([good, bad], fusion=Fusion.load(tmp_path / "fusion.json")) == fused
    with pytest.raises(InputError, match="for 2 runs, got 3"):
        fuse([good, bad, bad], fusion=tuned)
    with pytest.raises(InputError, match="needs parameters"):
        fuse([good, bad], fusion=Fusion(method))


def test_weights_favour_the_better_run(runs: Runs) -> None:
    good, bad, qrels = runs
    tuned = tune_fusion([bad, good], qrels, method="wsum", measure="RR@10")
    first, second = tuned.parameters["weights"]
    assert second > first
    assert mrr(fuse([bad, good], fusion=tuned), qrels) >= mrr(good, qrels)


def test_weights_may_be_written_by_hand(runs: Runs) -> None:
    good, bad, _ = runs
    by_hand, tuned = (Fusion("wsum", parameters={"weights": weights}) for weights in ([1, 0.5], [1.0, 0.5]))
    assert fuse([good, bad], fusion=by_hand) == fuse([good, bad], fusion=tuned)


def test_a_run_file_is_written(runs: Runs, tmp_path: Path) -> None:
    good, bad, _ = runs
    for name, run in (("good", good), ("bad", bad)):
        write_run(tmp_path / f"{name}.txt", run, name)
    fused = fuse([tmp_path / "good.txt", tmp_path / "bad.txt"], tmp_path / "out.txt.xz", fusion=Fusion("sum"))
    written = read_run(tmp_path / "out.txt.xz")
    assert {topic: list(hits) for topic, hits in written.items()} == {t: list(hits) for t, hits in fused.items()}


@pytest.mark.parametrize(
    ("method", "norm"),
    [
        *((method, norm) for method in ("rrf", "bordafuse", "isr") for norm in get_args(Norm)),
        ("sum", "rank"),
        ("sum", "borda"),
    ],
)
def test_equal_scores_are_in_trec_evals_order(method: str, norm: Norm) -> None:
    run: Run = {"1": {f"d{n:03}": 9.0 - n // 20 for n in range(60)}}
    expected = [hit for hit, _ in order_hits(run["1"])]
    if norm == "min-max-inverted":
        expected = expected[::-1]
    assert list(fuse([run, run], fusion=Fusion(method, norm))["1"]) == expected


def test_runs_deeper_than_the_odds_are_cut(runs: Runs) -> None:
    _, _, qrels = runs
    draw = random.Random(1)
    deep: Run = {topic: {f"d{n}": draw.random() for n in range(1500)} | {"p03": 2.0} for topic in qrels}
    tuned = tune_fusion([deep, deep], {topic: {"p03": 1} for topic in qrels}, method="bayesfuse")
    fused = fuse([deep, deep], fusion=tuned, hits=2000)
    assert {len(hits) for hits in fused.values()} == {len(tuned.parameters["log_odds"][0])}
    assert all(next(iter(hits)) == "p03" for hits in fused.values())


def test_nothing_is_tuned_on_runs_that_find_nothing(runs: Runs) -> None:
    good, bad, qrels = runs
    for method in ("wsum", "rbc"):
        with pytest.raises(InputError, match="no run finds a relevant passage of the development topics"):
            tune_fusion([good, bad], {topic: {"elsewhere": 1, "p00": 0} for topic in qrels}, method=method)


def test_a_saved_fusion_may_be_compressed(tmp_path: Path) -> None:
    fusion = Fusion("wsum", runs=2, parameters={"weights": [0.25, 0.75]})
    fusion.save(tmp_path / "fusion.json.xz")
    assert Fusion.load(tmp_path / "fusion.json.xz") == fusion


def test_mistakes_are_said(runs: Runs, tmp_path: Path) -> None:
    good, _, qrels = runs
    with pytest.raises(InputError, match="two runs"):
        fuse([good])
    with pytest.raises(InputError, match="is a directory"):
        fuse([good, good], tmp_path)
    with pytest.raises(InputError, match=r"rrff.*rrf"):
        Fusion("rrff")
    with pytest.raises(InputError, match="normalisation"):
        Fusion("rrf", "minmax")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no parameters"):
        tune_fusion([good, good], qrels, method="mnz")
    with pytest.raises(InputError, match="share no topic"):
        tune_fusion([good, good], {"x": {"a": 1}})
    with pytest.raises(InputError, match="do not fit"):
        fuse([good, good], fusion=Fusion("wsum", parameters={"wights": [1.0, 2.0]}))
    with pytest.raises(InputError, match="do not fit"):
        fuse([good, good], fusion=Fusion("wsum", parameters={"weights": [1.0]}))
    for method, parameters in (
        ("wsum", {"weights": [1.0, "much"]}),
        ("wsum", {"weights": {"a": 1.0}}),
        ("wsum", {"weights": [[0.5], [0.5]]}),
        ("bayesfuse", {"log_odds": 5}),
        ("rrf", {"k": "60"}),
        ("rrf", {"k": None}),
        ("gmnz", {"gamma": "x"}),
        ("rbc", {"phi": "x"}),
    ):
        with pytest.raises(InputError, match="do not fit") as caught:
            fuse([good, good], fusion=Fusion(method, parameters=parameters))
        assert "\n" not in str(caught.value)
    (tmp_path / "bad.json").write_text('{"method": "wsum", "colour": 1}')
    for file in ("bad.json", "missing.json"):
        with pytest.raises(InputError, match=file):
            Fusion.load(tmp_path / file)
