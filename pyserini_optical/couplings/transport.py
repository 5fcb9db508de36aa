r"""Optimal transport between two token sequences.

.. math::
    T^* = \arg\min_{T \ge 0,\ T 1 = \mu,\ T^\top 1 = \nu} \langle T, C \rangle
    \; (+\ \varepsilon \sum_{ij} T_{ij} \log T_{ij})

Three solvers of one problem: :class:`IPOT` (proximal point, the default), :class:`Sinkhorn` (entropic, by POT) and
:class:`Exact` (network simplex, by POT).

References
----------
.. [1] Huang, Yu, Allan. Improving Cross-lingual Information Retrieval on Low-Resource Languages via Optimal Transport
   Distillation. WSDM 2023. arXiv:2301.12566.
.. [2] Xie, Wang, Wang, Zha. A Fast Proximal Point Method for Computing Exact Wasserstein Distance. UAI 2020,
   Algorithm 1.
.. [3] Cuturi. Sinkhorn Distances: Lightspeed Computation of Optimal Transport. NeurIPS 2013.
.. [4] Flamary et al. POT: Python Optimal Transport. JMLR 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pyserini_optical.couplings.plan import Plan, make_plan

# Stands for log 0: far below any real entry, and finite, so that no difference of two of them is NaN.
_LOG_ZERO = -1e30


def _prepare(cost: Tensor, source_mass: Tensor, target_mass: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if cost.dim() != 3 or source_mass.shape != cost.shape[:2] or target_mass.shape != (cost.shape[0], cost.shape[2]):
        shapes = f"{tuple(cost.shape)}, {tuple(source_mass.shape)}, {tuple(target_mass.shape)}"
        raise ValueError(f"expected cost (B, m, n), source mass (B, m) and target mass (B, n), got {shapes}")
    if 0 in cost.shape:
        raise ValueError(
            f"no room for a pair or a token in a cost of shape {tuple(cost.shape)}; zero mass marks padding"
        )
    return cost.detach().float(), source_mass.detach().float(), target_mass.detach().float()


@dataclass(frozen=True)
class IPOT:
    r"""Inexact proximal point transport: each outer step solves transport plus a proximal term by Sinkhorn scaling.

    .. math::
        T^{(k+1)} = \arg\min_T \langle T, C \rangle + \beta\, \mathrm{KL}(T \,\|\, T^{(k)})

    Padding is masked in the log domain, so a batch gives the same plans as its pairs one by one. POT 0.9.7's batched
    ``proximal`` solver has the sign of the proximal term reversed and returns the independent plan; hence this one.

    Parameters
    ----------
    beta : float
        Step size of the proximal term, in units of cost.
    iterations : int
        Outer steps.
    inner : int
        Scaling steps within each outer step.

    Notes
    -----
    0.5, 50 and 1 are the usual defaults of public IPOT code; the OPTICAL paper's values are not known to us [1]_, [2]_.
    """

    beta: float = 0.5
    iterations: int = 50
    inner: int = 1

    def __post_init__(self) -> None:
        if self.beta <= 0 or self.iterations < 1 or self.inner < 1:
            raise ValueError(f"IPOT needs beta > 0, iterations >= 1 and inner >= 1, got {self}")

    def plan(self, cost: Tensor, source_mass: Tensor, target_mass: Tensor) -> Plan:
        """Match the tokens of each pair in a batch; see :meth:`Coupling.plan`."""
        cost, mu, nu = _prepare(cost, source_mass, target_mass)
        with torch.no_grad(), torch.autocast(cost.device.type, enabled=False):
            real = (mu > 0)[:, :, None] & (nu > 0)[:, None, :]
            log_mu = torch.where(mu > 0, mu.clamp_min(1e-38).log(), _LOG_ZERO)
            log_nu = torch.where(nu > 0, nu.clamp_min(1e-38).log(), _LOG_ZERO)
            step = cost / self.beta
            log_plan = torch.where(real, cost.new_zeros(()), _LOG_ZERO)
            target_scale = torch.zeros_like(nu)
            for _ in range(self.iterations):
                kernel = log_plan - step
                for _ in range(self.inner):
                    source_scale = log_mu - torch.logsumexp(kernel + target_scale[:, None, :], dim=2)
                    source_scale = source_scale.masked_fill(mu <= 0, 0.0)
                    target_scale = log_nu - torch.logsumexp(kernel + source_scale[:, :, None], dim=1)
                    target_scale = target_scale.masked_fill(nu <= 0, 0.0)
                log_plan = torch.where(real, kernel + source_scale[:, :, None] + target_scale[:, None, :], _LOG_ZERO)
            return make_plan(log_plan.exp(), cost, mu, nu)


@dataclass(frozen=True)
class Sinkhorn:
    r"""Entropic transport by POT's batched log-domain Sinkhorn [3]_, [4]_.

    .. math::
        \arg\min_T \langle T, C \rangle + \varepsilon \sum_{ij} T_{ij} \log T_{ij}

    Parameters
    ----------
    epsilon : float
        Weight of the entropy, in units of cost; 0.05 to 0.1 keeps plans sharp at cosine costs.
    iterations : int
        Scaling steps at most.
    tolerance : float
        POT stops when the worst pair's marginal error is below it.
    """

    epsilon: float = 0.05
    iterations: int = 200
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        if self.epsilon <= 0 or self.iterations < 1 or self.tolerance <= 0:
            raise ValueError(f"Sinkhorn needs epsilon > 0, iterations >= 1 and tolerance > 0, got {self}")

    def plan(self, cost: Tensor, source_mass: Tensor, target_mass: Tensor) -> Plan:
        """Match the tokens of each pair in a batch; see :meth:`Coupling.plan`."""
        from ot.batch import solve_batch

        cost, mu, nu = _prepare(cost, source_mass, target_mass)
        with torch.no_grad(), torch.autocast(cost.device.type, enabled=False):
            # A pair with an empty side has no solution; it takes part as a copy of the uniform one and is zeroed after.
            empty = ((mu.sum(dim=1) <= 0) | (nu.sum(dim=1) <= 0))[:, None]
            a = torch.where(empty, torch.full_like(mu, 1.0 / mu.shape[1]), mu)
            b = torch.where(empty, torch.full_like(nu, 1.0 / nu.shape[1]), nu)
            result = solve_batch(
                cost,
                reg=self.epsilon,
                a=a,
                b=b,
                max_iter=self.iterations,
                tol=self.tolerance,
                method="log_sinkhorn",
                grad="detach",
            )
            return make_plan(result.plan, cost, mu, nu)


@dataclass(frozen=True)
class Exact:
    """Exact transport by POT's network simplex, pair by pair on the CPU: for checks and small studies [4]_."""

    def plan(self, cost: Tensor, source_mass: Tensor, target_mass: Tensor) -> Plan:
        """Match the tokens of each pair in a batch; see :meth:`Coupling.plan`."""
        import ot

        cost, mu, nu = _prepare(cost, source_mass, target_mass)
        matrix = np.zeros(tuple(cost.shape))
        costs, sources, targets = (x.cpu().double().numpy() for x in (cost, mu, nu))
        for plan, c, a, b in zip(matrix, costs, sources, targets, strict=True):
            rows, columns = np.flatnonzero(a), np.flatnonzero(b)
            if rows.size and columns.size:
                # The simplex wants equal sums to float64; float32 masses differ in the last digits.
                solution = ot.emd(
                    a[rows] / a[rows].sum(), b[columns] / b[columns].sum(), c[np.ix_(rows, columns)].copy()
                )
                plan[np.ix_(rows, columns)] = solution
        return make_plan(torch.from_numpy(matrix).to(cost), cost, mu, nu)
