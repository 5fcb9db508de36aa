from __future__ import annotations

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import cosine_cost
from torch import Tensor

from pyserini_optical.couplings import Assignment, Exact, Greedy, Plan, uniform_mass


def matches(matrix: Tensor) -> set[tuple[int, int]]:
    return {(int(i), int(j)) for i, j in matrix.nonzero()}


def uniform(m: int, n: int, pairs: int = 1) -> tuple[Tensor, Tensor]:
    return uniform_mass(torch.ones(pairs, m)), uniform_mass(torch.ones(pairs, n))


def one_to_one(plan: Plan) -> bool:
    taken = plan.matrix > 0
    return bool((taken.sum(dim=1) <= 1).all() and (taken.sum(dim=2) <= 1).all())


def test_greedy_is_not_the_assignment() -> None:
    cost = torch.tensor([[[0.0, 0.1], [0.2, 1.0]]])
    assert matches(Greedy().plan(cost, *uniform(2, 2)).matrix[0]) == {(0, 0), (1, 1)}
    assert matches(Assignment().plan(cost, *uniform(2, 2)).matrix[0]) == {(0, 1), (1, 0)}


@pytest.mark.parametrize(("m", "n"), [(5, 5), (3, 6), (6, 3), (1, 4)])
def test_the_assignment_is_the_least_of_all_matchings(m: int, n: int) -> None:
    cost = cosine_cost(4, m, n)
    plan = Assignment().plan(cost, *uniform(m, n, 4))
    assert one_to_one(plan)
    for row, c in enumerate(cost.transpose(1, 2) if m > n else cost):
        short, long = c.shape
        least = min(sum(c[i, j] for i, j in enumerate(chosen)) for chosen in permutations(range(long), short)) / short
        torch.testing.assert_close(plan.cost[row], least)


@pytest.mark.parametrize("coupling", [Greedy(), Assignment()])
@pytest.mark.parametrize(("m", "n"), [(4, 4), (7, 3), (2, 9)])
def test_a_matching_weighs_one_and_costs_the_mean_of_its_matches(coupling: Greedy | Assignment, m: int, n: int) -> None:
    cost = cosine_cost(2, m, n)
    plan = coupling.plan(cost, *uniform(m, n, 2))
    assert one_to_one(plan)
    taken = plan.matrix > 0
    assert (taken.sum(dim=(1, 2)) == min(m, n)).all()
    torch.testing.assert_close(plan.matrix[taken], torch.full((2 * min(m, n),), 1 / min(m, n)))
    torch.testing.assert_close(plan.cost, cost[taken].reshape(2, -1).mean(dim=1))
    if m == n:
        assert plan.marginal_error.max() < 1e-6
    else:
        assert plan.marginal_error.min() > 1e-3


def test_masses_weigh_the_matches() -> None:
    cost = 1 - torch.eye(2)[None]
    mu, nu = torch.tensor([[0.8, 0.2]]), torch.tensor([[0.6, 0.4]])
    for coupling in (Greedy(), Assignment()):
        torch.testing.assert_close(coupling.plan(cost, mu, nu).matrix[0], torch.diag(torch.tensor([0.75, 0.25])))


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 60), seed=st.integers(0, 10**6))
def test_of_equal_lengths_the_assignment_is_exact_transport(size: int, seed: int) -> None:
    cost, mass = cosine_cost(2, size, size, seed=seed), uniform(size, size, 2)
    torch.testing.assert_close(Assignment().plan(cost, *mass).cost, Exact().plan(cost, *mass).cost, atol=1e-5, rtol=0)


@settings(max_examples=40, deadline=None)
@given(m=st.integers(1, 40), n=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_the_assignment_costs_no_more_than_greedy_and_independence(m: int, n: int, seed: int) -> None:
    cost, mass = cosine_cost(2, m, n, seed=seed), uniform(m, n, 2)
    least = Assignment().plan(cost, *mass).cost
    assert (least <= Greedy().plan(cost, *mass).cost + 1e-6).all()
    assert (least <= cost.mean(dim=(1, 2)) + 1e-6).all()
