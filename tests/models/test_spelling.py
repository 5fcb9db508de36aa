"""Spelling: from words of which a part is transliterated, the letters are learnt, and new names are found."""

from __future__ import annotations

import random
import re

import pytest

from pyserini_optical.models.spelling import Spelling, learn_spelling, mixed

GREEK = dict(zip("abdeghiklmnoprstuvz", "αβδεγχικλμνοπρστυωζ", strict=True))
# One foreign letter for two English ones, and two for one.
SPELT = GREEK | {"sh": "ψ", "x": "κς"}
NAMES = ["barnabas", "london", "berlin", "santiago", "toronto", "madrid", "panama", "dublin", "oslo", "geneva", "lima"]
NAMES += ["shanghai", "mexiko"]


def spelt(word: str) -> str:
    return "".join(SPELT[letters] for letters in re.findall("sh|.", word))


@pytest.fixture(scope="module")
def spelling() -> Spelling:
    draw = random.Random(0)
    words = ["".join(draw.choices(list(SPELT), k=draw.randint(5, 7))) for _ in range(1500)]
    # A third is spelt as it sounds; of the others the translation has nothing to do with the word.
    translations = {spelt(word): word if number % 3 == 0 else draw.choice(words) for number, word in enumerate(words)}
    return learn_spelling(translations, NAMES)


def nearest(spelling: Spelling, word: str) -> str:
    return next(iter(spelling.candidates(word)), word)


def test_letters_are_learnt_from_mixed_pairs(spelling: Spelling) -> None:
    best = {letters: max(row, key=row.__getitem__) for letters, row in spelling.units.items()}
    assert best == {greek: latin for latin, greek in SPELT.items()}


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("london", "london"),
        ("madrid", "madrid"),
        ("torontos", "toronto"),
        ("sandiago", "santiago"),
        ("berln", "berlin"),
    ],
)
def test_names_are_found_even_if_spelt_otherwise(spelling: Spelling, word: str, name: str) -> None:
    assert nearest(spelling, spelt(word)) == name


def test_units_of_two_letters_are_learnt(spelling: Spelling) -> None:
    assert nearest(spelling, spelt("shanghai")) == "shanghai"
    assert nearest(spelling, spelt("mexiko")) == "mexiko"
    assert "sh" in spelling.units[SPELT["sh"]]


def test_what_spells_a_name_is_told_from_what_does_not(spelling: Spelling) -> None:
    assert sum(spelling.candidates(spelt("santiago")).values()) > 0.9
    assert sum(spelling.candidates(spelt("ruuhgvz")).values()) < 0.1
    found = spelling.candidates(spelt("geneva"))
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert sum(found.values()) <= 1


def test_names_may_be_chosen_from_few(spelling: Spelling) -> None:
    assert next(iter(spelling.candidates(spelt("lima"), ["panama", "lisbon", "limassol"]))) == "limassol"
    assert spelling.candidates(spelt("lima"), []) == {}
    twice = spelling.candidates(spelt("lima"), ["lima", "são", "lima"])
    assert twice == spelling.candidates(spelt("lima"), {"lima"})


def test_of_names_alike_in_their_first_letters_the_shorter_comes_first(spelling: Spelling) -> None:
    word = "lo" * 8
    longer = Spelling(spelling.units, [f"{word}lima", word])
    assert list(longer.candidates(spelt(word))) == [word, f"{word}lima"]


def test_signs_for_words_are_not_learnt() -> None:
    signs = [chr(0x4E00 + number) for number in range(2000)]
    draw = random.Random(0)
    made = learn_spelling(
        {"".join(draw.choices(signs, k=5)): "".join(draw.choices("abcd", k=5)) for _ in range(400)}, []
    )
    assert len({letter for letters in made.units for letter in letters}) <= 300


def test_what_cannot_be_spelt_spells_nothing(spelling: Spelling) -> None:
    for word in ("αβ", "東京都", "lodon", "málaga", "8848", "4α4"):
        assert spelling.candidates(word) == {}, word
    assert Spelling({}, NAMES).candidates("λονδον") == {}
    assert Spelling(spelling.units, []).candidates("λονδον") == {}
    assert learn_spelling({"a": "b"}, NAMES).candidates("λονδον") == {}
    assert Spelling(spelling.units, ["são", "ab", "Oslo", "oslo"]).names == ["oslo"]


@pytest.mark.parametrize(("foreign", "english"), [("α", "é"), ("α", "abc"), ("αβγ", "a"), ("αβ", "-")])
def test_what_is_no_unit_is_named(foreign: str, english: str) -> None:
    with pytest.raises(ValueError, match=f"{foreign} and {english} are no unit of letters"):
        Spelling({foreign: {english: 0.5}}, NAMES)


def test_units_have_one_probability_together() -> None:
    with pytest.raises(ValueError, match="the units of letters have a probability above one"):
        Spelling({"α": {"a": 0.9}, "β": {"b": 0.9}}, NAMES)


def test_the_rest_goes_to_other_translations() -> None:
    assert mixed({"paris": 0.5, "pairs": 0.1}, {"city": 0.75, "paris": 0.25}) == pytest.approx(
        {"paris": 0.6, "city": 0.3, "pairs": 0.1}
    )
    assert list(mixed({"paris": 0.2}, {"city": 1.0})) == ["city", "paris"]
    assert mixed({}, {"city": 1.0}) == {"city": 1.0}
