"""The committed studies of UMass's system, and MIRACL's on a collection of a few passages in its layout."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from pyserini_optical.cli import main
from pyserini_optical.data import read_run
from pyserini_optical.data.settings import read_settings
from pyserini_optical.distillation import FineTuningRecipe, load_recipe
from pyserini_optical.errors import OpticalError
from pyserini_optical.integration import ensure_java
from pyserini_optical.models.cross_encoder import start_cross_encoder
from pyserini_optical.models.transformer import save_transformer
from pyserini_optical.study import Study

ROOT = Path(__file__).parent.parent

PASSAGES = [
    ("12#0", "River", "the old farmer sees a river"),
    ("12#1", "River", "the new boat leaves the river today"),
    ("7#0", "", "a teacher builds the road"),
    ("7#3", "Market", "the child often buys a red house"),
]
TOPICS = {"1": "farmer river", "2": "teacher road", "3": "child house"}


STUDIES = [path for path in sorted((ROOT / "runs").rglob("*.yaml")) if "\nruns:" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: str(path.relative_to(ROOT / "runs")))
def test_each_study_and_its_recipes_are_good(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    distilled = [run for run in read_settings(Study, path).each_run().values() if run.distils]
    for run in distilled:
        if run.by == "cross-encoder":
            read_settings(FineTuningRecipe, run.source, run.set)
        else:
            load_recipe(run.source, run.set)


@pytest.mark.parametrize("language", ["ha", "sw", "es"])
def test_the_pipelines_are_studies_over_runs_that_they_name(language: str) -> None:
    path = ROOT / "runs" / "miracl-pipeline" / language / "study.yaml"
    study = read_settings(Study, path)
    runs = study.each_run()
    kinds = {run.by for run in runs.values() if run.search == "rerank"}
    assert {"maxsim", "cross-encoder"} <= kinds
    assert all(run.depth <= 30 for run in runs.values() if run.search == "rerank")
    assert runs["ensemble-tuned"].tuned
    development = read_settings(Study, path, ["weights=rrf"])
    assert not development.each_run()["ensemble-tuned"].tuned


@pytest.mark.parametrize("recipe", ["cross-encoder", "bi-encoder"])
def test_their_recipes(recipe: str) -> None:
    made = read_settings(FineTuningRecipe, ROOT / "encoders" / f"{recipe}.yaml")
    assert made.cross_encoder == (recipe == "cross-encoder")


def test_miracl_in_its_own_layout(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        ensure_java()
    except OpticalError as error:
        pytest.skip(str(error))
    corpus = tmp_path / "miracl" / "miracl-corpus-v1.0-sw"
    folder = tmp_path / "miracl" / "miracl-v1.0-sw"
    for made in (corpus, folder / "topics", folder / "qrels"):
        made.mkdir(parents=True)
    for number, part in enumerate((PASSAGES[:2], PASSAGES[2:])):
        lines = (json.dumps({"docid": name, "title": title, "text": text}) for name, title, text in part)
        (corpus / f"docs-{number}.jsonl.gz").write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    (folder / "topics" / "topics.miracl-v1.0-sw-dev.tsv").write_text(
        "".join(f"{topic}\t{text}\n" for topic, text in TOPICS.items())
    )
    # Tabs, judged passages that are not relevant, several that are.
    (folder / "qrels" / "qrels.miracl-v1.0-sw-dev.tsv").write_text(
        "1\tQ0\t12#0\t1\n1\tQ0\t12#1\t1\n1\tQ0\t7#0\t0\n2\tQ0\t7#0\t1\n3\tQ0\t7#3\t1\n"
    )
    torch.manual_seed(0)
    save_transformer(start_cross_encoder(str(tiny), 32, "cpu"), tmp_path / "cross")
    settings = {"data": tmp_path / "miracl", "encoder": tiny, "cross-encoder": tmp_path / "cross"}
    study = ROOT / "runs" / "miracl" / "study.yaml"
    command = ["study", str(study), "--output", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    assert main(command) == 0, capsys.readouterr().err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {run["name"]: run["mean"]["RR@10"] for run in report["runs"]}["bm25"] == 1
    assert set(read_run(tmp_path / "out" / "runs" / "cross-encoder.txt.xz")["1"]) == {name for name, _, _ in PASSAGES}
    # Runs that Pyserini made from its prebuilt indexes take the first stage's place.
    theirs = tmp_path / "theirs.txt"
    theirs.write_text("".join(f"{topic} Q0 12#0 1 2.0 Anserini\n" for topic in TOPICS))
    command[command.index(str(tmp_path / "out"))] = str(tmp_path / "other")
    command += ["--set", f"runs.bm25={{search: run, file: '{theirs}', topics: dev}}"]
    assert main(command) == 0
    assert list(read_run(tmp_path / "other" / "runs" / "bm25.txt.xz")["2"]) == ["12#0"]
