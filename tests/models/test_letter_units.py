"""Units of letters: probabilities of what goes together, found among pairs of which most do not."""

from __future__ import annotations

import random

import numpy as np
import pytest

from pyserini_optical.models.letter_units import ALPHABET, LONGEST, SHAPES, code, learn_units, tables

LETTERS = "abcdefgh"


def words(number: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices(LETTERS, k=draw.randint(4, 8))) for _ in range(number)]


def test_words_are_coded_and_padded() -> None:
    coded = code(["abc", "h" * 20, ""], LETTERS)
    assert coded.shape == (3, LONGEST)
    assert coded[0].tolist() == [0, 1, 2, *[8] * (LONGEST - 3)]
    assert (coded[1] == 7).all()
    assert (coded[2] == 8).all()


@pytest.mark.parametrize("noise", [0, 3])
def test_units_are_those_of_the_pairs_that_go_together(noise: int) -> None:
    english = words(300, 0)
    foreign = [word.translate(str.maketrans(LETTERS, LETTERS[::-1])) for word in english]
    for seed in range(noise):
        english += words(300, 2 * seed + 1)
        foreign += words(300, 2 * seed + 2)
    learnt = learn_units(code(foreign, LETTERS), code(english, ALPHABET), len(LETTERS))
    assert learnt.keys() == SHAPES.keys() == tables(len(LETTERS)).keys()
    assert sum(table.sum() for table in learnt.values()) == pytest.approx(1)
    for table in learnt.values():  # the padding is in no unit
        assert all(table.take(-1, axis).sum() == 0 for axis in range(table.ndim))
    mapped = np.eye(len(LETTERS))[::-1] * learnt[1, 1][: len(LETTERS), : len(LETTERS)]
    assert mapped.sum() > 0.97
