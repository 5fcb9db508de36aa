"""What a student learns from its teacher.

=================== ========================= ====================================================
name in recipes     class                     what
=================== ========================= ====================================================
``token-alignment`` :class:`TokenAlignment`   OPTICAL: token vectors, matched by a coupling
``sentence-mse``    :class:`SentenceMSE`      sentence vectors, squared distance
``contrastive``     :class:`Contrastive`      sentence vectors, the right one among the batch's
=================== ========================= ====================================================
"""

from __future__ import annotations

from pyserini_optical.objectives.loss import DistillationLoss, TeacherRows
from pyserini_optical.objectives.representation import Objective, Representation, token_mask
from pyserini_optical.objectives.sentence import Contrastive, SentenceMSE
from pyserini_optical.objectives.token_alignment import TokenAlignment

OBJECTIVES: dict[str, type[Objective]] = {
    "token-alignment": TokenAlignment,
    "sentence-mse": SentenceMSE,
    "contrastive": Contrastive,
}

__all__ = [
    "OBJECTIVES",
    "Contrastive",
    "DistillationLoss",
    "Objective",
    "Representation",
    "SentenceMSE",
    "TeacherRows",
    "TokenAlignment",
    "token_mask",
]
