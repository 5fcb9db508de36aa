from __future__ import annotations

import random

import pytest
from datasets import Dataset

from pyserini_optical.distillation.sampler import LengthGroupedBatchSampler, by_length

LENGTHS = random.Random(0).choices(range(5, 200), k=1003)


def sampler(seed: int = 3, *, drop_last: bool = False, batch_size: int = 8) -> LengthGroupedBatchSampler:
    data = Dataset.from_dict({"text": [""] * len(LENGTHS)})
    return by_length(LENGTHS)(data, batch_size=batch_size, drop_last=drop_last, seed=seed)


def test_every_row_comes_once_an_epoch() -> None:
    made = sampler()
    batches = list(made)
    assert sorted(row for batch in batches for row in batch) == list(range(1003))
    assert len(batches) == len(made) == 126
    assert sorted(len(batch) for batch in batches)[:2] == [3, 8]


def test_the_last_part_of_a_batch_can_be_left_out() -> None:
    made = sampler(drop_last=True)
    assert {len(batch) for batch in made} == {8}
    assert len(list(made)) == len(made) == 125


def test_batches_hold_sentences_of_about_the_same_length() -> None:
    def padding(batches: list[list[int]]) -> int:
        return sum(max(LENGTHS[row] for row in batch) - LENGTHS[row] for batch in batches for row in batch)

    shuffled = random.Random(1).sample(range(1003), 1003)
    assert padding(list(sampler())) < 0.1 * padding([shuffled[i : i + 8] for i in range(0, 1003, 8)])


def test_the_order_of_the_batches_says_nothing_about_length() -> None:
    batches = list(sampler())
    means = [sum(LENGTHS[row] for row in batch) / len(batch) for batch in batches]
    halves = [sum(part) / len(part) for part in (means[:63], means[63:])]
    assert abs(halves[0] - halves[1]) < 40


def test_the_same_seed_and_epoch_give_the_same_batches_and_others_do_not() -> None:
    first, again, other = sampler(), sampler(), sampler(seed=4)
    assert list(first) == list(again) != list(other)
    second_epoch = sampler()
    second_epoch.set_epoch(1)
    assert list(second_epoch) != list(first)
    assert {frozenset(batch) for batch in second_epoch} != {frozenset(batch) for batch in first}
    again.set_epoch(1)
    assert list(again) == list(second_epoch)


def test_lengths_must_be_those_of_the_rows() -> None:
    with pytest.raises(ValueError, match="3 lengths for 2 rows"):
        by_length([1, 2, 3])(Dataset.from_dict({"text": ["", ""]}), batch_size=1, drop_last=False)
