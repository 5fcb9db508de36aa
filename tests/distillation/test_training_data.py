from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyserini_optical.cli import main
from pyserini_optical.data import Manifest, write_run
from pyserini_optical.data.relevance import Question, read_relevance
from pyserini_optical.distillation import fine_tune, make_training_data
from pyserini_optical.distillation.fine_tuning import FineTuningRecipe
from pyserini_optical.errors import InputError, OpticalError, RecipeError
from pyserini_optical.integration import ensure_java
from pyserini_optical.retrieve import encode_corpus

PASSAGES = {
    "01": "The old farmer sees the river and the market.",
    "02": "The old farmer sees the river and the house.",
    "03": "A small boat leaves the house today.",
    "04": "A teacher builds a road, never a boat.",
    "05": "The child often finds a red boat in the river.",
}
LABELS = "Who sees the market?\t01\tthe OLD farmer\nWhich boat leaves?\t03\nWho finds the boat in the river?\t05\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "labels.tsv").write_text(LABELS)
    (tmp_path / "corpus.jsonl").write_text(
        "".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in PASSAGES.items())
    )
    (tmp_path / "words.tsv").write_text("mto\triver\nmashua\tboat\nsoko\tmarket\n")
    one = {"1": {"02": 5.0, "01": 4.0, "04": 3.0}, "2": {"04": 2.0, "03": 1.0}, "3": {"05": 9.0, "03": 1.0}}
    two = {"1": {"05": 5.0, "04": 4.0}, "2": {"05": 2.0, "04": 1.0}}
    write_run(tmp_path / "one.txt", one, "one")
    write_run(tmp_path / "two.txt", two, "two")
    return tmp_path


def make(folder: Path, **options: object) -> list[Question]:
    made = make_training_data(
        folder / "labels.tsv",
        folder / "corpus.jsonl",
        folder / "out.jsonl",
        work=folder / "work",
        **options,  # type: ignore[arg-type]
    )
    return read_relevance(made)


