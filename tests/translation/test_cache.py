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
    with pytest.raises(InputError, match="cannot keep translations"):
        cache.add("a", {"good": "text", "bad": object()})  # type: ignore[dict-item]
    assert cache.known("a", ["good"]) == {}


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    path.write_text("this is no database, and long enough to be seen as none " * 20)
    with pytest.raises(InputError, match=r"t\.sqlite: cannot keep translations \(.*not a database\); remove the file"):
        TranslationCache(path).known("a", ["x"])
    with pytest.raises(InputError, match="cannot keep translations"):
        TranslationCache(tmp_path / "t.sqlite" / "inside").add("a", {"x": "y"})


def test_no_transaction_is_left_open(tmp_path: Path) -> None:
    cache = TranslationCache(tmp_path / "t.sqlite")
    cache.add("a", {"x": "y"})
    other = sqlite3.connect(tmp_path / "t.sqlite", timeout=0)
    other.execute("DELETE FROM translations")
    other.commit()
    other.close()
    assert cache.known("a", ["x"]) == {}
