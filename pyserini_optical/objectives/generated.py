"""What a query generator teaches a dual encoder: its scores of passages, and that questions on one passage agree [1]_.

References
----------
.. [1] Ren, Shou, Wu, Gong, Jiang. Empowering Dual-Encoder with Query Generator for Cross-Lingual Dense Retrieval.
   EMNLP 2022. arXiv:2303.14991.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyserini_optical.objectives.loss import TeacherRows, text_columns
from pyserini_optical.objectives.relevance import RelevanceObjective
from pyserini_optical.objectives.representation import represent, similarities
from pyserini_optical.objectives.shares import Shares

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer


class QuestionAlignment(nn.Module):
    r"""Two questions on one passage, in two languages, must order the candidates alike [1]_.

    .. math::
        L = \frac{1}{2B} \sum_b \mathrm{KL}(P_b \,\Vert\, Q_b) + \mathrm{KL}(Q_b \,\Vert\, P_b), \qquad
        P_b = \mathrm{softmax}(s_b / \tau), \quad Q_b = \mathrm{softmax}(s'_b / \tau)

    with the scores s of the question at hand and s' of the generated one. Temperature and the factor before the sum are
    our choices.

    Parameters
    ----------
    temperature : float
        :math:`\tau`, above zero.
    symmetric : bool
        False keeps the question at hand where it is, and moves the generated one towards it:
        :math:`\frac{1}{B} \sum_b \mathrm{KL}(P_b \Vert Q_b)` with no gradient through P.
    """

    def __init__(self, temperature: float = 0.05, symmetric: bool = True) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be above zero, got {temperature}")
        self.temperature = temperature
        self.symmetric = symmetric

    def forward(self, scores: Tensor, generated: Tensor) -> Tensor:
        """Give the loss, a scalar.

        Parameters
        ----------
        scores, generated : Tensor, shape (B, K)
            Scores of the same candidates for the question at hand and for the generated one.
        """
        first, second = (functional.log_softmax(each / self.temperature, dim=1) for each in (scores, generated))
        if not self.symmetric:
            return _divergence(first.detach(), second)
        return (_divergence(first, second) + _divergence(second, first)) / 2


class GeneratorLoss(nn.Module):
    r"""A weighted sum :math:`L = \sum_k w_k L_k` of what a student learns from a query generator's scores [1]_.

    Objectives on the teacher's scores see each question's own candidates, which the generator has scored; others
    (``info-nce``) all passages of the batch. The passages are the document encoder's vectors, as they stand in its
    index, so only the reading of questions is learnt.

    Parameters
    ----------
    model : SentenceTransformer or MultiVectorEncoder
        The student.
    passages : TeacherRows
        The document encoder's reading of the passages, by row number.
    candidates : sequence of sequences of int
        For each question the rows of its passages, as many for each, the relevant one first.
    scores : Tensor, shape (N, K)
        What the generator says of them.
    objectives : mapping of str to (float, RelevanceObjective)
        Weight and objective by name; the names appear in the training log.
    alignment : (float, QuestionAlignment), optional
        Weight and objective for a second text column, a generated question on the same passage; ``alignment`` in the
        log.

    Notes
    -----
    Inputs are one text column, the question, perhaps a second one, and ``label``, the number of the row.
    """

    def __init__(
        self,
        model: SentenceTransformer | MultiVectorEncoder,
        passages: TeacherRows,
        candidates: Sequence[Sequence[int]],
        scores: Tensor,
        objectives: Mapping[str, tuple[float, RelevanceObjective]],
        alignment: tuple[float, QuestionAlignment] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.passages = passages
        self.candidates = torch.tensor(candidates, dtype=torch.long)
        self.scores = scores
        self.weights = {name: weight for name, (weight, _) in objectives.items()}
        self.objectives = nn.ModuleDict({name: objective for name, (_, objective) in objectives.items()})
        self.alignment = None
        if alignment is not None:
            self.weights["alignment"], self.alignment = alignment

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None) -> dict[str, Tensor]:
        """Give each objective's weighted loss, a scalar; the trainer adds them up.

        Parameters
        ----------
        sentence_features : iterable of dict
            The tokenised questions, as sentence-transformers' collator gives them.
        labels : Tensor of int, shape (B,)
            Row numbers.

        Raises
        ------
        ValueError
            The training data are not these text columns and ``label``.
        """
        columns = text_columns(sentence_features, labels, ("question", "generated")[: 1 + (self.alignment is not None)])
        assert labels is not None
        batch = Shares(labels)
        rows = torch.tensor(batch.rows)
        # Each passage once, whatever the number of questions that have it.
        numbers, places = torch.unique(self.candidates[rows], return_inverse=True)
        asked = batch.gather(represent(self.model, columns[0]))
        device = asked.tokens.device
        passages, places = self.passages.rows(numbers.tolist(), device), places.to(device)
        every = similarities(asked, passages)
        own, theirs = every.gather(1, places), self.scores[rows].to(device)
        first = torch.zeros(len(rows), dtype=torch.long, device=device)
        losses = {}
        for name, each in self.objectives.items():
            given = (own, theirs, first) if each.needs_teacher else (every, theirs, places[:, 0])
            losses[name] = self.weights[name] * each(*given)
        if self.alignment is not None:
            generated = batch.gather(represent(self.model, columns[1]))
            others = similarities(generated, passages).gather(1, places)
            losses["alignment"] = self.weights["alignment"] * self.alignment(own, others)
        return losses

    def get_config_dict(self) -> dict[str, Any]:
        """Give what the model card says about the loss."""
        return {"objectives": self.weights}


def _divergence(target: Tensor, given: Tensor) -> Tensor:
    return functional.kl_div(given, target, reduction="batchmean", log_target=True)
