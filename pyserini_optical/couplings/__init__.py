"""How two token sequences are matched; every coupling gives a :class:`Plan`.

============== ==================== ============================================================================
name           class                what
============== ==================== ============================================================================
``ipot``       :class:`IPOT`        proximal-point transport, the default
``sinkhorn``   :class:`Sinkhorn`    entropic transport (POT)
``exact``      :class:`Exact`       exact transport (POT), for checks
``unbalanced`` :class:`Unbalanced`  entropic transport that may leave mass where it is
``greedy``     :class:`Greedy`      one to one: the pair of least cost, then the next of what is left (DR.DECR)
``assignment`` :class:`Assignment`  one to one at the least total cost (SciPy)
``nearest``    :class:`Nearest`     each student token to its nearest teacher token
``positional`` :class:`Positional`  by position alone, a control
============== ==================== ============================================================================
"""

from __future__ import annotations

from pyserini_optical.couplings.nearest import Nearest
from pyserini_optical.couplings.one_to_one import Assignment, Greedy
from pyserini_optical.couplings.plan import Coupling, Plan, uniform_mass
from pyserini_optical.couplings.positional import Positional
from pyserini_optical.couplings.transport import IPOT, Exact, Sinkhorn, Unbalanced

COUPLINGS: dict[str, type[Coupling]] = {
    "ipot": IPOT,
    "sinkhorn": Sinkhorn,
    "exact": Exact,
    "unbalanced": Unbalanced,
    "greedy": Greedy,
    "assignment": Assignment,
    "nearest": Nearest,
    "positional": Positional,
}

__all__ = [
    "COUPLINGS",
    "IPOT",
    "Assignment",
    "Coupling",
    "Exact",
    "Greedy",
    "Nearest",
    "Plan",
    "Positional",
    "Sinkhorn",
    "Unbalanced",
    "uniform_mass",
]
