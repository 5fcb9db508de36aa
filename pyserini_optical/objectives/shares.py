"""Several processes on one batch: each runs the student on its share, and sees the whole batch in the loss."""

from __future__ import annotations

import torch
from torch import Tensor, distributed
from torch.nn import functional

from pyserini_optical.objectives.representation import Representation


class Shares:
    r"""A batch, of which this process has a share; without other processes that is all of it.

    An objective may take means over pairs or tokens, or negatives from the whole batch. So every process computes the
    loss :math:`L` of the whole batch, from the students' vectors :math:`x_r` of all shares, and differentiates it by
    its own ones. With :math:`n` times that gradient the mean that ``DistributedDataParallel`` takes over the processes
    is the gradient of one process with the whole batch:

    .. math::
        \frac{1}{n} \sum_r n \frac{\partial L}{\partial x_r} \frac{\partial x_r}{\partial \theta}
        = \frac{\partial L}{\partial \theta}

    Parameters
    ----------
    labels : Tensor of int, shape (b,)
        Row numbers of the share, as many in each process; a row that comes again only fills up a share.

    Attributes
    ----------
    rows : list of int
        Row numbers of the whole batch.
    """

    def __init__(self, labels: Tensor) -> None:
        self.rows: list[int] = labels.tolist()
        self._processes = distributed.get_world_size() if distributed.is_initialized() else 1
        if self._processes > 1:
            # The first place of each row.
            places = {row: place for place, row in reversed(list(enumerate(_gather(labels).tolist())))}
            self._places = sorted(places.values())
            self.rows = sorted(places, key=places.__getitem__)

    def gather(self, share: Representation) -> Representation:
        """Give the whole batch's representation, in the order of its rows."""
        if self._processes == 1:
            return share
        longest = torch.tensor(share.tokens.shape[1], device=share.tokens.device)
        distributed.all_reduce(longest, op=distributed.ReduceOp.MAX)
        tokens = functional.pad(share.tokens, (0, 0, 0, int(longest) - share.tokens.shape[1]))
        mask = functional.pad(share.mask, (0, int(longest) - share.mask.shape[1]))
        masses = functional.pad(share.masses, (0, int(longest) - share.mask.shape[1]))
        # All in one: so vectors that no objective looks at have a gradient too, zero, for which the others wait.
        parts = [tokens.flatten(1), mask.to(tokens.dtype), masses] + ([] if share.pooled is None else [share.pooled])
        packed = torch.cat(parts, dim=1)
        if packed.requires_grad:
            packed.register_hook(lambda gradient: self._processes * gradient)  # type: ignore[no-untyped-call]
        whole = _gather(packed)[self._places]
        sizes = [part.shape[1] for part in parts]
        flat, real, masses, *pooled = torch.split(whole, sizes, dim=1)
        return Representation(
            tokens=flat.reshape(-1, *tokens.shape[1:]),
            mask=real.bool(),
            pooled=pooled[0] if pooled else None,
            mass=masses.detach(),
        )


def _gather(own: Tensor) -> Tensor:
    """Put what all processes have of this one below each other; the own part keeps its gradient."""
    parts = [torch.zeros_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, own.detach())
    parts[distributed.get_rank()] = own
    return torch.cat(parts)
