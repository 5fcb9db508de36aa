"""Spelling: from words of which a part is transliterated, the letters are learnt, and new names are found."""

from __future__ import annotations

import random

import pytest

from pyserini_optical.models.spelling import Spelling, learn_spelling

GREEK = dict(zip("abdeghiklmnoprstuvz", "αβδεγχικλμνοπρστυωζ", strict=True))
NAMES = ["barnabas", "london", "berlin", "santiago", "toronto", "madrid", "panama", "dublin", "oslo", "geneva", "lima"]


def spelt(word: str) -> str:
    return "".join(GREEK[letter] for letter in word)


@pytest.fixture(scope="module")
def spelling() -> Spelling:
    draw = random.Random(0)
    words = ["".join(draw.choices(list(GREEK), k=draw.randint(5, 9))) for _ in range(900)]
    # A third is spelt as it sounds; of the others the translation has nothing to do with the word.
    translations = {spelt(word): word if number % 3 == 0 else draw.choice(words) for number, word in enumerate(words)}
    return learn_spelling(translations, NAMES)


def test_letters_are_learnt_from_mixed_pairs(spelling: Spelling) -> None:
    best = {letter: max(row, key=row.__getitem__) for letter, row in spelling.letters.items()}
    assert best == {greek: latin for latin, greek in GREEK.items()}


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
    assert spelling.nearest(spelt(word)) == name


def test_what_cannot_be_spelt_stays(spelling: Spelling) -> None:
    assert spelling.nearest("αβ") == "αβ"  # short
    assert spelling.nearest("東京都") == "東京都"
    assert spelling.nearest("lodon") == "lodon"
    assert spelling.nearest("málaga") == "málaga"
    assert Spelling({}, NAMES).nearest("λονδον") == "λονδον"
    assert Spelling(spelling.letters, []).nearest("λονδον") == "λονδον"
    assert learn_spelling({"a": "b"}, NAMES).nearest("λονδον") == "λονδον"
    assert Spelling(spelling.letters, ["são", "ab", "Oslo", "oslo"]).names == ["oslo"]
