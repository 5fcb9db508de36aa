from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserini_optical.translation import split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("¿Cuántos puntos?", ["cuántos", "puntos"]),
        ("पैंथर्स डिफ़ेंस ने 3 अंक", ["पैंथर्स", unicodedata.normalize("NFKC", "डिफ़ेंस"), "ने", "3", "अंक"]),
        ("क्‍या", ["क्‍या"]),  # with a zero-width joiner
        ("كم نقطة؟", ["كم", "نقطة"]),
        ("Straße_10", ["strasse", "10"]),
        ("?!", []),
        ("", []),
    ],
)
def test_words_are_letters_marks_and_numbers(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@given(st.text())
def test_words_stay_the_same_words(text: str) -> None:
    words = split_words(text)
    assert all(words)
    again = split_words(" ".join(words))
    # Case folding may undo the composition of a rare letter; what comes out the second time is stable.
    assert split_words(" ".join(again)) == again
    assert len(again) == len(words)
