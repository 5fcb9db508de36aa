"""What a student learns from its teacher.

From sentence pairs, on the student's reading of the foreign side, or of the English one as an anchor:

=================== ========================= ============================================================
name in recipes     class                     what
=================== ========================= ============================================================
``token-alignment`` :class:`TokenAlignment`   OPTICAL, DR.DECR: token vectors, matched by a coupling
``sentence-mse``    :class:`SentenceMSE`      sentence vectors, squared distance, of unit vectors the cosine
``contrastive``     :class:`Contrastive`      sentence vectors, the right one among the batch's
=================== ========================= ============================================================

From questions with an English translation and passages:

=================== ========================= ============================================================
name in recipes     class                     what
=================== ========================= ============================================================
``relevance-kl``    :class:`RelevanceKL`      DR.DECR: distributions of scores over passages
``margin-mse``      :class:`MarginMSE`        margins between the relevant passage's score and the others'
``info-nce``        :class:`InfoNCE`          the relevant passage among the batch's, without a teacher
=================== ========================= ============================================================

From questions and a query generator's scores of passages: the same, and :class:`QuestionAlignment`.
"""

from __future__ import annotations

from pyserini_optical.objectives.generated import GeneratorLoss, QuestionAlignment
from pyserini_optical.objectives.loss import DistillationLoss, TeacherRows
from pyserini_optical.objectives.marginals import Marginals
from pyserini_optical.objectives.relevance import InfoNCE, MarginMSE, RelevanceKL, RelevanceLoss, RelevanceObjective
from pyserini_optical.objectives.representation import (
    Objective,
    Representation,
    represent,
    similarities,
)
from pyserini_optical.objectives.sentence import Contrastive, SentenceMSE
from pyserini_optical.objectives.token_alignment import TokenAlignment

OBJECTIVES: dict[str, type[Objective]] = {
    "token-alignment": TokenAlignment,
    "sentence-mse": SentenceMSE,
    "contrastive": Contrastive,
}

RELEVANCE_OBJECTIVES: dict[str, type[RelevanceObjective]] = {
    "relevance-kl": RelevanceKL,
    "margin-mse": MarginMSE,
    "info-nce": InfoNCE,
}

__all__ = [
    "OBJECTIVES",
    "RELEVANCE_OBJECTIVES",
    "Contrastive",
    "DistillationLoss",
    "GeneratorLoss",
    "InfoNCE",
    "MarginMSE",
    "Marginals",
    "Objective",
    "QuestionAlignment",
    "RelevanceKL",
    "RelevanceLoss",
    "RelevanceObjective",
    "Representation",
    "SentenceMSE",
    "TeacherRows",
    "TokenAlignment",
    "represent",
    "similarities",
]
