"""Positional coupling: tokens are matched by where they stand, whatever they are; a control for all the others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyserini_optical.couplings.plan import Plan, make_plan, prepare


@dataclass(frozen=True)
class Positional:
    r"""The monotone transport plan: both sentences are laid over each other from end to end, the shorter one stretched.

    .. math::
        T_{ij} = \bigl[\min(M_i, N_j) - \max(M_{i-1}, N_{j-1})\bigr]_+, \qquad
        M_i = \sum_{i' \le i} \mu_{i'}, \quad N_j = \sum_{j' \le j} \nu_{j'}

    The marginals hold; sentences of equal length and masses are matched token by token. It does not look at the cost.
    """

    def plan(self, cost: Tensor, source_mass: Tensor, target_mass: Tensor) -> Plan:
        """Match the tokens of each pair in a batch; see :meth:`Coupling.plan`."""
        cost, mu, nu = prepare(cost, source_mass, target_mass)
        with torch.no_grad():
            # In float64, so that ends which should coincide do so beyond float32's last digit.
            source_end, target_end = mu.double().cumsum(dim=1), nu.double().cumsum(dim=1)
            source_start, target_start = source_end - mu, target_end - nu
            end = torch.minimum(source_end[:, :, None], target_end[:, None, :])
            start = torch.maximum(source_start[:, :, None], target_start[:, None, :])
            return make_plan((end - start).clamp_min(0).to(cost.dtype), cost, mu, nu)
