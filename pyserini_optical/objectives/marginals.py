r"""The masses that transport moves: how much each token weighs in alignment.

================ =================================================================================================
``uniform``      every token the same
``norm``         by the length of its vector, before a late-interaction model gives all the same
``idf``          by how rare its piece is: :math:`\ln(1 + (N - n + 0.5) / (n + 0.5))` for one that stands in n of N
                 sentences of its side of the bitext
================ =================================================================================================

OPTICAL's abstract does not say which it has; uniform is our choice, the others are options. Weighing words by their
vectors' norms is Yokoi et al.'s [1]_, IDF is BM25's.

References
----------
.. [1] Yokoi, Takahashi, Akama, Suzuki, Inui. Word Rotator's Distance. EMNLP 2020. arXiv:2004.15003.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

Weighing: TypeAlias = Literal["uniform", "norm", "idf"]


@dataclass(frozen=True)
class Marginals:
    """Which tokens of one model take part in alignment, and how much each weighs.

    Attributes
    ----------
    left_out : Tensor of int, shape (k,)
        Ids of the pieces that take no part.
    all_read : bool
        Whether tokens take part that the model reads and late interaction does not score.
    by : {"uniform", "norm", "idf"}
        What they weigh by.
    idf : Tensor or None, shape (pieces,)
        By id; for ``idf``.
    """

    left_out: Tensor
    all_read: bool = False
    by: Weighing = "uniform"
    idf: Tensor | None = None

    @classmethod
    def of(
        cls, tokenizer: Any, *, special_tokens: bool = False, by: Weighing = "uniform", idf: Tensor | None = None
    ) -> Marginals:
        """Give those of a model.

        Parameters
        ----------
        tokenizer
            The model's.
        special_tokens : bool
            Whether [CLS], [SEP] and the tokeniser's other special tokens take part (so [UNK] too, and the markers and
            [MASK]s of ColBERT's queries).
        by, idf
            See :class:`Marginals`.

        Raises
        ------
        ValueError
            Unknown weighing, or ``idf`` is missing or there for nothing.
        """
        if by not in ("uniform", "norm", "idf"):
            raise ValueError(f"marginals must be uniform, norm or idf, got {by!r}")
        if (by == "idf") != (idf is not None):
            raise ValueError("marginals by idf want the idf of each piece, and those alone")
        special = [] if special_tokens else list(tokenizer.all_special_ids)
        return cls(torch.tensor(special, dtype=torch.long), special_tokens, by, idf)

    def taking_part(self, ids: Tensor, read: Tensor, scored: Tensor) -> Tensor:
        """Mark the tokens that take part.

        Parameters
        ----------
        ids : Tensor of int, shape (B, n)
            Pieces.
        read, scored : Tensor of bool, shape (B, n)
            Tokens that are no padding, and those that the model scores by.

        Returns
        -------
        Tensor of bool, shape (B, n)
        """
        mask = scored | read if self.all_read else scored
        return mask & ~torch.isin(ids, self.left_out.to(ids.device))

    def masses(self, ids: Tensor, mask: Tensor, tokens: Tensor) -> Tensor:
        """Give each token its mass, without gradient.

        Parameters
        ----------
        ids : Tensor of int, shape (B, n)
            Pieces.
        mask : Tensor of bool, shape (B, n)
            The tokens that take part.
        tokens : Tensor, shape (B, n, d)
            Their vectors, before any are given unit length; looked at for ``norm`` alone.

        Returns
        -------
        Tensor of float32, shape (B, n)
            Rows sum to one, those without tokens are zero.
        """
        weights = mask.float()
        if self.by == "norm":
            weights = weights * tokens.detach().float().norm(dim=-1)
        elif self.idf is not None:
            weights = weights * self.idf.to(ids.device)[ids]
        total = weights.sum(dim=-1, keepdim=True)
        return weights / torch.where(total > 0, total, 1.0)


def count_idf(pieces: Iterable[Tensor], size: int) -> Tensor:
    r"""Count how rare pieces are: :math:`\ln(1 + (N - n + 0.5) / (n + 0.5))`, above zero.

    Parameters
    ----------
    pieces : iterable of Tensor of int, shape (B, n)
        Batches of sentences; padding counts as a piece.
    size : int
        Pieces of the tokeniser.

    Returns
    -------
    Tensor of float32, shape (size,)
    """
    sentences, found = 0, torch.zeros(size)
    for ids in pieces:
        sentences += len(ids)
        ordered = ids.sort(dim=1).values
        first = torch.ones_like(ordered, dtype=torch.bool)
        first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        found += torch.bincount(ordered[first], minlength=size)
    return torch.log1p((sentences - found + 0.5) / (found + 0.5))
