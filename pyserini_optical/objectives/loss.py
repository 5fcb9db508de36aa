"""Objectives as one loss in sentence-transformers' convention."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyserini_optical.objectives.representation import Objective, Representation, token_mask

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class TeacherRows(Protocol):
    """Where the loss finds the teacher's side: a row number of the training data → the teacher's representation."""

    def rows(self, numbers: list[int], device: torch.device) -> Representation:
        """Give the teacher's representation of these rows of the training data."""
        ...


class DistillationLoss(nn.Module):
    r"""A weighted sum of objectives between a student and a frozen teacher: :math:`L = \sum_k w_k L_k`.

    It follows sentence-transformers' loss convention and works in ``SentenceTransformerTrainer`` as it is.

    Parameters
    ----------
    model : SentenceTransformer
        The student.
    teacher : TeacherRows
        The teacher's side, by row number.
    objectives : mapping of str to (float, Objective)
        Weight and objective by name; the names appear in the training log.
    special_tokens : bool
        Whether [CLS], [SEP] and the tokeniser's other special tokens (so [UNK] too) take part in token alignment on the
        student's side; the teacher's side decides for itself.

    Notes
    -----
    Inputs are one text column, the foreign sentence, and ``label``, the number of its row, by which the teacher's
    representation of the English side is looked up. So the teacher reads its own tokenisation of the English text and
    need not run during training.

    Examples
    --------
    >>> loss = DistillationLoss(student, teacher, {"optical": (1.0, TokenAlignment(IPOT()))})  # doctest: +SKIP
    """

    def __init__(
        self,
        model: SentenceTransformer,
        teacher: TeacherRows,
        objectives: Mapping[str, tuple[float, Objective]],
        *,
        special_tokens: bool = False,
    ) -> None:
        super().__init__()
        if not objectives:
            raise ValueError("a distillation loss needs at least one objective")
        self.model = model
        self.teacher = teacher
        self.weights = {name: weight for name, (weight, _) in objectives.items()}
        self.objectives = nn.ModuleDict({name: objective for name, (_, objective) in objectives.items()})
        special = [] if special_tokens else list(model.tokenizer.all_special_ids)
        self.special_ids = torch.tensor(special, dtype=torch.long)

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None) -> dict[str, Tensor]:
        """Give each objective's weighted loss, a scalar; the trainer adds them up.

        Parameters
        ----------
        sentence_features : iterable of dict
            The tokenised foreign sentences, as sentence-transformers' collator gives them.
        labels : Tensor of int, shape (B,)
            Row numbers.

        Raises
        ------
        ValueError
            The training data are not one text column and ``label``.
        """
        columns = list(sentence_features)
        if len(columns) != 1 or labels is None:
            raise ValueError(
                "a distillation loss wants training data with one text column (the foreign sentences) and `label` "
                f"(their row numbers), got {len(columns)} text columns and {'no' if labels is None else 'a'} label"
            )
        (features,) = columns
        output = self.model(dict(features))
        student = Representation(
            tokens=output["token_embeddings"],
            mask=token_mask(features, self.special_ids),
            pooled=functional.normalize(output["sentence_embedding"].float(), dim=-1),
        )
        teacher = self.teacher.rows(labels.tolist(), student.pooled.device)
        return {name: self.weights[name] * objective(student, teacher) for name, objective in self.objectives.items()}

    def get_config_dict(self) -> dict[str, Any]:
        """Give what the model card says about the loss."""
        return {"objectives": self.weights}
