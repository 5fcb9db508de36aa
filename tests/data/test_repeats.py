from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserini_optical import InputError
from pyserini_optical.data import corpora, read_corpus, repeats
from pyserini_optical.data.repeats import Repeats


@given(ids=st.lists(st.integers(0, 60).map(str)), block=st.integers(1, 9))
def test_it_finds_what_a_set_finds(ids: list[str], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeats, "_BLOCK", block)
        found, seen = Repeats(), set[str]()
        suspects = set[int]()
        for one in ids:
            suspects |= found.add(one)
            seen.add(one)
        suspects |= found.rest()
    assert suspects == {hash(one) for one in ids if ids.count(one) > 1}


def write(path: Path, ids: list[str]) -> Path:
    path.write_text("".join(json.dumps({"id": one, "text": "words"}) + "\n" for one in ids))
    return path


@pytest.mark.parametrize("block", [2, 3, 100])
def test_a_repeated_id_is_named_with_its_line(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "_BLOCK", block)
    (tmp_path / "corpus").mkdir()
    write(tmp_path / "corpus" / "a.jsonl", ["a", "b", "c", "d"])
    write(tmp_path / "corpus" / "b.jsonl", ["e", "c", "a"])
    with pytest.raises(InputError, match=r"b\.jsonl:2: id 'c' stands twice"):
        list(read_corpus(tmp_path / "corpus"))


def test_ids_that_share_a_hash_are_no_repetition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (corpora, repeats):
        monkeypatch.setattr(module, "hash", lambda one: 7, raising=False)
    path = write(tmp_path / "corpus.jsonl", ["a", "b", "c"])
    assert [passage.id for passage in read_corpus(path)] == ["a", "b", "c"]
    with pytest.raises(InputError, match=r"jsonl:3: id 'b' stands twice"):
        list(read_corpus(write(path, ["a", "b", "b"])))
