"""What objectives compare: the token vectors and the pooled vectors of a batch of sentences."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Representation:
    """A batch of sentences as a model sees them.

    Attributes
    ----------
    tokens : Tensor, shape (B, n, d)
        Contextual token vectors, not normalised.
    mask : Tensor of bool, shape (B, n)
        True for the tokens that take part in alignment: no padding, and no special tokens unless asked for.
    pooled : Tensor, shape (B, d)
        Sentence vectors, of unit length.
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor


class Objective(nn.Module):
    """Something to be learnt: how far the student's representation of a batch is from its teacher's.

    Subclasses implement ``forward(student, teacher) -> scalar Tensor``; the teacher's side has no gradient.
    """

    def forward(self, student: Representation, teacher: Representation) -> Tensor:
        """Give the loss, a scalar, averaged over the batch."""
        raise NotImplementedError


def token_mask(features: dict[str, Tensor], special_ids: Tensor) -> Tensor:
    """Mark the tokens that take part in alignment.

    Parameters
    ----------
    features : dict of Tensor
        With ``attention_mask`` and ``input_ids``, shape (B, n).
    special_ids : Tensor, shape (k,)
        Ids that are left out; empty to keep all real tokens.

    Returns
    -------
    Tensor of bool, shape (B, n)
    """
    real = features["attention_mask"].bool()
    return real & ~torch.isin(features["input_ids"], special_ids.to(real.device))
