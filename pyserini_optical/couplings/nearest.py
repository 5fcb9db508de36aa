"""Nearest token: every student token goes to the teacher token that is nearest to it, whatever the others do."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyserini_optical.couplings.plan import Plan, make_plan, prepare


@dataclass(frozen=True)
class Nearest:
    r"""Each target token gives all its mass to the source token of least cost; of equal costs to the first.

    .. math::
        T_{ij} = \nu_j\, [i = \arg\min_{i'} C_{i'j}]

    This is transport without the condition on the source side: its cost is never above the exact plan's. In token
    alignment the teacher is the source and the student the target, so no student token is left without a teacher, but
    teacher tokens may be.

    Parameters
    ----------
    both : bool
        Whether the source tokens seek their nearest target tokens too; the plan is then the mean of both directions.
    """

    both: bool = False

    def plan(self, cost: Tensor, source_mass: Tensor, target_mass: Tensor) -> Plan:
        """Match the tokens of each pair in a batch; see :meth:`Coupling.plan`."""
        cost, mu, nu = prepare(cost, source_mass, target_mass)
        with torch.no_grad():
            matrix = _to_nearest(cost, mu, nu)
            if self.both:
                matrix = (matrix + _to_nearest(cost.transpose(1, 2), nu, mu).transpose(1, 2)) / 2
            return make_plan(matrix, cost, mu, nu)


def _to_nearest(cost: Tensor, source_mass: Tensor, target_mass: Tensor) -> Tensor:
    """Give each column's mass to its least entry among the rows with mass."""
    nearest = cost.masked_fill((source_mass <= 0)[:, :, None], torch.inf).argmin(dim=1, keepdim=True)
    return torch.zeros_like(cost).scatter_(1, nearest, target_mass[:, None, :])
