r"""Objectives on pooled vectors: the student's vector of a sentence against the teacher's vector of its translation.

References
----------
.. [1] Reimers, Gurevych. Making Monolingual Sentence Embeddings Multilingual using Knowledge Distillation. EMNLP 2020.
.. [2] van den Oord, Li, Vinyals. Representation Learning with Contrastive Predictive Coding. 2018. arXiv:1807.03748.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pyserini_optical.errors import RecipeError
from pyserini_optical.objectives.representation import Objective, Representation, similarities


class SentenceMSE(Objective):
    r"""Squared distance of the sentence vectors [1]_: :math:`L = \frac{1}{B} \sum_b \lVert s_b - t_b \rVert^2`.

    Summed over the dimensions (sentence-transformers' ``MSELoss`` takes their mean), so that its size does not depend
    on the length of the vectors. Of unit vectors it is :math:`2 (1 - \cos)`, the cosine form.
    """

    def forward(self, student: Representation, teacher: Representation) -> Tensor:
        """Give the loss, a scalar."""
        if student.pooled is None or teacher.pooled is None:
            raise RecipeError("sentence-mse compares sentence vectors, which a late-interaction model has not")
        return (student.pooled.float() - teacher.pooled.float()).square().sum(dim=1).mean()


class Contrastive(Objective):
    r"""In-batch InfoNCE [2]_: each foreign sentence must find its translation among the batch's English sentences.

    .. math::
        L = -\frac{1}{B} \sum_b \log \frac{\exp(s(b, b) / \tau)}{\sum_c \exp(s(b, c) / \tau)}

    :math:`s(b, c)` is how the models retrieve (:func:`~pyserini_optical.objectives.similarities`).

    Parameters
    ----------
    temperature : float
        :math:`\tau`, above zero.
    """

    def __init__(self, temperature: float = 0.05) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be above zero, got {temperature}")
        self.temperature = temperature

    def forward(self, student: Representation, teacher: Representation) -> Tensor:
        """Give the loss, a scalar."""
        scores = similarities(student, teacher) / self.temperature
        return functional.cross_entropy(scores, torch.arange(len(scores), device=scores.device))
