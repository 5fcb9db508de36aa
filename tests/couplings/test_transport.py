from __future__ import annotations

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from ot.batch import solve_batch
from torch import Tensor
from torch.nn import functional

from pyserini_optical.couplings import COUPLINGS, IPOT, Coupling, Exact, Sinkhorn, uniform_mass

Problem = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
SIZES = [(5, 7), (1, 1), (7, 1), (1, 4), (3, 3), (6, 7), (7, 2)]


def cosine_cost(pairs: int, m: int, n: int, *, seed: int = 0, dimension: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    source, target = (
        functional.normalize(torch.randn(pairs, size, dimension, generator=generator), dim=-1) for size in (m, n)
    )
    return 1 - source @ target.transpose(1, 2)


def random_mass(mask: Tensor, seed: int) -> Tensor:
    weight = mask * (0.2 + torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed)))
    return weight / weight.sum(dim=1, keepdim=True).clamp_min(1e-9)


def masked_batch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of different sizes in one batch, with uneven masses, padding in the middle too, and wild costs there."""
    m, n = (max(sizes) for sizes in zip(*SIZES, strict=True))
    cost = cosine_cost(len(SIZES), m, n, seed=seed)
    masks = []
    for size, width in ((0, m), (1, n)):
        order = torch.rand(len(SIZES), width, generator=torch.Generator().manual_seed(seed + size)).argsort(dim=1)
        masks.append(order < torch.tensor([sizes[size] for sizes in SIZES])[:, None])
    real = masks[0][:, :, None] & masks[1][:, None, :]
    return torch.where(real, cost, torch.tensor(77.0)), random_mass(masks[0], seed), random_mass(masks[1], seed + 1)


def each_pair(cost: Tensor, mu: Tensor, nu: Tensor) -> list[tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]]:
    """The pairs of a batch without their padding, as batches of one; the last is where their parts lie."""
    found = []
    for c, a, b in zip(cost, mu, nu, strict=True):
        rows, columns = a.nonzero()[:, 0], b.nonzero()[:, 0]
        found.append((c[rows][:, columns][None], a[rows][None], b[columns][None], (rows, columns)))
    return found


def reference_ipot(problem: Problem, beta: float, rounds: int, inner: int) -> NDArray[np.float64]:
    """Algorithm 1 of Xie et al., as it stands there, in float64."""
    cost, mu, nu = problem
    gibbs, plan, b = np.exp(-cost / beta), np.ones_like(cost), np.ones(len(nu)) / len(nu)
    for _ in range(rounds):
        q = gibbs * plan
        for _ in range(inner):
            a = mu / (q @ b)
            b = nu / (q.T @ a)
        plan = a[:, None] * q * b[None, :]
    return plan


def float64(cost: Tensor, mu: Tensor, nu: Tensor) -> Problem:
    """One pair for solvers that want their masses to sum to one in float64."""
    a, b = mu[0].double().numpy(), nu[0].double().numpy()
    return cost[0].double().numpy(), a / a.sum(), b / b.sum()


@pytest.mark.parametrize("inner", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_ipot_is_the_published_algorithm_pair_by_pair(seed: int, inner: int) -> None:
    cost, mu, nu = masked_batch(seed)
    plan = IPOT(beta=0.4, iterations=30, inner=inner).plan(cost, mu, nu)
    for row, (c, a, b, (rows, columns)) in enumerate(each_pair(cost, mu, nu)):
        expected = reference_ipot(float64(c, a, b), beta=0.4, rounds=30, inner=inner)
        np.testing.assert_allclose(plan.matrix[row][rows][:, columns].numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("seed", range(3))
def test_ipot_reaches_the_exact_cost_pair_by_pair(seed: int) -> None:
    cost, mu, nu = masked_batch(seed)
    plan = IPOT(iterations=2000).plan(cost, mu, nu)
    for row, (c, a, b, _) in enumerate(each_pair(cost, mu, nu)):
        c64, a64, b64 = float64(c, a, b)
        assert plan.cost[row].item() == pytest.approx(ot.emd2(a64, b64, c64), abs=1e-4)
    assert plan.marginal_error.max() < 1e-5


def test_fifty_iterations_come_within_a_hundredth_of_the_exact_cost() -> None:
    cost = cosine_cost(8, 30, 25)
    mass = [uniform_mass(torch.ones(8, size)) for size in (30, 25)]
    gap = IPOT().plan(cost, *mass).cost - Exact().plan(cost, *mass).cost
    assert gap.max() < 0.01
    assert gap.min() > -1e-3


@pytest.mark.parametrize("seed", range(3))
def test_exact_is_emd_pair_by_pair(seed: int) -> None:
    cost, mu, nu = masked_batch(seed)
    plan = Exact().plan(cost, mu, nu)
    for row, (c, a, b, (rows, columns)) in enumerate(each_pair(cost, mu, nu)):
        c64, a64, b64 = float64(c, a, b)
        assert plan.cost[row].item() == pytest.approx(ot.emd2(a64, b64, c64), abs=1e-6)
        np.testing.assert_allclose(plan.matrix[row][rows][:, columns].numpy(), ot.emd(a64, b64, c64), atol=1e-6)


@pytest.mark.parametrize("epsilon", [0.05, 0.1, 1.0])
def test_sinkhorn_is_pots_pair_by_pair(epsilon: float) -> None:
    cost, mu, nu = masked_batch()
    plan = Sinkhorn(epsilon=epsilon, iterations=5000, tolerance=1e-7).plan(cost, mu, nu)
    for row, (c, a, b, (rows, columns)) in enumerate(each_pair(cost, mu, nu)):
        c64, a64, b64 = float64(c, a, b)
        expected = ot.sinkhorn(a64, b64, c64, epsilon, method="sinkhorn_log", numItermax=20000, stopThr=1e-10)
        np.testing.assert_allclose(plan.matrix[row][rows][:, columns].numpy(), expected, atol=2e-5)


@pytest.mark.parametrize(
    ("coupling", "tolerance"),
    [(IPOT(), 1e-6), (Exact(), 1e-6), (Sinkhorn(tolerance=1e-12, iterations=200), 1e-6), (Sinkhorn(), 5e-4)],
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
    assert plan.matrix[0].sum().item() == pytest.approx(1, abs=1e-5)
    assert (plan.matrix[1:] == 0).all()
    assert (plan.cost[1:] == 0).all()
    assert (plan.marginal_error[1:] == 0).all()


@pytest.mark.parametrize("name", COUPLINGS)
def test_identical_and_opposite_tokens(name: str) -> None:
    coupling = COUPLINGS[name]()
    directions = torch.eye(6)[None]
    mass = uniform_mass(torch.ones(1, 6))
    same = coupling.plan(1 - directions @ directions.transpose(1, 2), mass, mass)
    torch.testing.assert_close(same.matrix[0], torch.eye(6) / 6, atol=1e-4, rtol=0)
    assert same.cost.item() == pytest.approx(0, abs=1e-4)
    one = torch.ones(1, 6, 1)
    opposite = coupling.plan(1 - one @ -one.transpose(1, 2), mass, mass)
    assert opposite.cost.item() == pytest.approx(2, abs=1e-5)
    alike = coupling.plan(1 - one @ one.transpose(1, 2), mass, mass)
    assert alike.cost.item() == pytest.approx(0, abs=1e-6)
    assert alike.marginal_error.item() < 1e-5


sizes = st.integers(1, 64)
# Sinkhorn with all its steps: POT looks at its error every tenth one, and a last digit may decide that it stops.
SINKHORN = Sinkhorn(epsilon=0.1, iterations=400, tolerance=1e-12)
iterative = st.sampled_from([IPOT(iterations=200), SINKHORN])


@settings(max_examples=40, deadline=None)
@given(m=sizes, n=sizes, seed=st.integers(0, 10**6), coupling=st.one_of(iterative, st.just(Exact())))
def test_marginals_hold_and_the_cost_is_between_exact_and_independent(
    m: int, n: int, seed: int, coupling: Coupling
) -> None:
    cost = cosine_cost(2, m, n, seed=seed)
    mu, nu = random_mass(torch.ones(2, m), seed), random_mass(torch.ones(2, n), seed + 1)
    plan = coupling.plan(cost, mu, nu)
    assert (plan.matrix >= 0).all()
    error = torch.maximum(
        (plan.matrix.sum(dim=2) - mu).abs().amax(dim=1), (plan.matrix.sum(dim=1) - nu).abs().amax(dim=1)
    )
    torch.testing.assert_close(plan.marginal_error, error, atol=1e-7, rtol=0)
    assert error.max() < 1e-3
    torch.testing.assert_close(plan.cost, (plan.matrix * cost).sum(dim=(1, 2)))
    independent = (mu[:, :, None] * nu[:, None, :] * cost).sum(dim=(1, 2))
    assert (plan.cost <= independent + 1e-3).all()
    assert (plan.cost >= Exact().plan(cost, mu, nu).cost - 2e-3).all()


@settings(max_examples=30, deadline=None)
@given(m=sizes, n=sizes, seed=st.integers(0, 10**6), coupling=iterative)
def test_permuting_the_tokens_permutes_the_plan(m: int, n: int, seed: int, coupling: Coupling) -> None:
    cost = cosine_cost(1, m, n, seed=seed)
    mu, nu = random_mass(torch.ones(1, m), seed), random_mass(torch.ones(1, n), seed + 1)
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.randperm(m, generator=generator), torch.randperm(n, generator=generator)
    plain = coupling.plan(cost, mu, nu)
    moved = coupling.plan(cost[:, rows][:, :, columns], mu[:, rows], nu[:, columns])
    torch.testing.assert_close(moved.matrix, plain.matrix[:, rows][:, :, columns], atol=1e-5, rtol=0)


@settings(max_examples=30, deadline=None)
@given(
    m=st.integers(1, 20), n=st.integers(1, 20), more=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    seed=st.integers(0, 10**6), coupling=st.sampled_from([IPOT(), SINKHORN, Exact()]),
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


@pytest.mark.parametrize(
    ("kind", "options"),
    [(IPOT, {"beta": 0}), (IPOT, {"iterations": 0}), (IPOT, {"inner": 0}), (Sinkhorn, {"epsilon": 0}),
     (Sinkhorn, {"iterations": 0}), (Sinkhorn, {"tolerance": 0})],
)  # fmt: skip
def test_impossible_options_are_refused(kind: type, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        kind(**options)


@pytest.mark.parametrize("name", COUPLINGS)
def test_shapes_that_do_not_fit_are_refused(name: str) -> None:
    cost, mass = cosine_cost(2, 3, 4), uniform_mass(torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"expected cost \(B, m, n\)"):
        COUPLINGS[name]().plan(cost, mass, mass)
    with pytest.raises(ValueError, match="no room"):
        COUPLINGS[name]().plan(cost[:, :0], mass[:, :0], uniform_mass(torch.ones(2, 4)))


def test_pots_own_batched_ipot_is_still_wrong() -> None:
    """The reason why IPOT is written here: POT 0.9.7's has the sign of the proximal term reversed."""
    cost = cosine_cost(8, 20, 20)
    mass = uniform_mass(torch.ones(8, 20))
    found = solve_batch(cost, a=mass, b=mass, method="proximal", grad="detach")
    exact, independent = Exact().plan(cost, mass, mass).cost, cost.mean(dim=(1, 2))
    assert (independent - exact).min() > 0.2
    advice = (
        "POT's batched `proximal` is mended: use it in couplings.IPOT if it handles zero mass too, and drop this test"
    )
    assert (found.value_linear - independent).abs().max() < 0.01, advice


def test_pots_own_batched_ipot_still_fails_on_padding() -> None:
    mass = uniform_mass(torch.arange(20)[None] < 15)
    found = solve_batch(cosine_cost(1, 20, 20), a=mass, b=mass, method="proximal", grad="detach")
    assert torch.isnan(found.plan).any(), "POT's batched `proximal` handles zero mass now: see the test above"
