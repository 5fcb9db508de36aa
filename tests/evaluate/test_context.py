from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyserini_optical import InputError, compare
from pyserini_optical.evaluate import read_passages, relevant_passages, shown_passages
from pyserini_optical.evaluate.context import gather, read_quantities

QRELS = {"1": {"a": 1, "b": 2, "c": 0}, "2": {"a": -1}}
RUNS = {"one": {"1": {"x": 2.0, "a": 1.0}}, "two": {"1": {"a": 1.0}, "2": {"y": 1.0}}}


def test_relevant_passages_come_most_relevant_first() -> None:
    assert relevant_passages(QRELS) == {"1": ["b", "a"], "2": []}


def test_what_is_shown_is_relevant_or_ranked_first(tmp_path: Path) -> None:
    comparison = compare(QRELS, RUNS)
    wanted = shown_passages(comparison, QRELS)
    assert wanted == {"a", "b", "x", "y"}
    corpus = tmp_path / "corpus.jsonl"
    passages = [{"id": "a", "title": "A", "text": "first"}, {"id": "c", "text": "no"}, {"id": "x", "text": "other"}]
    corpus.write_text("".join(json.dumps(each) + "\n" for each in passages))
    assert read_passages(corpus, wanted) == {"a": ("A", "first"), "x": ("", "other")}


def test_the_manifest_says_what_was_compared(tmp_path: Path) -> None:
    run = tmp_path / "run.txt"
    run.write_text("1 Q0 a 1 1.0 x\n")
    context = gather(compare(QRELS, RUNS, test="student"), QRELS, {}, None, None, {"one": run})
    assert context.manifest is not None
    assert len(context.manifest.inputs["one"]) == 64
    assert context.manifest.parameters["test"] == "student"
    assert not any((context.passages, context.quantities, context.topics))


def test_quantities_are_read(tmp_path: Path) -> None:
    path = tmp_path / "quantities.tsv"
    path.write_text("run\tseconds\tsentence pairs\none\t1.5\t\ntwo\t20\t1e5\n")
    assert read_quantities(path, ["one", "two"]) == {
        "seconds": {"one": 1.5, "two": 20},
        "sentence pairs": {"two": 100_000},
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no quantities"),
        ("run\tseconds\n", "holds no quantities"),
        ("run\tseconds\none\t\n", "holds no quantities"),
        ("name\tseconds\n", ":1: not a header of quantities; write run⇥quantity"),
        ("run\n", ":1: not a header"),
        ("run\tx\tx\n", ":1: not a header"),
        ("run\tx\nthree\t1\n", ":2: run 'three' is not among the runs; choose from one, two"),
        ("run\tx\none\t1\none\t2\n", ":3: run 'one' stands twice"),
        ("run\tx\none\t1\t2\n", ":2: expected 2 columns separated by tabs, found 3"),
        ("run\tx\none\tmany\n", ":2: 'many' is not a number"),
        ("run\tx\none\tnan\n", ":2: 'nan' is not a number"),
    ],
)
def test_unusable_quantities_are_refused(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "quantities.tsv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_quantities(path, ["one", "two"])
    assert problem in str(caught.value)
