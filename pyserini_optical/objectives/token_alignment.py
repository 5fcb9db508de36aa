r"""OPTICAL's objective: the student's tokens are pulled towards the teacher's tokens that a coupling matches them with.

References
----------
.. [1] Huang, Yu, Allan. Improving Cross-lingual Information Retrieval on Low-Resource Languages via Optimal Transport
   Distillation. WSDM 2023. arXiv:2301.12566.
.. [2] Li, Franz, Sultan, Iyer, Lee, Sil. Learning Cross-Lingual IR from an English Retriever. NAACL 2022.
   arXiv:2112.08185.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pyserini_optical.couplings import IPOT, Coupling
from pyserini_optical.objectives.representation import Objective, Representation


class TokenAlignment(Objective):
    r"""Mean error over the coupling between teacher tokens :math:`t_i` and student tokens :math:`s_j` [1]_.

    .. math::
        C_{ij} = 1 - \cos(t_i, s_j), \qquad L = \frac{1}{B} \sum_b \sum_{ij} T^*_{ij} E_{ij}

    :math:`T^*` is the coupling at the cost :math:`C` and carries no gradient. The error :math:`E` is that cost itself,
    so that for exact transport :math:`\partial L / \partial s` is the gradient of the optimal value (by the envelope
    theorem); or it is the squared distance :math:`\lVert t_i - s_j \rVert^2`, as DR.DECR has it on greedily aligned
    tokens [2]_ (there the mean over the dimensions, here their sum). Of unit vectors, as in late interaction, that is
    :math:`2 C_{ij}`; of a pooled model's token vectors the lengths are learnt too. The masses are those that both sides
    bring (:mod:`~pyserini_optical.objectives.marginals`). That the plan is detached and the cost is the cosine distance
    is our choice, not known to be the first paper's.

    Parameters
    ----------
    coupling : Coupling
        How the tokens are matched; :class:`~pyserini_optical.couplings.IPOT` by default.
    error : {"cosine", "squared"}
        What is made small between tokens that are matched.
    """

    def __init__(self, coupling: Coupling | None = None, error: str = "cosine") -> None:
        super().__init__()
        if error not in ("cosine", "squared"):
            raise ValueError(f"error must be cosine or squared, got {error!r}")
        self.error = error
        self.coupling: Coupling = coupling or IPOT()

    def forward(self, student: Representation, teacher: Representation) -> Tensor:
        """Give the loss, a scalar: mean over the pairs that have tokens on both sides, zero where there are none."""
        with torch.autocast(student.tokens.device.type, enabled=False):
            source = functional.normalize(teacher.tokens.detach().float(), dim=-1)
            target = functional.normalize(student.tokens.float(), dim=-1)
            cost = 1.0 - source @ target.transpose(1, 2)
            masses = teacher.masses, student.masses
            plan = self.coupling.plan(cost, *masses)
            pairs = (masses[0].any(dim=1) & masses[1].any(dim=1)).sum().clamp_min(1)
            error = _squared(teacher.tokens.detach(), student.tokens) if self.error == "squared" else cost
            return (plan.matrix * error).sum() / pairs


def _squared(source: Tensor, target: Tensor) -> Tensor:
    source, target = source.float(), target.float()
    lengths = source.square().sum(dim=2)[:, :, None] + target.square().sum(dim=2)[:, None, :]
    return lengths - 2.0 * source @ target.transpose(1, 2)
