"""The benchmarks in a short form: that they still run and say what they should, not how fast anything is."""

from __future__ import annotations

import importlib.util
import json
import lzma
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyserini_optical.models.cross_encoder import start_cross_encoder

FOLDER = Path(__file__).parents[2] / "benchmarks"

Main = Callable[[list[str]], int]


def load(name: str) -> Main:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main: Main = module.main
    return main


def test_couplings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "couplings.json"
    small = ["--pairs", "4", "--source", "6", "--target", "7", "--rounds", "1"]
    assert load("couplings")([*small, "--output", str(path)]) == 0
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = content["rows"]
    assert len(rows) == 12
    assert all(row["milliseconds"] > 0 and row["ratio"] > 0 for row in rows)
    assert [row["ratio"] for row in rows if row["way"] == "ours"] == [1, 1]
    by_way = {row["way"]: row for row in rows if "marginal_error" in row}
    ours = by_way.pop("ours")
    same = [row for way, row in by_way.items() if way.startswith("POT") and "same marginal error" in way]
    assert len(same) == 2
    assert all(row["marginal_error"] <= ours["marginal_error"] for row in same)
    assert all(math.isfinite(row["cost_above_exact"]) for row in by_way.values())
    assert "POT solve_batch" in capsys.readouterr().out


def test_couplings_says_where_it_cannot_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--pairs", "1", "--source", "2", "--target", "2", "--steps", "2", "--rounds", "1"]
    assert load("couplings")([*small, "--output", str(tmp_path)]) == 1
    assert "is a directory" in capsys.readouterr().err


