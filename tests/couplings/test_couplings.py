from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from problems import cosine_cost, each_pair, masked_batch, weighted_problem
from torch import Tensor
from torch.nn import functional

from pyserini_optical.couplings import (
    COUPLINGS,
    IPOT,
    Assignment,
    Coupling,
    Exact,
    Greedy,
    Nearest,
    Positional,
    Sinkhorn,
    Unbalanced,
    uniform_mass,
)

# Sinkhorn with all its steps: POT looks at its error every tenth one, and a last digit may decide that it stops.
SINKHORN = Sinkhorn(epsilon=0.1, iterations=400, tolerance=1e-12)
# By what the property tests may ask of them; every coupling of the registry is in one of these lists (tested).
MEETS_BOTH_MASSES: list[Coupling] = [IPOT(iterations=100, inner=20), SINKHORN, Exact(), Positional()]
MEETS_ONE_OR_NONE: list[Coupling] = [Nearest(), Nearest(both=True), Greedy(), Assignment(), Unbalanced()]
EVERY = MEETS_BOTH_MASSES + MEETS_ONE_OR_NONE

sizes = st.integers(1, 64)
seeds = st.integers(0, 10**6)


def test_every_coupling_of_the_registry_is_tested_here() -> None:
    assert {type(coupling) for coupling in EVERY} == set(COUPLINGS.values())


@pytest.mark.parametrize(
    ("coupling", "tolerance"),
    [(IPOT(), 1e-6), (Sinkhorn(tolerance=1e-12, iterations=200), 1e-6), (Sinkhorn(), 5e-4), (Nearest(both=True), 1e-6)]
    + [(COUPLINGS[name](), 1e-6) for name in ("exact", "unbalanced", "greedy", "assignment", "nearest", "positional")],
)
def test_a_masked_batch_equals_its_pairs_one_by_one(coupling: Coupling, tolerance: float) -> None:
    cost, mu, nu = masked_batch(5)
    plan = coupling.plan(cost, mu, nu)
    for row, (c, a, b, (rows, columns)) in enumerate(each_pair(cost, mu, nu)):
        alone = coupling.plan(c, a, b)
        torch.testing.assert_close(plan.matrix[row][rows][:, columns], alone.matrix[0], atol=tolerance, rtol=0)
        torch.testing.assert_close(plan.cost[row], alone.cost[0], atol=tolerance, rtol=0)
    outside = ~((mu > 0)[:, :, None] & (nu > 0)[:, None, :])
    assert (plan.matrix[outside] == 0).all()
    assert (plan.source_mask == (mu > 0)).all()
    assert (plan.target_mask == (nu > 0)).all()