def test_negatives_come_from_the_runs_in_turn_and_hold_no_answer(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [folder / "one.txt", folder / "two.txt"]
    assert make(folder, runs=runs) == [
        Question("Who sees the market?", "01", ("the OLD farmer",), ("05", "04")),  # 02 holds the answer
        Question("Which boat leaves?", "03", (), ("04", "05")),
        Question("Who finds the boat in the river?", "05", (), ("03",)),
    ]
    assert "two.txt: no hits for 1 of 3 questions" in capsys.readouterr().err
    assert [len(question.negatives) for question in make(folder, runs=runs, negatives=1)] == [1, 1, 1]
    assert [question.negatives for question in make(folder, runs=runs[:1], depth=1)] == [(), ("04",), ()]


def test_questions_are_translated_after_the_search(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [folder / "one.txt"]
    plain = make(folder, runs=runs)
    translated = make(folder, runs=runs, translator=f"dictionary:{folder / 'words.tsv'}?reverse=yes")
    assert [question._replace(text="") for question in translated] == [one._replace(text="") for one in plain]
    assert "mashua" in translated[1].text
    manifest = Manifest.load(folder / "out.jsonl.manifest.json")
    assert manifest.inputs["translator"].startswith("dictionary ")
    assert set(manifest.inputs) == {"questions", "corpus", "run 1", "translator"}
    before = (folder / "out.jsonl").stat().st_mtime_ns
    capsys.readouterr()
    make(folder, runs=runs, translator=f"dictionary:{folder / 'words.tsv'}?reverse=yes")
    assert (folder / "out.jsonl").stat().st_mtime_ns == before
    assert "is there already" in capsys.readouterr().err
    (folder / "out.jsonl").write_text("damaged")
    assert make(folder, runs=runs, translator=f"dictionary:{folder / 'words.tsv'}?reverse=yes") == translated


def test_topics_with_qrels_and_a_table_of_their_foreign_form(folder: Path) -> None:
    (folder / "topics.en.tsv").write_text("q1\tWho sees the market?\nq2\tUnjudged?\n")
    (folder / "topics.sw.tsv").write_text("q1\tNani anaona soko?\nq2\tNini?\n")
    (folder / "qrels.txt").write_text("q1 0 01 1\nq1 0 05 1\nq1 0 03 0\n")
    (folder / "answers.tsv").write_text("q1\tfarmer\n")
    write_run(folder / "run.txt", {"q1": {"05": 4.0, "02": 3.0, "03": 2.0, "04": 1.0}}, "run")
    made = make_training_data(
        folder / "topics.en.tsv",
        folder / "corpus.jsonl",
        folder / "own.jsonl.xz",
        qrels=folder / "qrels.txt",
        answers=folder / "answers.tsv",
        runs=[folder / "run.txt"],
        translator=f"table:{folder / 'topics.sw.tsv'}",
        work=folder / "work",
    )
    assert read_relevance(made) == [
        Question("Nani anaona soko?", passage, ("farmer",), ("03", "04"), (other,))
        for passage, other in (("01", "05"), ("05", "01"))
    ]


def test_bm25_and_a_dense_index_find_negatives_that_fine_tuning_reads(
    folder: Path, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        ensure_java()
    except OpticalError as error:
        pytest.skip(str(error))
    index = encode_corpus(str(tiny), folder / "corpus.jsonl", folder / "index", device="cpu")
    arguments: Sequence[object] = (
        "make-training-data", folder / "labels.tsv", folder / "corpus.jsonl", folder / "out.jsonl", "--dense", tiny,
        index, "--limit", 2, "--seed", 1, "--work", folder / "work",
    )  # fmt: skip
    assert main([str(argument) for argument in arguments]) == 0
    assert capsys.readouterr().out == f"{folder / 'out.jsonl'}\n"
    made = read_relevance(folder / "out.jsonl")
    assert len(made) == 2
    for question in made:
        # The dense list holds all passages.
        assert set(question.negatives) == set(PASSAGES) - {question.passage} - (
            {"02"} if question.passage == "01" else set()
        )
    alone = make(folder, limit=2, seed=1)
    assert all(set(one.negatives) < set(both.negatives) for one, both in zip(alone, made, strict=True))
    recipe = FineTuningRecipe("toy", str(tiny), [str(folder / "out.jsonl")], str(folder / "corpus.jsonl"))
    assert (fine_tune(recipe, folder / "toy") / "model.safetensors").is_file()


def test_mistakes_leave_nothing(folder: Path, tiny: Path) -> None:
    before = {path.name for path in folder.iterdir()}
    write_run(folder / "others.txt", {"q9": {"01": 1.0}}, "others")
    write_run(folder / "unknown.txt", {"1": {"99": 1.0}}, "unknown")
    for options, error, problem in (
        ({"runs": [folder / "others.txt"]}, InputError, r"others\.txt: has no hits for question '1' nor any other"),
        ({"runs": [folder / "unknown.txt"]}, InputError, "passage '99' is not in the corpus"),
        ({"runs": [folder / "none.txt"]}, InputError, r"none\.txt: cannot be read"),
        ({"dense": [(str(tiny), folder / "none")]}, InputError, "none: cannot be read"),
        ({"translator": "nothing"}, InputError, "names no translator"),
        ({"negatives": 0}, InputError, "negatives 0 asked for"),
        ({"answers": folder / "labels.tsv"}, InputError, "answers belong to topics"),
        ({"qrels": folder / "labels.tsv"}, InputError, "labels.tsv:1: expected"),
    ):
        with pytest.raises(error, match=problem) as caught:
            make(folder, **options)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"let it end in \.jsonl"):
        make_training_data(folder / "labels.tsv", folder / "corpus.jsonl", folder / "out.tsv")
    (folder / "labels.tsv").write_text("Who?\t77\n")
    with pytest.raises(RecipeError, match="holds no passage '77'"):
        make(folder, runs=[folder / "one.txt"])
    assert {path.name for path in folder.iterdir()} == before | {"others.txt", "unknown.txt"}
