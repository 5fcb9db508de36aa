"""How two token sequences are matched; every coupling gives a :class:`Plan`.

=========== ==================================== =====================================
name        class                                what
=========== ==================================== =====================================
``ipot``    :class:`IPOT`                        proximal-point transport, the default
``sinkhorn`` :class:`Sinkhorn`                   entropic transport (POT)
``exact``   :class:`Exact`                       exact transport (POT), for checks
=========== ==================================== =====================================
"""

from __future__ import annotations

from pyserini_optical.couplings.plan import Coupling, Plan, uniform_mass
from pyserini_optical.couplings.transport import IPOT, Exact, Sinkhorn

COUPLINGS: dict[str, type[Coupling]] = {"ipot": IPOT, "sinkhorn": Sinkhorn, "exact": Exact}

__all__ = ["COUPLINGS", "IPOT", "Coupling", "Exact", "Plan", "Sinkhorn", "uniform_mass"]
