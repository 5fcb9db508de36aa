from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from problems import each_pair, masked_batch
from torch import Tensor

from pyserini_optical.couplings import Greedy, uniform_mass
from pyserini_optical.couplings.greedy import greedy_partners, partners_in_rounds

Partners = Callable[[Tensor, Tensor, Tensor], Tensor]
both_ways = pytest.mark.parametrize("partners", [greedy_partners, partners_in_rounds])


def greedy_loop(cost: NDArray[np.float32]) -> list[int]:
    """DR.DECR's alignment of one pair: the least entry, without its row and column the next, and so on."""
    left, found = cost.copy(), [-1] * len(cost)
    for _ in range(min(cost.shape)):
        row, column = np.unravel_index(np.argmin(left), left.shape)
        found[row] = int(column)
        left[row, :] = left[:, column] = np.inf
    return found


@both_ways
@settings(max_examples=80, deadline=None)
@given(m=st.integers(1, 40), n=st.integers(1, 40), seed=st.integers(0, 10**6), levels=st.sampled_from([2, 5, 1000]))
@example(m=512, n=500, seed=0, levels=10**6)
@example(m=6, n=6, seed=0, levels=1)
def test_it_is_the_loop_also_where_costs_are_equal(partners: Partners, m: int, n: int, seed: int, levels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Few levels make many ties; half of the costs are below zero, and zero has either sign.
    cost = (torch.randint(0, levels, (3, m, n), generator=generator) - levels // 2).float() * -0.25
    found = partners(cost, uniform_mass(torch.ones(3, m)), uniform_mass(torch.ones(3, n)))
    assert found.tolist() == [greedy_loop(own.numpy()) for own in cost]


@both_ways
def test_it_is_the_loop_pair_by_pair_in_a_padded_batch(partners: Partners) -> None:
    cost, mu, nu = masked_batch()
    found = partners(cost, mu, nu)
    for own, (c, _, _, (rows, columns)) in zip(found, each_pair(cost, mu, nu), strict=True):
        expected = torch.full_like(own, -1)
        walked = torch.tensor(greedy_loop(c[0].numpy()))
        expected[rows] = torch.where(walked < 0, -1, columns[walked])
        assert own.tolist() == expected.tolist()


def test_it_takes_any_layout() -> None:
    cost, mu, nu = masked_batch()
    turned = cost.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(greedy_partners(turned, mu, nu), greedy_partners(cost, mu, nu))


@both_ways
def test_nothing_goes_with_an_empty_side(partners: Partners) -> None:
    one, none = torch.full((1, 2), 0.5), torch.zeros(1, 2)
    assert partners(torch.zeros(1, 2, 2), one, none).tolist() == [[-1, -1]]
    assert partners(torch.zeros(1, 2, 2), none, one).tolist() == [[-1, -1]]


def test_it_says_what_it_cannot_hold() -> None:
    with pytest.raises(ValueError, match="at most 16,384 tokens"):
        Greedy().plan(torch.zeros(1, 1, 16385), torch.ones(1, 1), torch.ones(1, 16385) / 16385)
