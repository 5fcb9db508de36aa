"""Corpora: the keys Pyserini knows, ids as text, files of a directory in order, and no more in memory than the ids."""

from __future__ import annotations

import gzip
import json
import lzma
import tracemalloc
from pathlib import Path

import pytest

from pyserini_optical.data import Passage, read_corpus
from pyserini_optical.errors import InputError


def line(**record: object) -> str:
    return json.dumps(record) + "\n"


def test_keys_and_ids(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(
        line(id="007", title=" Bond ", text=" James Bond.\nAgent. ", lang="en")
        + line(_id="7", text="Seven.", title=None)
        + line(docid=8, contents="Title\nBody.")
        + line(id=-0, docid="other", text="first key", contents="second key"),
        encoding="utf-8",
    )
    assert list(read_corpus(path)) == [
        Passage("007", "Bond", "James Bond.\nAgent."),
        Passage("7", "", "Seven."),
        Passage("8", "", "Title\nBody."),
        Passage("0", "", "first key"),
    ]


def test_directory_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text(line(id="3", text="c"), encoding="utf-8")
    (tmp_path / "a-2.jsonl.xz").write_bytes(lzma.compress(line(id="2", text="b").encode()))
    (tmp_path / "a-10.jsonl.gz").write_bytes(gzip.compress(line(id="1", text="a").encode()))
    (tmp_path / "c.jsonl").touch()
    (tmp_path / "README.md").write_text("not a corpus", encoding="utf-8")
    (tmp_path / ".d.jsonl.x1.jsonl").write_text("half-writ", encoding="utf-8")
    assert [passage.id for passage in read_corpus(tmp_path)] == ["1", "2", "3"]


def test_id_repeated_in_another_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(line(id="1", text="a"), encoding="utf-8")
    (tmp_path / "b.jsonl").write_text(line(id="2", text="b") + line(id=1, text="c"), encoding="utf-8")
    with pytest.raises(InputError, match=r"b\.jsonl:2: id '1' stands twice"):
        list(read_corpus(tmp_path))


@pytest.mark.parametrize("names", [[], ["corpus.json"], [".hidden.jsonl"]])
def test_directory_without_corpus_files(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text(line(id="1", text="a"), encoding="utf-8")
    with pytest.raises(InputError, match="a directory without"):
        list(read_corpus(tmp_path))


def test_what_stands_before_a_mistake_is_given(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(line(id="1", text="a") + "{", encoding="utf-8")
    passages = read_corpus(path)
    assert next(passages).id == "1"
    with pytest.raises(InputError):
        next(passages)


def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(line(id=str(number), text="x" * 100_000) for number in range(200))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_corpus(path)) == 200
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000  # the text is 20 MB
