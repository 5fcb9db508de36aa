"""Who goes with whom in greedy alignment: compiled on the CPU, in rounds over the whole batch on a GPU.

Both put the row and the column of an entry into the lowest bits of its cost. So no two are equal, the least one says
where it stands, and of equal costs the first counts, row by row, as in a loop over ``argmin``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# A float32 has 29 bits less than a float64; in them a row and a column find room.
_PLACE_BITS = 14
_PLACES = 2**_PLACE_BITS
_GONE = 2**62 - 1


def greedy_partners(cost: Tensor, source_mass: Tensor, target_mass: Tensor) -> Tensor:
    """Give each source token's partner: the pair of least cost, without its row and its column the next, and so on.

    Parameters
    ----------
    cost : Tensor of float32, shape (B, m, n)
        Finite, without gradient.
    source_mass, target_mass : Tensor of float32, shapes (B, m) and (B, n)
        Zero marks padding, which has no partner.

    Returns
    -------
    Tensor of int64, shape (B, m)
        Place of the target token; -1 where there is none.

    Raises
    ------
    ValueError
        More than 16,384 tokens.
    """
    if max(cost.shape[1:]) > _PLACES:
        raise ValueError(f"greedy alignment takes at most {_PLACES:,} tokens, got {max(cost.shape[1:]):,}")
    if cost.device.type != "cpu":
        return partners_in_rounds(cost, source_mass, target_mass)
    # Adding zero makes one zero of two. Another layout in memory would be compiled for anew.
    bits = (cost + 0.0).contiguous().view(torch.int32)
    return torch.from_numpy(_compiled()(bits.numpy(), (source_mass > 0).numpy(), (target_mass > 0).numpy()))


def partners_in_rounds(cost: Tensor, source_mass: Tensor, target_mass: Tensor) -> Tensor:
    """Give partners as :func:`greedy_partners` does, on any device.

    The least entry of both its row and its column is one that the greedy walk takes at some time, whatever it takes
    before. All of these are taken at once, in the whole batch, and again in what is left: a few rounds, never more than
    min(m, n).
    """
    partner = torch.full(source_mass.shape, -1, device=cost.device)
    keys = _unique(cost)
    for mass, dim in ((source_mass, 2), (target_mass, 1)):
        keys += torch.zeros_like(mass, dtype=keys.dtype).masked_fill_(mass <= 0, torch.inf).unsqueeze(dim)
    for _ in range(min(cost.shape[1:])):
        rows, columns = keys.amin(dim=2), keys.amin(dim=1)
        places = _column(rows)
        taken = (columns.gather(1, places) == rows) & (rows < torch.inf)
        if not taken.any():
            break
        partner = torch.where(taken, places, partner)
        gone = torch.zeros_like(rows).masked_fill_(taken, torch.inf)
        keys += gone[:, :, None]
        keys += torch.zeros_like(columns).scatter_add_(1, places, gone)[:, None, :]
    return partner


def _unique(cost: Tensor) -> Tensor:
    """Give costs in float64 of which no two are equal and each knows its place: row and column in the lowest bits."""
    rows, columns = (torch.arange(size, device=cost.device) for size in cost.shape[1:])
    # Adding zero makes one zero of two.
    bits = (cost + 0.0).double().view(torch.int64)
    negative = bits >> 63
    bits |= (rows[:, None] << _PLACE_BITS) | columns
    # Of two negative numbers the one with the larger bits is smaller: their places count down.
    bits ^= negative & (_PLACES**2 - 1)
    return bits.view(torch.float64)


def _column(keys: Tensor) -> Tensor:
    """Give the column that keys of :func:`_unique` stand in."""
    bits = keys.view(torch.int64)
    column: Tensor = (bits ^ (bits >> 63)) & (_PLACES - 1)
    return column


@cache
def _compiled() -> Any:
    # Imported and compiled when first needed, which takes some two seconds.
    from numba import njit

    return njit(_walk)


def _walk(bits: NDArray[np.int32], source: NDArray[np.bool_], target: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Walk pair by pair, match by match; a row's least entry is looked for again only when its column is gone.

    Whole numbers, and loops without a way out of them, are what the compiler makes vector instructions of.
    """
    pairs, m, n = bits.shape
    partner = np.full((pairs, m), -1)
    keys = np.empty((m, n), np.int64)
    least = np.empty(m, np.int64)
    taken = np.empty(n, np.int64)
    for pair in range(pairs):
        for j in range(n):
            taken[j] = 0 if target[pair, j] else _GONE
        for i in range(m):
            best = _GONE
            if source[pair, i]:
                for j in range(n):
                    own = np.int64(bits[pair, i, j])
                    # Of two negative numbers the one with the larger bits is smaller.
                    rank = (own ^ ((own >> 63) & 0x7FFFFFFF)) + 0x80000000
                    keys[i, j] = (rank << 2 * _PLACE_BITS) | (i << _PLACE_BITS) | j
                    best = min(best, keys[i, j] | taken[j])
            least[i] = best
        while True:
            best = _GONE
            for i in range(m):
                best = min(best, least[i])
            if best == _GONE:
                break
            row, column = (best >> _PLACE_BITS) & (_PLACES - 1), best & (_PLACES - 1)
            if taken[column] == 0:
                partner[pair, row] = column
                taken[column] = least[row] = _GONE
            else:
                best = _GONE
                for j in range(n):
                    best = min(best, keys[row, j] | taken[j])
                least[row] = best
    return partner
