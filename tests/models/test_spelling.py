"""Spelling: from words of which a part is transliterated, the letters are learnt, and new names are found."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest

from pyserini_optical.models.spelling import Spelling, learn_spelling, mixed

GREEK = dict(zip("abdeghiklmnoprstuvz", "αβδεγχικλμνοπρστυωζ", strict=True))
# One foreign letter for two English ones, and two for one.
SPELT = GREEK | {"sh": "ψ", "x": "κς"}
NAMES = ["barnabas", "london", "berlin", "santiago", "toronto", "madrid", "panama", "dublin", "oslo", "geneva", "lima"]
NAMES += ["shanghai", "mexiko"]


def spelt(word: str) -> str:
    return "".join(SPELT[letters] for letters in re.findall("sh|.", word))


# Of words that are not written as they sound: each letter of the words is another sound, and z is silent.
SOUNDS = dict(zip("abdeghiklmnoprstuv", "bduiakgeltpnrmovsh", strict=True))


def said(word: str) -> str:
    return "".join(SOUNDS.get(letter, "") for letter in word)


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
    best = {letters: max(row, key=row.__getitem__) for letters, row in spelling.letters.units.items()}
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
    assert "sh" in spelling.letters.units[SPELT["sh"]]


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
    longer = Spelling(spelling.letters.units, [f"{word}lima", word])
    assert list(longer.candidates(spelt(word))) == [word, f"{word}lima"]


def test_signs_for_words_are_not_learnt() -> None:
    signs = [chr(0x4E00 + number) for number in range(2000)]
    draw = random.Random(0)
    made = learn_spelling(
        {"".join(draw.choices(signs, k=5)): "".join(draw.choices("abcd", k=5)) for _ in range(400)}, []
    )
    assert len({letter for letters in made.letters.units for letter in letters}) <= 300


def test_what_cannot_be_spelt_spells_nothing(spelling: Spelling) -> None:
    for word in ("αβ", "東京都", "lodon", "málaga", "8848", "4α4"):
        assert spelling.candidates(word) == {}, word
    assert Spelling({}, NAMES).candidates("λονδον") == {}
    assert Spelling(spelling.letters.units, []).candidates("λονδον") == {}
    assert learn_spelling({"a": "b"}, NAMES).candidates("λονδον") == {}
    assert Spelling(spelling.letters.units, ["são", "ab", "Oslo", "oslo"]).names == ["oslo"]


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


@pytest.fixture(scope="module")
def by_sound() -> Spelling:
    draw = random.Random(0)
    words = ["".join(draw.choices("abdeghiklmnoprstuvz", k=draw.randint(5, 8))) for _ in range(1800)]
    # A third is written by its letters, a third by its sounds.
    ways: list[Callable[[str], str]] = [
        spelt,
        lambda word: spelt(said(word)),
        lambda _: spelt(said(draw.choice(words))),
    ]
    translations = {ways[number % 3](word): word for number, word in enumerate(words)}
    return learn_spelling(translations, NAMES, {word: [said(word)] for word in [*words, *NAMES, "kampala"]})


@pytest.mark.parametrize("name", ["madrid", "santiago", "toronto", "geneva"])
def test_names_are_found_by_letters_and_by_sounds(by_sound: Spelling, spelling: Spelling, name: str) -> None:
    for written in (spelt(name), spelt(said(name))):
        assert nearest(by_sound, written) == name
        assert nearest(by_sound, written[:2] + written[3:]) == name
        assert 0.9 < sum(by_sound.candidates(written).values()) <= 1
    assert nearest(spelling, spelt(said(name))) != name


def test_what_sounds_the_same_is_told_apart_by_its_letters(by_sound: Spelling) -> None:
    units = by_sound.letters.units, by_sound.sounds.units
    same = Spelling(units[0], ["lima", "lizma"], units[1], {name: ["lgtb"] for name in ("lima", "lizma", "oslo")})
    assert said("lima") == said("lizma") == "lgtb"
    assert nearest(same, spelt("lgtb")) == "lima"
    assert list(same.candidates(spelt("lizma"))) == ["lizma", "lima"]
    assert sorted(same.sounds.forms) == ["lima", "lizma"]
    assert list(same.candidates(spelt("lgtb"), ["lizma", "rome"])) == ["lizma", "rome"]


def test_of_several_pronunciations_the_nearest_counts(by_sound: Spelling) -> None:
    units = by_sound.letters.units, by_sound.sounds.units
    two = Spelling(units[0], NAMES, units[1], {"panama": [said("panama"), said("georgia")]})
    assert nearest(two, spelt(said("panama"))) == nearest(two, spelt(said("georgia"))) == "panama"


def test_without_sounds_a_name_is_as_probable_as_ever(by_sound: Spelling) -> None:
    letters = Spelling(by_sound.letters.units, NAMES)
    unsaid = Spelling(by_sound.letters.units, NAMES, by_sound.sounds.units, {})
    assert unsaid.candidates(spelt("toronto")) == letters.candidates(spelt("toronto"))


def test_letters_that_only_sounds_are_written_by_spell_what_has_sounds(by_sound: Spelling) -> None:
    sounds = Spelling({}, NAMES, by_sound.sounds.units, {"toronto": [said("toronto")]})
    assert list(sounds.candidates(spelt(said("toronto")))) == ["toronto"]
    assert list(sounds.candidates(spelt(said("toronto")), ["lima", "toronto"])) == ["toronto"]
    assert sounds.candidates(spelt(said("toronto")), ["lima"]) == {}


def test_a_strange_sign_is_named() -> None:
    with pytest.raises(ValueError, match="'!' is no letter of a unit"):
        Spelling({}, NAMES, {}, {"london": ["l!"]})
