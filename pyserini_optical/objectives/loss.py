"""Objectives as one loss in sentence-transformers' convention."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from pyserini_optical.objectives.marginals import Marginals
from pyserini_optical.objectives.representation import Objective, Representation, represent_in_parts
from pyserini_optical.objectives.shares import Shares

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer


class TeacherRows(Protocol):
    """Where the loss finds the teacher's side: a row number of the training data → the teacher's representation."""

    def rows(self, numbers: list[int], device: torch.device) -> Representation:
        """Give the teacher's representation of these rows of the training data."""
        ...


class DistillationLoss(nn.Module):
    r"""A weighted sum of objectives between a student and a frozen teacher: :math:`L = \sum_k w_k L_k`.

    It follows sentence-transformers' loss convention and works in ``SentenceTransformerTrainer`` and
    ``MultiVectorEncoderTrainer`` as it is.

    Parameters
    ----------
    model : SentenceTransformer or MultiVectorEncoder
        The student.
    teacher : TeacherRows
        The teacher's side, by row number.
    objectives : mapping of str to (float, Objective)
        Weight and objective by name; the names appear in the training log.
    marginals : Marginals, optional
        Which of the student's tokens take part in alignment, and how much each weighs; by default all but special
        ones, and alike. The teacher's side decides for itself.
    english : mapping of str to (float, Objective), optional
        An anchor: objectives on the student's own reading of the English side, which keep it near the teacher, as
        Reimers and Gurevych do with sentence vectors and DR.DECR with tokens. They are named ``NAME-english`` in the
        log.
    mini_batch_size : int, optional
        The student reads a batch in parts of so many sentences, and each once more for its gradient, so that it needs
        the memory of a part for large batches, which contrastive objectives want; the gradient is the same [1]_.

    Notes
    -----
    Inputs are one text column, the foreign sentence, and ``label``, the number of its row, by which the teacher's
    representation of the English side is looked up. So the teacher reads its own tokenisation of the English text and
    need not run during training. With an anchor the English sentence is a second text column, and the student runs
    twice a step. Of several processes each has a share of the batch, and the loss is that of all of it
    (:class:`~pyserini_optical.objectives.shares.Shares`).

    References
    ----------
    .. [1] Gao, Zhang, Han, Callan. Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup. RepL4NLP
       2021. (Theirs keeps the vectors' gradients and reads again; reading again within the backward pass is the same.)

    Examples
    --------
    >>> loss = DistillationLoss(student, teacher, {"optical": (1.0, TokenAlignment(IPOT()))})  # doctest: +SKIP
    """

    def __init__(
        self,
        model: SentenceTransformer | MultiVectorEncoder,
        teacher: TeacherRows,
        objectives: Mapping[str, tuple[float, Objective]],
        *,
        marginals: Marginals | None = None,
        english: Mapping[str, tuple[float, Objective]] | None = None,
        mini_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        if not objectives:
            raise ValueError("a distillation loss needs at least one objective")
        self.model = model
        self.teacher = teacher
        sides = [objectives, {f"{name}-english": entry for name, entry in (english or {}).items()}]
        self.sides = [list(side) for side in sides if side]
        entries = {name: entry for side in sides for name, entry in side.items()}
        self.weights = {name: weight for name, (weight, _) in entries.items()}
        self.objectives = nn.ModuleDict({name: objective for name, (_, objective) in entries.items()})
        self.marginals = marginals or Marginals.of(model.tokenizer)
        self.mini_batch_size = mini_batch_size

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None) -> dict[str, Tensor]:
        """Give each objective's weighted loss, a scalar; the trainer adds them up.

        Parameters
        ----------
        sentence_features : iterable of dict
            The tokenised foreign sentences, as sentence-transformers' collator gives them; with an anchor then the
            English ones.
        labels : Tensor of int, shape (B,)
            Row numbers.

        Raises
        ------
        ValueError
            The training data are not these text columns and ``label``.
        """
        columns = text_columns(sentence_features, labels, ("foreign", "English")[: len(self.sides)])
        assert labels is not None
        batch = Shares(labels)
        teacher = None
        losses: dict[str, Tensor] = {}
        for features, names in zip(columns, self.sides, strict=True):
            student = batch.gather(represent_in_parts(self.model, features, self.marginals, self.mini_batch_size))
            teacher = teacher or self.teacher.rows(batch.rows, student.tokens.device)
            losses |= {name: self.weights[name] * self.objectives[name](student, teacher) for name in names}
        return losses

    def get_config_dict(self) -> dict[str, Any]:
        """Give what the model card says about the loss."""
        return {"objectives": self.weights}


def text_columns(
    sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None, wanted: Sequence[str]
) -> list[dict[str, Tensor]]:
    """Give the text columns of a batch if they are those that a loss wants, with row numbers as labels.

    Raises
    ------
    ValueError
        They are not.
    """
    columns = list(sentence_features)
    if len(columns) != len(wanted) or labels is None:
        raise ValueError(
            f"this loss wants training data with a text column for each of {', '.join(wanted)} and `label` (their row "
            f"numbers), got {len(columns)} text columns and {'no' if labels is None else 'a'} label"
        )
    return columns
