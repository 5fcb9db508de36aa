"""What every coupling gives: which token of one side goes with which token of the other, and how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Plan:
    r"""A batch of couplings between two token sequences.

    Attributes
    ----------
    matrix : Tensor, shape (B, m, n)
        :math:`T_{ij} \ge 0`, the mass that goes from source token i to target token j; no gradient, zero in padding.
    cost : Tensor, shape (B,)
        :math:`\langle T, C \rangle`, at the cost that was given; no gradient.
    marginal_error : Tensor, shape (B,)
        The largest absolute difference between the plan's row or column sums and the masses that were asked for.
    source_mask, target_mask : Tensor of bool, shapes (B, m) and (B, n)
        True where a token has mass.
    """

    matrix: Tensor
    cost: Tensor
    marginal_error: Tensor
    source_mask: Tensor
    target_mask: Tensor


class Coupling(Protocol):
    """How two token sequences are matched: the only thing that differs between OPTICAL and its rivals."""

    def plan(self, cost: Tensor, source_mass: Tensor, target_mass: Tensor) -> Plan:
        r"""Match the tokens of each pair in a batch.

        Parameters
        ----------
        cost : Tensor, shape (B, m, n)
            :math:`C_{ij}`, finite, any floating type; it is used in float32 and without gradient.
        source_mass, target_mass : Tensor, shapes (B, m) and (B, n)
            Non-negative, each row summing to one; zero marks padding. A pair with an empty side gets the zero plan.
        """
        ...


def uniform_mass(mask: Tensor) -> Tensor:
    """Give every real token the same mass, summing to one in each row (rows without tokens stay zero).

    Parameters
    ----------
    mask : Tensor, shape (B, n)
        True or 1 where there is a token.
    """
    weight = mask.to(torch.float32)
    return weight / weight.sum(dim=-1, keepdim=True).clamp_min(1.0)


def prepare(cost: Tensor, source_mass: Tensor, target_mass: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Check what :meth:`Coupling.plan` was given, and give it in float32 and without gradient.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a batch without a pair or without room for a token.
    """
    if cost.dim() != 3 or source_mass.shape != cost.shape[:2] or target_mass.shape != (cost.shape[0], cost.shape[2]):
        shapes = f"{tuple(cost.shape)}, {tuple(source_mass.shape)}, {tuple(target_mass.shape)}"
        raise ValueError(f"expected cost (B, m, n), source mass (B, m) and target mass (B, n), got {shapes}")
    if 0 in cost.shape:
        raise ValueError(
            f"no room for a pair or a token in a cost of shape {tuple(cost.shape)}; zero mass marks padding"
        )
    return cost.detach().float(), source_mass.detach().float(), target_mass.detach().float()


def make_plan(matrix: Tensor, cost: Tensor, source_mass: Tensor, target_mass: Tensor) -> Plan:
    """Wrap a finished matrix (shape (B, m, n)) as a :class:`Plan`: padding and pairs with an empty side become zero."""
    source_mask, target_mask = source_mass > 0, target_mass > 0
    real = source_mask[:, :, None] & target_mask[:, None, :]
    matrix = torch.where(real, matrix, matrix.new_zeros(()))
    wanted = (source_mask.any(dim=1) & target_mask.any(dim=1))[:, None]
    rows = (matrix.sum(dim=2) - source_mass * wanted).abs().amax(dim=1)
    columns = (matrix.sum(dim=1) - target_mass * wanted).abs().amax(dim=1)
    return Plan(
        matrix=matrix,
        cost=torch.where(real, matrix * cost, matrix.new_zeros(())).sum(dim=(1, 2)),
        marginal_error=torch.maximum(rows, columns),
        source_mask=source_mask,
        target_mask=target_mask,
    )
