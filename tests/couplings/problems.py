"""Matching problems that the tests of all couplings share."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

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


def weighted_problem(pairs: int, m: int, n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cosine costs with uneven masses."""
    masses = random_mass(torch.ones(pairs, m), seed), random_mass(torch.ones(pairs, n), seed + 1)
    return cosine_cost(pairs, m, n, seed=seed), *masses


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


def float64(cost: Tensor, mu: Tensor, nu: Tensor) -> Problem:
    """One pair for solvers that want their masses to sum to one in float64."""
    a, b = mu[0].double().numpy(), nu[0].double().numpy()
    return cost[0].double().numpy(), a / a.sum(), b / b.sum()
