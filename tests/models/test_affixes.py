"""Affixes: learnt from a table whose words have endings and prefixes, and what they say of words it lacks."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserini_optical.models.affixes import Affixes, learn_affixes

DRAW = random.Random(0)
STEMS = ["".join(DRAW.choice("bcdfghjklm") + DRAW.choice("aeiou") for _ in range(3)) for _ in range(60)]


def table() -> dict[str, dict[str, float]]:
    """60 stems, each also with an ending and with a prefix that say nothing; and endings that change everything."""
    entries = {}
    for number, stem in enumerate(STEMS):
        for word in (stem, f"{stem}x", f"wa{stem}"):
            entries[word] = {f"e{number}": 0.9, "the": 0.1}
        entries[f"{stem}zz"] = {f"other{number}": 1.0}
    return entries


@pytest.fixture(scope="module")
def affixes() -> Affixes:
    return learn_affixes(table(), {})


def test_changes_that_leave_the_translation_are_learnt(affixes: Affixes) -> None:
    assert affixes.changes["", "x"]["", ""] == affixes.changes["", ""]["", "x"]
    # All agree, but five more pairs are reckoned with that do not; some stems are another's by chance.
    assert affixes.changes["wa", ""]["", ""] == pytest.approx(60 / 65, abs=0.1)
    assert ("", "zz") not in affixes.changes
    assert ("", "zz") not in affixes.changes["", ""]
    # Changes with a letter of the stem in them say nothing new.
    assert not [affix for affix in affixes.changes if affix[1] not in ("", "x")]


def test_few_pairs_teach_nothing() -> None:
    few = {word: entry for word, entry in table().items() if any(word.endswith((s, f"{s}x")) for s in STEMS[:10])}
    assert learn_affixes(few, {}).changes == {}


def test_an_unlisted_word_has_its_relatives_translations(affixes: Affixes) -> None:
    entries = {"mkate": {"bread": 0.8, "loaf": 0.2}, "wamkate": {"bread": 1.0}, "samaki": {"fish": 1.0}}
    assert affixes.relatives("mkatex", entries).keys() == {"mkate", "wamkate"}
    found = affixes.translations("mkatex", entries)
    assert list(found) == ["bread", "loaf"]
    assert sum(found.values()) == pytest.approx(1.0)
    assert affixes.translations("wasamaki", entries) == {"fish": 1.0}
    assert affixes.translations("nyota", entries) == {}
    assert Affixes({}).translations("mkatex", entries) == {}


def test_the_rarer_a_word_the_more_its_relatives_count(affixes: Affixes) -> None:
    entries = {"mkate": {"bread": 1.0}, "mkatex": {"butter": 1.0}, "samaki": {"fish": 1.0}}
    mixed = affixes.smoothed(entries, {"mkate": 97, "mkatex": 1, "samaki": 1})
    assert mixed["samaki"] == {"fish": 1.0}
    assert mixed["mkate"] == pytest.approx({"bread": 0.97, "butter": 0.03})
    assert mixed["mkatex"] == pytest.approx({"bread": 0.75, "butter": 0.25})
    # What the bitext lacks, a model's own table say, is its relatives' alone.
    assert affixes.smoothed(entries, {"mkate": 99})["mkatex"] == pytest.approx({"bread": 1.0, "butter": 0.0})


WORDS = st.text(alphabet="abwx", min_size=1, max_size=8)


@given(st.dictionaries(WORDS, st.sampled_from([{"a": 1.0}, {"b": 0.7, "c": 0.3}]), max_size=8), WORDS, st.data())
def test_translations_are_a_distribution(entries: dict[str, dict[str, float]], word: str, data: st.DataObject) -> None:
    cuts = st.tuples(st.sampled_from(["", "a", "wa"]), st.sampled_from(["", "x", "bx"]))
    changes = data.draw(st.dictionaries(cuts, st.dictionaries(cuts, st.floats(0.1, 1), max_size=3), max_size=4))
    found = Affixes(changes).translations(word, entries)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert sum(found.values()) == pytest.approx(1.0 if found else 0.0)
    for mixed in Affixes(changes).smoothed(entries, dict.fromkeys(entries, 2)).values():
        assert sum(mixed.values()) == pytest.approx(1.0)
