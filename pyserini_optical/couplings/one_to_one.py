r"""One-to-one couplings: every token has at most one partner, and each match the same weight.

A matching M of k = min(m, n) pairs becomes the plan

.. math::
    T_{ij} = [ij \in M]\, \frac{\min(\mu_i, \nu_j)}{\sum_{i'j' \in M} \min(\mu_{i'}, \nu_{j'})}

so its mass is one, as a transport plan's, and :math:`\langle T, C \rangle` is the mean cost of the matched pairs: the
objective is on the same scale for every coupling. With uniform masses every match weighs 1/k. The marginals hold only
where both sides have the same masses; tokens of the longer side that are left over take no part. That matches are
weighted so is our choice.

References
----------
.. [1] Li et al. Learning Cross-Lingual IR from an English Retriever. NAACL 2022. arXiv:2112.08185.
.. [2] Kuhn. The Hungarian Method for the Assignment Problem. Naval Research Logistics Quarterly 2, 1955.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pyserini_optical.couplings.greedy import greedy_partners
from pyserini_optical.couplings.plan import Plan, make_plan, prepare


@dataclass(frozen=True)
class Greedy:
    """DR.DECR's alignment: take the pair of least cost, remove its row and its column, and so on [1]_."""

    def plan(self, cost: Tensor, source_mass: Tensor, target_mass: Tensor) -> Plan:
        """Match the tokens of each pair in a batch; see :meth:`Coupling.plan`.

        Raises
        ------
        ValueError
            Shapes that do not fit, or more than 16,384 tokens.
        """
        cost, mu, nu = prepare(cost, source_mass, target_mass)
        return _matched(greedy_partners(cost, mu, nu), cost, mu, nu)


@dataclass(frozen=True)
class Assignment:
    """The one-to-one matching of least total cost (the assignment problem), by SciPy, pair by pair on the CPU [2]_."""

    def plan(self, cost: Tensor, source_mass: Tensor, target_mass: Tensor) -> Plan:
        """Match the tokens of each pair in a batch; see :meth:`Coupling.plan`."""
        from scipy.optimize import linear_sum_assignment

        cost, mu, nu = prepare(cost, source_mass, target_mass)
        partner = np.full(tuple(mu.shape), -1)
        costs, sources, targets = (x.cpu().double().numpy() for x in (cost, mu, nu))
        for found, c, a, b in zip(partner, costs, sources, targets, strict=True):
            rows, columns = np.flatnonzero(a), np.flatnonzero(b)
            # SciPy refuses NaN; here it shall show in the cost, as with any other coupling.
            matched = linear_sum_assignment(np.nan_to_num(c[np.ix_(rows, columns)]))
            found[rows[matched[0]]] = columns[matched[1]]
        return _matched(torch.from_numpy(partner).to(cost.device), cost, mu, nu)


def _matched(partner: Tensor, cost: Tensor, mu: Tensor, nu: Tensor) -> Plan:
    """Make a plan of each source token's partner, shape (B, m); -1 where it has none."""
    places = partner.clamp_min(0)
    mass = torch.minimum(mu, nu.gather(1, places)) * (partner >= 0)
    mass = mass / mass.sum(dim=1, keepdim=True).clamp_min(torch.finfo(mass.dtype).tiny)
    return make_plan(torch.zeros_like(cost).scatter_(2, places[:, :, None], mass[:, :, None]), cost, mu, nu)
