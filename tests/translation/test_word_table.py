from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from pyserini_optical.errors import InputError
from pyserini_optical.translation import WordTable
from pyserini_optical.translation.word_table import Readings

TABLE = WordTable({"mto": {"river": 0.6, "stream": 0.3, "pillow": 0.1}, "kale": {"old": 1.0}})


def test_a_query_spreads_words_over_their_translations() -> None:
    found = TABLE.query("Mto mto, kale Nairobi?", translations=2, probability=0.05)
    assert found == pytest.approx({"river": 4 / 3, "stream": 2 / 3, "old": 1.0, "nairobi": 1.0})
    assert TABLE.query("mto", translations=3, probability=0.2) == pytest.approx({"river": 2 / 3, "stream": 1 / 3})
    # The best one stays, however improbable.
    assert TABLE.query("mto", translations=3, probability=0.9) == {"river": 1.0}
    assert TABLE.query("?", translations=3, probability=0.9) == {}


def test_what_is_unlisted_may_be_known_elsewhere() -> None:
    table = WordTable(TABLE.entries, lambda word: {word[:3]: 0.8, "ever": 0.2})
    assert (table.best("mto"), table.best("nairobi")) == ("river", "nai")
    assert table.query("Nairobi", translations=2, probability=0.1) == pytest.approx({"nai": 0.8, "ever": 0.2})


def test_words_are_weighed_in_equal_parts() -> None:
    parts: list[list[str]] = []

    def weigh(readings: Readings) -> Readings:
        parts.append(list(readings))
        return {word: {f"{word}-{len(readings)}": 1.0} for word in readings}

    table = WordTable({}, weigh=weigh)
    words = [f"w{n}" for n in range(33)]
    assert [next(iter(reading)) for reading in table.readings(words)] == [
        f"{word}-{16 if n < 16 else 17}" for n, word in enumerate(words)
    ]
    assert [word for part in parts for word in part] == words
    assert table.readings([]) == []


@given(st.lists(st.sampled_from(["mto", "kale", "jina"])), st.integers(1, 4), st.floats(0, 1))
def test_a_query_weighs_as_much_as_it_has_words(words: list[str], translations: int, probability: float) -> None:
    found = TABLE.query(" ".join(words), translations=translations, probability=probability)
    assert sum(found.values()) == pytest.approx(len(words))
    assert all(weight > 0 for weight in found.values())


def test_a_matrix_becomes_words(tmp_path: Path) -> None:
    matrix = csr_matrix(np.array([[0.2, 0.8, 0.0], [0.0, 0.0, 0.0], [0.5, 0.0, 0.5]]))
    table = WordTable.from_matrix(matrix, ["f0", "f1", "f2"], ["a", "b", "c"])
    assert table.entries == {"f0": {"b": 0.8, "a": 0.2}, "f2": {"a": 0.5, "c": 0.5}}
    assert list(table.entries["f0"]) == ["b", "a"]
    assert (table.best("f0"), table.best("f1")) == ("b", "f1")
    table.save(tmp_path / "table.tsv.xz")
    again = WordTable.load(tmp_path / "table.tsv.xz")
    assert again.entries == table.entries
    assert list(again.entries["f0"]) == ["b", "a"]


def test_a_row_keeps_its_greatest() -> None:
    row = np.linspace(1, 2, 30)
    table = WordTable.from_matrix(csr_matrix(row / row.sum()), ["f"], [f"e{n}" for n in range(30)])
    assert list(table.entries["f"]) == [f"e{n}" for n in range(29, 9, -1)]


@pytest.mark.parametrize("line", ["a\tb", "a\tb\tx", "a\tb\t0", "a\tb\tnan", "a\t\t0.5", "a\t \t0.5", "a\tb\t2"])
def test_a_damaged_table_is_said(line: str, tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_text(f"a\tb\t0.5\n{line}\n")
    with pytest.raises(InputError, match=r"table\.tsv:2: expected two words and a probability"):
        WordTable.load(path)
