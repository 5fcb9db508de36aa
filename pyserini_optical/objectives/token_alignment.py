r"""OPTICAL's objective: the student's tokens are pulled towards the teacher's tokens that a coupling matches them with.

References
----------
.. [1] Huang, Yu, Allan. Improving Cross-lingual Information Retrieval on Low-Resource Languages via Optimal Transport
   Distillation. WSDM 2023. arXiv:2301.12566.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pyserini_optical.couplings import IPOT, Coupling, uniform_mass
from pyserini_optical.objectives.representation import Objective, Representation


class TokenAlignment(Objective):
    r"""Mean cost of the coupling between teacher tokens :math:`t_i` and student tokens :math:`s_j` [1]_.

    .. math::
        C_{ij} = 1 - \cos(t_i, s_j), \qquad L = \frac{1}{B} \sum_b \sum_{ij} T^*_{ij} C_{ij}

    :math:`T^*` is the coupling at this cost and carries no gradient, so :math:`\partial L / \partial s` is that of the
    cost alone (for exact transport this is the gradient of the optimal value, by the envelope theorem). That the plan
    is detached, the cost is the cosine distance and the masses are uniform is our choice, not known to be the paper's.

    Parameters
    ----------
    coupling : Coupling
        How the tokens are matched; :class:`~pyserini_optical.couplings.IPOT` by default.
    """

    def __init__(self, coupling: Coupling | None = None) -> None:
        super().__init__()
        self.coupling: Coupling = coupling or IPOT()

    def forward(self, student: Representation, teacher: Representation) -> Tensor:
        """Give the loss, a scalar: mean over the pairs that have tokens on both sides, zero where there are none."""
        with torch.autocast(student.tokens.device.type, enabled=False):
            source = functional.normalize(teacher.tokens.detach().float(), dim=-1)
            target = functional.normalize(student.tokens.float(), dim=-1)
            cost = 1.0 - source @ target.transpose(1, 2)
            plan = self.coupling.plan(cost, uniform_mass(teacher.mask), uniform_mass(student.mask))
            pairs = (teacher.mask.any(dim=1) & student.mask.any(dim=1)).sum().clamp_min(1)
            return (plan.matrix * cost).sum() / pairs
