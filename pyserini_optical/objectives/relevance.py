r"""Objectives on relevance scores: passages are scored for a foreign question as the teacher does for its translation.

References
----------
.. [1] Li, Franz, Sultan, Iyer, Lee, Sil. Learning Cross-Lingual IR from an English Retriever. NAACL 2022.
   arXiv:2112.08185.
.. [2] Hinton, Vinyals, Dean. Distilling the Knowledge in a Neural Network. 2015. arXiv:1503.02531.
.. [3] Hofstätter, Althammer, Schröder, Sertkan, Hanbury. Improving Efficient Neural Ranking Models with
   Cross-Architecture Knowledge Distillation. 2020. arXiv:2010.02666.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyserini_optical.objectives.loss import TeacherRows, text_columns
from pyserini_optical.objectives.representation import represent, similarities
from pyserini_optical.objectives.shares import Shares

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer


class RelevanceObjective(nn.Module):
    """Something to be learnt from scores: how far the student's scores of a batch are from its teacher's.

    Attributes
    ----------
    needs_teacher : bool
        Whether the teacher's scores are looked at; where they are not, passages that it has not scored serve too.
    """

    needs_teacher = True

    def forward(self, student: Tensor, teacher: Tensor, relevant: Tensor) -> Tensor:
        """Give the loss, a scalar, averaged over the batch.

        Parameters
        ----------
        student, teacher : Tensor, shape (B, N)
            Scores of each question with each passage.
        relevant : Tensor of int, shape (B,)
            Which passage is relevant to each question.
        """
        raise NotImplementedError


class RelevanceKL(RelevanceObjective):
    r"""Divergence of the score distributions, with temperature [1]_ [2]_.

    .. math::
        L = \frac{\tau^2}{B} \sum_b \mathrm{KL}(P_b \,\Vert\, Q_b), \qquad
        P_b = \mathrm{softmax}(t_b / \tau_t), \quad Q_b = \mathrm{softmax}(s_b / \tau)

    Scores are cosines or MaxSim over the number of query tokens. The default is DR.DECR's :math:`\tau = 2` for MaxSim
    summed over its 32 query tokens; that it serves pooled vectors too is our choice.

    Parameters
    ----------
    temperature : float
        :math:`\tau`, above zero.
    teacher_temperature : float
        :math:`\tau_t`, for a teacher whose scores are on another scale than the student's; 0 for the same as the
        student's.
    """

    def __init__(self, temperature: float = 0.0625, teacher_temperature: float = 0.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be above zero, got {temperature}")
        self.temperature = temperature
        self.teacher_temperature = teacher_temperature or temperature

    def forward(self, student: Tensor, teacher: Tensor, relevant: Tensor) -> Tensor:
        """Give the loss, a scalar."""
        ours = functional.log_softmax(student / self.temperature, dim=1)
        theirs = functional.log_softmax(teacher / self.teacher_temperature, dim=1)
        return self.temperature**2 * functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)


class MarginMSE(RelevanceObjective):
    r"""Squared difference of the margins by which the relevant passage r leads each other one [3]_.

    .. math::
        L = \frac{1}{B (N - 1)} \sum_b \sum_{c \ne r_b} \left((s_{b r_b} - s_{bc}) - (t_{b r_b} - t_{bc})\right)^2
    """

    def forward(self, student: Tensor, teacher: Tensor, relevant: Tensor) -> Tensor:
        """Give the loss, a scalar."""
        difference = student - teacher
        margins = difference.gather(1, relevant[:, None]) - difference
        return margins.square().sum() / max(len(margins) * (margins.shape[1] - 1), 1)


class InfoNCE(RelevanceObjective):
    r"""The relevant passage among all passages of the batch; the teacher's scores are not looked at.

    .. math::
        L = -\frac{1}{B} \sum_b \log \frac{\exp s_{b r_b} / \tau}{\sum_c \exp s_{bc} / \tau}

    Parameters
    ----------
    temperature : float
        :math:`\tau`, above zero.
    """

    needs_teacher = False

    def __init__(self, temperature: float = 0.05) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be above zero, got {temperature}")
        self.temperature = temperature

    def forward(self, student: Tensor, teacher: Tensor, relevant: Tensor) -> Tensor:
        """Give the loss, a scalar."""
        return functional.cross_entropy(student / self.temperature, relevant)


class RelevanceLoss(nn.Module):
    r"""A weighted sum of relevance objectives between a student and a frozen teacher: :math:`L = \sum_k w_k L_k`.

    The student reads the foreign question, the teacher its English translation; both are scored with every passage of
    the batch, each question's own candidates and those of the others. The passages are the teacher's vectors, as they
    stand in its index, so only the reading of questions is learnt. (DR.DECR's student reads passages as well.)

    Parameters
    ----------
    model : SentenceTransformer or MultiVectorEncoder
        The student.
    questions, passages : TeacherRows
        The teacher's reading of the English questions and of the passages, by row number.
    candidates : sequence of sequences of int
        For each question the rows of its passages, the relevant one first.
    objectives : mapping of str to (float, RelevanceObjective)
        Weight and objective by name; the names appear in the training log.

    Notes
    -----
    Inputs are one text column, the foreign question, and ``label``, the number of its row. Sentence-transformers'
    ``DistillKLDivLoss`` and ``MarginMSELoss`` want each question's candidates as columns, run the student on all of
    them, and know no passages of other questions; on the same scores they give the same numbers.
    """

    def __init__(
        self,
        model: SentenceTransformer | MultiVectorEncoder,
        questions: TeacherRows,
        passages: TeacherRows,
        candidates: Sequence[Sequence[int]],
        objectives: Mapping[str, tuple[float, RelevanceObjective]],
    ) -> None:
        super().__init__()
        self.model = model
        self.questions = questions
        self.passages = passages
        self.candidates = candidates
        self.weights = {name: weight for name, (weight, _) in objectives.items()}
        self.objectives = nn.ModuleDict({name: objective for name, (_, objective) in objectives.items()})

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None) -> dict[str, Tensor]:
        """Give each objective's weighted loss, a scalar; the trainer adds them up.

        Parameters
        ----------
        sentence_features : iterable of dict
            The tokenised foreign questions, as sentence-transformers' collator gives them.
        labels : Tensor of int, shape (B,)
            Row numbers.

        Raises
        ------
        ValueError
            The training data are not one text column and ``label``.
        """
        (features,) = text_columns(sentence_features, labels, ["foreign"])
        assert labels is not None
        batch = Shares(labels)
        rows = batch.rows
        # A passage that several questions have counts once, or it would stand against itself.
        places: dict[int, int] = {}
        for row in rows:
            for passage in self.candidates[row]:
                places.setdefault(passage, len(places))
        student = batch.gather(represent(self.model, features))
        device = student.tokens.device
        passages = self.passages.rows(list(places), device)
        ours = similarities(student, passages)
        theirs = similarities(self.questions.rows(rows, device), passages)
        relevant = torch.tensor([places[self.candidates[row][0]] for row in rows], device=device)
        return {name: self.weights[name] * each(ours, theirs, relevant) for name, each in self.objectives.items()}

    def get_config_dict(self) -> dict[str, Any]:
        """Give what the model card says about the loss."""
        return {"objectives": self.weights}
