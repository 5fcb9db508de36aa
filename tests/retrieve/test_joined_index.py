"""Several indexes in a folder, searched as one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import made_up

from pyserini_optical import CheckpointError, encode_corpus, search
from pyserini_optical.cli import main
from pyserini_optical.data import order_hits, read_run
from pyserini_optical.models import Encoder
from pyserini_optical.models.device import has_fast_bfloat16
from pyserini_optical.retrieve.faiss_index import open_index
from pyserini_optical.retrieve.joined_index import JoinedIndex

TEXTS = {f"p{number:02}": f"passage about {number % 30}" for number in range(40)}  # ten texts stand twice


def write(path: Path, ids: list[str]) -> Path:
    path.write_text("".join(json.dumps({"id": docid, "text": TEXTS[docid]}) + "\n" for docid in ids))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, (start, stop) in {"a": (0, 17), "b": (17, 20), "c": (20, 40)}.items():
        corpus = write(tmp_path / f"{name}.jsonl", list(TEXTS)[start:stop])
        encode_corpus(made_up(), corpus, tmp_path / "folder" / name)
    return tmp_path / "folder"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return encode_corpus(made_up(), write(tmp_path / "all.jsonl", list(TEXTS)), tmp_path / "whole")


@pytest.mark.parametrize("hits", [5, 30, 1000])
def test_the_same_run_as_of_one_index(hits: int, folder: Path, whole: Path, tmp_path: Path) -> None:
    topics = {f"t{number}": f"passage about {number}" for number in range(0, 30, 3)}
    runs = []
    for index in (folder, whole):
        search(made_up(), index, topics, tmp_path / "run.txt", hits=hits, tag="x")
        runs.append({topic: order_hits(found) for topic, found in read_run(tmp_path / "run.txt").items()})
    joined, one = runs
    for topic in topics:
        expected = [score for _, score in one[topic]]
        # Faiss itself chooses at the last rank among equals.
        above = [docid for docid, score in one[topic] if score > expected[-1] or hits > 40]
        assert [docid for docid, _ in joined[topic]][: len(above)] == above
        assert [score for _, score in joined[topic]] == pytest.approx(expected, abs=1e-6)
        assert len(joined[topic]) == min(hits, 40)
    assert [docid for docid, _ in joined["t3"]][:2] == ["p33", "p03"]  # equal scores, from two indexes


def test_rows_are_those_of_the_ids(folder: Path, whole: Path) -> None:
    (joined, docids), (one, expected) = open_index(folder), open_index(whole)
    assert isinstance(joined, JoinedIndex)
    assert docids == expected
    assert (joined.d, joined.ntotal, joined.metric_type) == (one.d, one.ntotal, one.metric_type)
    rows = np.array([39, 0, 16, 17, 19, 20, 0])
    assert joined.reconstruct_batch(rows).tolist() == one.reconstruct_batch(rows).tolist()


def test_indexes_of_several_kinds(folder: Path, whole: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder / "c")
    encode_corpus(made_up(), tmp_path / "c.jsonl", folder / "c", kind="hnsw")
    found, expected = (search(made_up(), index, {"1": "passage about 7"})["1"] for index in (folder, whole))
    assert dict(order_hits(found)[:10]) == pytest.approx(dict(order_hits(expected)[:10]))


def test_folders_that_do_not_fit(folder: Path, tmp_path: Path) -> None:
    def refused(problem: str, encoder: Encoder | None = None) -> None:
        with pytest.raises(CheckpointError, match=problem) as caught:
            search(encoder or made_up(), folder, {"1": "x"})
        assert "\n" not in str(caught.value)

    (folder / "README.txt").write_text("what these are")
    search(made_up(), folder, {"1": "x"})
    refused(r"folder/a: made by another document encoder than made-up searches with", made_up(fingerprint="b"))
    (folder / ".d.work").mkdir()
    refused(r"folder/d: not finished, its shards lie in \.d\.work; end its `encode` first")
    shutil.copytree(folder / "b", folder / "d")
    refused(r"folder/b and .*folder/d: passage 'p17' is in both; encode each passage once")
    (folder / "d" / "docid").unlink()
    refused(r"folder/d: no file 'docid' in it")
    shutil.rmtree(folder / "d")
    encode_corpus(made_up(fingerprint="b"), write(tmp_path / "d.jsonl", ["p00"]), folder / "d")
    refused(r"folder/a and .*folder/d: made by different document encoders; encode all with the same")
    encode_corpus(made_up(dimension=8), tmp_path / "d.jsonl", folder / "d")
    refused(r"folder/a and .*folder/d: vectors of 16 and of 8 dimensions")
    for name in "abc":
        shutil.rmtree(folder / name)
    shutil.rmtree(folder / "d")
    refused(r"folder: no file 'index' in it, so it is not a Faiss index")


def test_the_command(tiny: Path, tmp_path: Path) -> None:
    runs: list[dict[str, Any]] = []
    (tmp_path / "topics.tsv").write_text("1\tthe old boat\n")
    places = {"one/first": (0, 20), "one/second": (20, 40), "whole": (0, 40)}
    for place, (start, stop) in places.items():
        corpus = write(tmp_path / "corpus.jsonl", list(TEXTS)[start:stop])
        assert main(["encode", str(tiny), str(corpus), str(tmp_path / place)]) == 0
    for index in ("one", "whole"):
        arguments = [str(tiny), str(tmp_path / index), str(tmp_path / "topics.tsv"), str(tmp_path / "run.txt")]
        assert main(["search", *arguments]) == 0
        runs.append(read_run(tmp_path / "run.txt"))
    assert runs[0]["1"] == pytest.approx(runs[1]["1"], abs=1e-2 if has_fast_bfloat16("cpu") else 1e-6)
