from __future__ import annotations

import numpy as np
import ot
import pytest
import torch
from numpy.typing import NDArray
from ot.batch import solve_batch
from problems import Problem, cosine_cost, each_pair, float64, masked_batch
from torch import Tensor

from pyserini_optical.couplings import IPOT, Exact, Sinkhorn, Unbalanced, uniform_mass


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


def logarithmic_ipot(cost: Tensor, mu: Tensor, nu: Tensor, beta: float, rounds: int) -> Tensor:
    """The same on logarithms, which bear any step, in float64."""
    step, log_plan, g = cost[0].double() / beta, torch.zeros(cost.shape[1:], dtype=torch.float64), torch.zeros(1)
    log_mu, log_nu = mu[0].double().log(), nu[0].double().log()
    for _ in range(rounds):
        kernel = log_plan - step
        f = log_mu - torch.logsumexp(kernel + g, dim=1)
        g = log_nu - torch.logsumexp(kernel + f[:, None], dim=0)
        log_plan = kernel + f[:, None] + g
    return log_plan.exp()


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
    ("kind", "options"),
    [(IPOT, {"beta": 0}), (IPOT, {"iterations": 0}), (IPOT, {"inner": 0}), (Sinkhorn, {"epsilon": 0}),
     (Sinkhorn, {"iterations": 0}), (Sinkhorn, {"tolerance": 0}),
     (Unbalanced, {"epsilon": 0}), (Unbalanced, {"rho": 0}), (Unbalanced, {"iterations": 0})],
)  # fmt: skip
def test_impossible_options_are_refused(kind: type, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        kind(**options)


@pytest.mark.parametrize(("epsilon", "rho"), [(0.05, 0.5), (0.1, 0.2), (0.5, 5.0), (0.01, 0.5)])
def test_unbalanced_is_pots_pair_by_pair(epsilon: float, rho: float) -> None:
    cost, mu, nu = masked_batch()
    plan = Unbalanced(epsilon=epsilon, rho=rho, iterations=2000).plan(cost, mu, nu)
    for row, (c, a, b, (rows, columns)) in enumerate(each_pair(cost, mu, nu)):
        c64, a64, b64 = float64(c, a, b)
        expected = ot.unbalanced.sinkhorn_unbalanced(a64, b64, c64, epsilon, rho, numItermax=20000, stopThr=1e-12)
        np.testing.assert_allclose(plan.matrix[row][rows][:, columns].numpy(), expected, atol=2e-5)


def test_unbalanced_leaves_a_token_without_a_counterpart() -> None:
    cost = torch.tensor([[[0.1, 1.5], [1.5, 1.6]]])
    mass = uniform_mass(torch.ones(1, 2))
    weight = {rho: Unbalanced(rho=rho).plan(cost, mass, mass).matrix.sum(dim=2)[0] for rho in (0.2, 50.0)}
    assert weight[0.2][1] < 0.1 * weight[0.2][0]
    torch.testing.assert_close(weight[50.0], mass[0], atol=0.02, rtol=0)


@pytest.mark.parametrize("beta", [1e-4, 0.01, 0.02, 0.05, 0.5, 20.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_ipot_is_the_same_where_a_kernel_would_leave_the_range_of_float32(beta: float, scale: float) -> None:
    cost, mu, nu = masked_batch(3)
    plan = IPOT(beta=beta, iterations=40).plan(scale * cost, mu, nu)
    for row, (c, a, b, (rows, columns)) in enumerate(each_pair(cost, mu, nu)):
        expected = logarithmic_ipot(scale * c, a, b, beta, rounds=40)
        # What float32 loses of cost / beta cannot be had back.
        tolerance = max(2e-6, 4e-7 * scale / beta)
        torch.testing.assert_close(plan.matrix[row][rows][:, columns].double(), expected, atol=tolerance, rtol=0)


def test_ipot_keeps_its_exactness_over_many_absorptions() -> None:
    cost = cosine_cost(4, 20, 24, seed=2)
    mass = [uniform_mass(torch.ones(4, size)) for size in (20, 24)]
    plan = IPOT(beta=0.1, iterations=400).plan(cost, *mass)
    for row in range(4):
        one = slice(row, row + 1)
        expected = logarithmic_ipot(cost[one], mass[0][one], mass[1][one], beta=0.1, rounds=400)
        torch.testing.assert_close(plan.matrix[row].double(), expected, atol=1e-5, rtol=0)


def test_masses_too_small_for_numbers_are_scaled_by_their_logarithms() -> None:
    cost = cosine_cost(1, 3, 3)
    tiny = torch.tensor([[0.5, 0.5, 1e-37]])
    plan = IPOT(beta=0.1).plan(cost, tiny, uniform_mass(torch.ones(1, 3)))
    assert torch.isfinite(plan.matrix).all()
    assert plan.marginal_error.item() < 1e-3


def test_a_cost_that_is_not_a_number_spoils_its_own_pair_alone() -> None:
    cost, mass = cosine_cost(2, 4, 4), uniform_mass(torch.ones(2, 4))
    whole = IPOT().plan(cost, mass, mass)
    cost[0, 1, 2] = torch.nan
    plan = IPOT().plan(cost, mass, mass)
    assert torch.isnan(plan.cost[0])
    torch.testing.assert_close(plan.matrix[1], whole.matrix[1], atol=2e-6, rtol=0)


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
