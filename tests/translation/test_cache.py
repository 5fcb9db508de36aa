from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pyserini_optical.errors import InputError
from pyserini_optical.translation.cache import TranslationCache


def test_it_keeps_translations_by_version(tmp_path: Path) -> None:
    cache = TranslationCache(tmp_path / "work" / "t.sqlite")
    assert cache.known("a 1", ["x"]) == {}
    made = {f"text {n}": f"translation {n}" for n in range(2000)}
    cache.add("a 1", made)
    cache.add("a 2", {"text 1": "another"})
    again = TranslationCache(tmp_path / "work" / "t.sqlite")
    assert again.known("a 1", [*made, "unknown"]) == made
    assert again.known("a 2", list(made)) == {"text 1": "another"}


def test_it_keeps_all_of_a_batch_or_nothing(tmp_path: Path) -> None:
    cache = TranslationCache(tmp_path / "t.sqlite")
    with pytest.raises(UnicodeEncodeError):  # in the second line, when the first is inserted
        cache.add("a", {"good": "text", "bad": "half of a pair \ud83d"})
    assert cache.known("a", ["good"]) == {}


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    path.write_text("this is no database, and long enough to be seen as none " * 20)
    with pytest.raises(InputError, match=r"t\.sqlite: cannot keep translations \(.*not a database\); remove the file"):
        TranslationCache(path).known("a", ["x"])
    with pytest.raises(InputError, match="cannot keep translations"):
        TranslationCache(tmp_path / "t.sqlite" / "inside").add("a", {"x": "y"})


def test_a_translation_that_is_not_what_was_kept_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    TranslationCache(path).add("a", {"mto kale": "the old river", "soko": "the market"})
    path.write_bytes(path.read_bytes().replace(b"the old river", b"the odd river"))
    assert TranslationCache(path).known("a", ["soko"]) == {"soko": "the market"}
    with pytest.raises(InputError, match=r"t\.sqlite: the translation of 'mto kale' is damaged; remove the file"):
        TranslationCache(path).known("a", ["soko", "mto kale"])


def test_translations_from_before_there_were_checksums(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "t.sqlite")
    old.execute(
        "CREATE TABLE translations"
        " (version TEXT, text TEXT, translation TEXT, PRIMARY KEY (version, text)) WITHOUT ROWID"
    )
    old.execute("INSERT INTO translations VALUES ('a', 'soko', 'the market')")
    old.commit()
    old.close()
    cache = TranslationCache(tmp_path / "t.sqlite")
    cache.add("a", {"mto": "the river"})
    assert cache.known("a", ["soko", "mto"]) == {"soko": "the market", "mto": "the river"}


def test_no_transaction_is_left_open(tmp_path: Path) -> None:
    cache = TranslationCache(tmp_path / "t.sqlite")
    cache.add("a", {"x": "y"})
    other = sqlite3.connect(tmp_path / "t.sqlite", timeout=0)
    other.execute("DELETE FROM translations")
    other.commit()
    other.close()
    assert cache.known("a", ["x"]) == {}