@pytest.mark.parametrize("name", COUPLINGS)
def test_empty_sides_give_the_zero_plan(name: str) -> None:
    cost = cosine_cost(4, 3, 5)
    source = torch.tensor([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0]])
    target = torch.tensor([[1, 1, 0, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    plan = COUPLINGS[name]().plan(cost, uniform_mass(source), uniform_mass(target))
    assert torch.isfinite(plan.matrix).all()
    mass = plan.matrix[0].sum().item()
    assert 0.1 < mass < 1 if name == "unbalanced" else mass == pytest.approx(1, abs=1e-5)
    assert (plan.matrix[1:] == 0).all()
    assert (plan.cost[1:] == 0).all()
    assert (plan.marginal_error[1:] == 0).all()


@pytest.mark.parametrize("coupling", [c for c in EVERY if not isinstance(c, Unbalanced)], ids=repr)
def test_identical_and_opposite_tokens(coupling: Coupling) -> None:
    directions = torch.eye(6)[None]
    mass = uniform_mass(torch.ones(1, 6))
    same = coupling.plan(1 - directions @ directions.transpose(1, 2), mass, mass)
    # Sinkhorn at 0.1 leaves e^-10 of each token elsewhere.
    torch.testing.assert_close(same.matrix[0], torch.eye(6) / 6, atol=1e-4, rtol=0)
    assert same.cost.item() == pytest.approx(0, abs=3e-4)
    one = torch.ones(1, 6, 1)
    opposite = coupling.plan(1 - one @ -one.transpose(1, 2), mass, mass)
    assert opposite.cost.item() == pytest.approx(2, abs=1e-5)
    alike = coupling.plan(1 - one @ one.transpose(1, 2), mass, mass)
    assert alike.cost.item() == pytest.approx(0, abs=1e-6)
    assert alike.matrix.sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("coupling", EVERY, ids=repr)
def test_tokens_that_cannot_be_told_apart_give_finite_plans(coupling: Coupling) -> None:
    # Zero vectors: their cosine counts as zero, so every cost is one.
    mass = uniform_mass(torch.ones(2, 5)), uniform_mass(torch.ones(2, 8))
    plan = coupling.plan(torch.ones(2, 5, 8), *mass)
    assert torch.isfinite(plan.matrix).all()
    torch.testing.assert_close(plan.cost, plan.matrix.sum(dim=(1, 2)))
    assert torch.equal(plan.matrix[0], plan.matrix[1])


@settings(max_examples=60, deadline=None)
@given(m=sizes, n=sizes, seed=seeds, coupling=st.sampled_from(MEETS_BOTH_MASSES))
def test_the_masses_are_met_and_no_cost_is_below_the_exact_one(m: int, n: int, seed: int, coupling: Coupling) -> None:
    cost, mu, nu = weighted_problem(2, m, n, seed)
    plan = coupling.plan(cost, mu, nu)
    assert plan.marginal_error.max() < 1e-4
    assert (plan.cost >= Exact().plan(cost, mu, nu).cost - 2e-4).all()
    if not isinstance(coupling, Positional):
        independent = (mu[:, :, None] * nu[:, None, :] * cost).sum(dim=(1, 2))
        assert (plan.cost <= independent + 2e-4).all()


@settings(max_examples=60, deadline=None)
@given(m=sizes, n=sizes, seed=seeds, coupling=st.sampled_from(EVERY))
def test_a_plan_says_its_cost_and_how_far_it_is_from_the_masses(m: int, n: int, seed: int, coupling: Coupling) -> None:
    cost, mu, nu = weighted_problem(2, m, n, seed)
    plan = coupling.plan(cost, mu, nu)
    assert (plan.matrix >= 0).all()
    rows, columns = plan.matrix.sum(dim=2) - mu, plan.matrix.sum(dim=1) - nu
    error = torch.maximum(rows.abs().amax(dim=1), columns.abs().amax(dim=1))
    torch.testing.assert_close(plan.marginal_error, error, atol=1e-6, rtol=0)
    torch.testing.assert_close(plan.cost, (plan.matrix * cost).sum(dim=(1, 2)), atol=1e-6, rtol=1e-5)
    if not isinstance(coupling, Unbalanced):
        torch.testing.assert_close(plan.matrix.sum(dim=(1, 2)), torch.ones(2), atol=1e-4, rtol=0)


@settings(max_examples=60, deadline=None)
@given(m=sizes, n=sizes, seed=seeds, coupling=st.sampled_from([c for c in EVERY if not isinstance(c, Positional)]))
def test_permuting_the_tokens_permutes_the_plan(m: int, n: int, seed: int, coupling: Coupling) -> None:
    cost, mu, nu = weighted_problem(1, m, n, seed)
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.randperm(m, generator=generator), torch.randperm(n, generator=generator)
    plain = coupling.plan(cost, mu, nu)
    moved = coupling.plan(cost[:, rows][:, :, columns], mu[:, rows], nu[:, columns])
    torch.testing.assert_close(moved.matrix, plain.matrix[:, rows][:, :, columns], atol=2e-5, rtol=0)


@settings(max_examples=60, deadline=None)
@given(
    m=st.integers(1, 20), n=st.integers(1, 20), more=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    seed=seeds, coupling=st.sampled_from(EVERY),
)  # fmt: skip
def test_padding_changes_nothing(m: int, n: int, more: tuple[int, int], seed: int, coupling: Coupling) -> None:
    cost = cosine_cost(1, m, n, seed=seed)
    mu, nu = uniform_mass(torch.ones(1, m)), uniform_mass(torch.ones(1, n))
    padded = functional.pad(cost, (0, more[1], 0, more[0]), value=-3.0)
    plain = coupling.plan(cost, mu, nu)
    plan = coupling.plan(padded, functional.pad(mu, (0, more[0])), functional.pad(nu, (0, more[1])))
    torch.testing.assert_close(plan.matrix[:, :m, :n], plain.matrix, atol=1e-5, rtol=0)
    assert (plan.matrix[:, m:] == 0).all()
    assert (plan.matrix[:, :, n:] == 0).all()
    torch.testing.assert_close(plan.cost, plain.cost, atol=1e-5, rtol=0)


@settings(max_examples=30, deadline=None)
@given(m=sizes, n=sizes, seed=seeds, coupling=st.sampled_from(EVERY))
@example(m=512, n=512, seed=1, coupling=IPOT())
@example(m=512, n=300, seed=1, coupling=Greedy())
@example(m=300, n=512, seed=1, coupling=Assignment())
@example(m=512, n=512, seed=1, coupling=Unbalanced())
@example(m=512, n=512, seed=1, coupling=Positional())
def test_float64_costs_are_float32_costs_and_bfloat16_ones_cost_little_more(
    m: int, n: int, seed: int, coupling: Coupling
) -> None:
    cost = cosine_cost(1, m, n, seed=seed)
    mass = uniform_mass(torch.ones(1, m)), uniform_mass(torch.ones(1, n))
    plan = coupling.plan(cost, *mass)
    double = coupling.plan(cost.double(), *(x.double() for x in mass))
    assert torch.equal(double.matrix, plan.matrix)
    # bfloat16 keeps 8 bits: a cost is off by up to 1/256 of itself, and so is the optimum; a greedy walk may turn.
    rounded = coupling.plan(cost.bfloat16(), *mass)
    found = (rounded.matrix * cost).sum()
    if not isinstance(coupling, Greedy):
        torch.testing.assert_close(found, plan.cost[0], atol=2e-2, rtol=0)


@pytest.mark.parametrize("name", COUPLINGS)
def test_plans_carry_no_gradient_and_leave_half_precision_alone(name: str) -> None:
    cost = cosine_cost(2, 4, 5).requires_grad_()
    mass = uniform_mass(torch.ones(2, 4)), uniform_mass(torch.ones(2, 5))
    plan = COUPLINGS[name]().plan(cost, *mass)
    assert not any(part.requires_grad for part in (plan.matrix, plan.cost, plan.marginal_error))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = COUPLINGS[name]().plan(cost, *mass)
    assert inside.matrix.dtype == torch.float32
    assert torch.equal(inside.matrix, plan.matrix)
    assert COUPLINGS[name]().plan(cost.to(torch.bfloat16), *mass).matrix.dtype == torch.float32


def test_uniform_mass_leaves_empty_rows_empty() -> None:
    mass = uniform_mass(torch.tensor([[1, 1, 0, 1], [0, 0, 0, 0]]))
    torch.testing.assert_close(mass, torch.tensor([[1 / 3, 1 / 3, 0, 1 / 3], [0, 0, 0, 0]]))


@pytest.mark.parametrize("name", COUPLINGS)
def test_shapes_that_do_not_fit_are_refused(name: str) -> None:
    cost, mass = cosine_cost(2, 3, 4), uniform_mass(torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"expected cost \(B, m, n\)"):
        COUPLINGS[name]().plan(cost, mass, mass)
    with pytest.raises(ValueError, match="no room"):
        COUPLINGS[name]().plan(cost[:, :0], mass[:, :0], uniform_mass(torch.ones(2, 4)))


def nearest_by_hand(cost: Tensor) -> Tensor:
    plan = torch.zeros_like(cost)
    for column in range(cost.shape[1]):
        plan[int(cost[:, column].argmin()), column] = 1 / cost.shape[1]
    return plan


def test_nearest_gives_each_student_token_its_nearest_teacher_token() -> None:
    cost = cosine_cost(1, 5, 7)
    mass = uniform_mass(torch.ones(1, 5)), uniform_mass(torch.ones(1, 7))
    torch.testing.assert_close(Nearest().plan(cost, *mass).matrix[0], nearest_by_hand(cost[0]))
    both = (nearest_by_hand(cost[0]) + nearest_by_hand(cost[0].T).T) / 2
    torch.testing.assert_close(Nearest(both=True).plan(cost, *mass).matrix[0], both)
    ties = Nearest().plan(torch.zeros(1, 5, 7), *mass).matrix[0]
    torch.testing.assert_close(ties[0], mass[1][0])
    assert (Nearest().plan(cost, *mass).cost <= Exact().plan(cost, *mass).cost + 1e-6).all()


def test_positional_lays_the_sentences_over_each_other() -> None:
    cost = torch.zeros(2, 4, 4)
    mu = uniform_mass(torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]))
    nu = uniform_mass(torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]))
    plan = Positional().plan(cost, mu, nu)
    torch.testing.assert_close(plan.matrix[0], torch.eye(4) / 4)
    expected = torch.tensor([[2, 1, 0, 0], [0, 1, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]]) / 6
    torch.testing.assert_close(plan.matrix[1], expected)