def test_alignment(tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "the old farmer sees a river"
    diagonal = " ".join(f"{k}-{k}" for k in range(6))
    (tmp_path / "xx-en.gold.tsv").write_text(f"{text}\t{text}\t{diagonal}\n", encoding="utf-8")
    arguments = [f"xx:same={tiny}", "--gold", str(tmp_path), "--output", str(tmp_path / "report")]
    assert load("alignment")(arguments) == 0
    content = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert content["gold"]["xx"]["links"] == 6
    assert {row["layer"] for row in content["rows"]} == {"contextual", "static"}
    # Student and teacher are one model, and the sentences are the same.
    np.testing.assert_allclose([row["error_rate"] for row in content["rows"]], 0)
    report = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "| assignment | 100.0 | 100.0 | **0.0** [0.0, 0.0] |" in report
    assert report in capsys.readouterr().out


def test_alignment_without_its_gold_writes_nothing(
    tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"xx:same={tiny}", "--gold", str(tmp_path), "--output", str(tmp_path / "report")]
    assert load("alignment")(arguments) == 1
    assert capsys.readouterr().err.endswith("no such file; check the path\n")
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("wrong", [["es=model"], ["es:a=x", "es:a=y"]])
def test_alignment_refuses_students_it_cannot_tell_apart(
    tmp_path: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        load("alignment")([*wrong, "--gold", str(tmp_path), "--output", str(tmp_path / "report")])
    assert "LANGUAGE:NAME=CHECKPOINT" in capsys.readouterr().err or len(wrong) == 2


def test_ladder(
    tmp_path: Path,
    tiny: Path,
    toy_collection: Path,
    toy_files: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    from pyserini_optical.integration.lucene import bm25_index
    from pyserini_optical.retrieve import encode_corpus

    corpus = toy_collection / "corpus.jsonl"
    bm25_index(corpus, tmp_path / "bm25", "en")
    encode_corpus(str(tiny), corpus, tmp_path / "faiss")
    where = ["--bm25", str(tmp_path / "bm25"), "--faiss", str(tmp_path / "faiss"), "--work", str(tmp_path)]
    arguments = ["--topics", str(toy_collection / "topics.sw.tsv"), *where, "--teacher", str(tiny)]
    assert load("ladder")([*arguments, "--output", str(tmp_path / "ladder.json")]) == 0
    content = json.loads((tmp_path / "ladder.json").read_text(encoding="utf-8"))
    assert content["topics"] == 30
    assert list(content["rungs"]) == ["bm25", "teacher"]
    costs = list(content["rungs"].values())
    capsys.readouterr()
    # The other rungs, as their processes run them.
    for rung in ("psq", "learned, bm25", "learned, teacher", "student model"):
        models = ["--encoder", str(tiny), "--bitext", str(toy_files[0])]
        assert load("ladder")([*arguments, *models, "--rung", rung]) == 0
        costs.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    for cost in costs:
        assert cost["first_s"] > 0
        assert cost["ms_a_query"] > 0
        assert cost["peak_mib"] > 50
    assert load("ladder")([*arguments[2:], "--topics", str(tmp_path / "none.tsv")]) == 1


def test_glosses(tmp_path: Path, tiny: Path, toy_collection: Path, toy_files: tuple[Path, Path]) -> None:
    from pyserini_optical.distillation import Recipe, distill
    from pyserini_optical.distillation.recipe import StudentRecipe, TrainingRecipe
    from pyserini_optical.retrieve import encode_corpus

    student = StudentRecipe(vocabulary=None, start="glosses")
    recipe = Recipe("g", str(tiny), [str(toy_files[0])], [], student, TrainingRecipe(epochs=0))
    distill(recipe, tmp_path / "student")
    encode_corpus(str(tiny), toy_collection / "corpus.jsonl", tmp_path / "index")
    topics = tmp_path / "topics.tsv"
    # The first word is listed with another end, and the teacher knows neither.
    topics.write_text((toy_collection / "topics.sw.tsv").read_text().replace("nani ", "mkulimax "))
    arguments = [str(tmp_path / "student"), str(tmp_path / "index"), str(topics), str(toy_collection / "qrels.txt")]
    assert load("glosses")([*arguments, "--report", str(tmp_path / "report")]) == 0
    found = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))["runs"]
    ways = {run["name"]: run["by_topic"]["RR@10"] for run in found}
    unlisted = ["listed-words-alone", "no-affixes", "names-alone", "stems", "capitals-kept"]
    assert list(ways) == ["word-by-word", "student", *unlisted]
    assert ways["stems"] != ways["student"] == ways["listed-words-alone"]
    assert load("glosses")([str(tiny), *arguments[1:]]) == 1


def test_quick_s_teachers(tmp_path: Path, generator: Path, tiny: Path, toy_collection: Path) -> None:
    for name in ("corpus", "topics/afriqa"):
        (tmp_path / name).mkdir(parents=True)
    corpus = lzma.compress((toy_collection / "corpus.jsonl").read_bytes())
    (tmp_path / "corpus" / "wikipedia-en.jsonl.xz").write_bytes(corpus)
    for source, name in (
        ("topics.sw.tsv", "ha.dev.tsv"),
        ("topics.en.tsv", "ha.dev.human-translated-en.tsv"),
        ("qrels.txt", "ha.dev.qrels.txt"),
    ):
        shutil.copy(toy_collection / source, tmp_path / "topics" / "afriqa" / name)
    head = start_cross_encoder(str(tiny), 32, "cpu")
    head.save_pretrained(str(tmp_path / "judge"), create_model_card=False)
    output = tmp_path / "teachers.json"
    arguments = [str(generator), str(tmp_path / "judge"), str(tiny), "--language", "ha", "--data", str(tmp_path)]
    assert load("quick_teachers")([*arguments, "--output", str(output)]) == 0
    by_model = {row["model"]: row for row in json.loads(output.read_text(encoding="utf-8"))["rows"]}
    assert all(row["questions"] == 30 and 0 <= row["first"] <= row["mrr"] <= 1 for row in by_model.values())
    assert by_model[generator.name]["mrr"] > by_model["judge"]["mrr"]  # it has learnt these questions
    assert load("quick_teachers")([str(tmp_path / "missing"), *arguments[3:]]) == 1
