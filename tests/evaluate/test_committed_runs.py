"""The runs that the project keeps: our measures against the trec_eval of Pyserini, and against what the reports say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pyserini_optical import OpticalError
from pyserini_optical.data import read_qrels, read_run
from pyserini_optical.evaluate import DEFAULT_MEASURES, evaluate
from pyserini_optical.integration import ensure_java
from pyserini_optical.integration.lucene import trec_eval

ROOT = Path(__file__).parents[2]
RUNS = sorted((ROOT / "runs").glob("*/runs/*.txt.xz"))
# Measure → what trec_eval is asked for, and what it prints.
TREC = {
    "nDCG@10": ("ndcg_cut.10", "ndcg_cut_10"),
    "Success@1": ("success.1,10", "success_1"),
    "Success@10": ("success.1,10", "success_10"),
    "R@100": ("recall.100", "recall_100"),
    "AP": ("map", "map"),
    "RR": ("recip_rank", "recip_rank"),
}


def named(path: Path) -> str:
    return f"{path.parents[1].name}/{path.name.removesuffix('.txt.xz')}"


def qrels_of(study: Path) -> Path:
    content: dict[str, Any] = yaml.safe_load((study / "study.yaml").read_text(encoding="utf-8"))
    found = ROOT / str(content["qrels"]).format(**content["variables"])
    if not found.exists():
        pytest.skip("the data of the studies is not here")
    return found


def reported(path: Path) -> dict[str, float]:
    """Give the means of a run as the report of its study has them; none where there is no report yet."""
    report = path.parents[1] / "report.json"
    runs = json.loads(report.read_text(encoding="utf-8"))["runs"] if report.exists() else []
    means: dict[str, dict[str, float]] = {run["name"]: run["mean"] for run in runs}
    return means.get(path.name.removesuffix(".txt.xz"), {})


@pytest.fixture(scope="module")
def java() -> None:
    try:
        ensure_java()
    except OpticalError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("path", RUNS, ids=named)
def test_measures_equal_trec_eval(path: Path, java: None) -> None:
    if path.stat().st_size < 100:
        pytest.skip("a run without a hit, which trec_eval does not take")
    qrels = qrels_of(path.parents[1])
    ours = evaluate(read_qrels(qrels), read_run(path), sorted({*TREC, *DEFAULT_MEASURES}))
    theirs = trec_eval(qrels, path, dict.fromkeys(asked for asked, _ in TREC.values()))
    theirs["RR@10"] = trec_eval(qrels, path, ["recip_rank"], depth=10)["recip_rank"]
    for measure, values in ours.values.items():
        printed = theirs[TREC[measure][1] if measure in TREC else measure]
        assert f"{ours.mean(measure):.4f}" == f"{printed['all']:.4f}", measure
        for topic, value in zip(ours.topics, values, strict=True):
            # trec_eval prints no line for a topic that the run lacks.
            assert f"{value:.4f}" == f"{printed.get(topic, 0):.4f}", (measure, topic)
    for measure, mean in reported(path).items():
        assert ours.mean(measure) == mean, measure
