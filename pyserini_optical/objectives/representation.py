"""What objectives compare: the token vectors and the pooled vectors of a batch of sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True)
class Representation:
    """A batch of sentences as a model sees them.

    Attributes
    ----------
    tokens : Tensor, shape (B, n, d)
        Contextual token vectors, not normalised.
    mask : Tensor of bool, shape (B, n)
        True for the tokens that take part in alignment: no padding, and no special tokens unless asked for.
    pooled : Tensor or None, shape (B, d)
        Sentence vectors, of unit length; None of a late-interaction model, which has none.
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor | None


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


def similarities(queries: Representation, passages: Representation) -> Tensor:
    """Score every query with every passage as the models retrieve, shape (B, C).

    By the cosine of the pooled vectors, or for late interaction by the mean over the query's tokens of their largest
    cosine with a token of the passage: MaxSim over the number of the query's tokens, between -1 and 1 too.

    Parameters
    ----------
    queries, passages : Representation
        B and C of them, both pooled or neither.
    """
    if queries.pooled is not None and passages.pooled is not None:
        return queries.pooled.float() @ passages.pooled.float().T
    ours = functional.normalize(queries.tokens.float(), dim=-1)
    theirs = functional.normalize(passages.tokens.float(), dim=-1)
    # (B, n, C, m): every token of the one side with every token of the other.
    cosines = torch.einsum("bnd,cmd->bncm", ours, theirs)
    best = cosines.masked_fill(~passages.mask, -1.0).amax(dim=-1)
    real = queries.mask[:, :, None]
    return (best * real).sum(dim=1) / real.sum(dim=1).clamp_min(1)


def represent(model: Any, features: dict[str, Any], special_ids: Tensor) -> Representation:
    """Run a model over tokenised sentences, read as queries.

    Parameters
    ----------
    model : SentenceTransformer or MultiVectorEncoder
        Of the second, which has no sentence vector, the tokens that it scores take part.
    features : dict
        As the model's ``preprocess`` gives them.
    special_ids : Tensor, shape (k,)
        Ids that take no part in alignment; a late-interaction model knows itself which tokens it scores.
    """
    # Several processes train a model in a wrapper.
    if getattr(model, "module", model).model_type == "MultiVectorEncoder":
        output = model(dict(features), task="query")
        return Representation(output["token_embeddings"].float(), output["attention_mask"].bool(), None)
    output = model(dict(features))
    return Representation(
        tokens=output["token_embeddings"].float(),
        mask=token_mask(features, special_ids),
        pooled=functional.normalize(output["sentence_embedding"].float(), dim=-1),
    )


def represent_in_parts(
    model: Any, features: dict[str, Any], special_ids: Tensor, mini_batch_size: int | None
) -> Representation:
    """Run a model as :func:`represent` does, over parts of the batch that it reads again in the backward pass.

    Parameters
    ----------
    model, features, special_ids
        As for :func:`represent`.
    mini_batch_size : int or None
        Sentences in a part; None for the whole batch at once, which is not read again.
    """
    rows = len(features["input_ids"])
    if mini_batch_size is None or mini_batch_size >= rows:
        return represent(model, features, special_ids)
    per_row = {
        name: value for name, value in features.items() if isinstance(value, Tensor) and value.shape[:1] == (rows,)
    }

    def read(*columns: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        part = features | dict(zip(per_row, columns, strict=True))
        made = represent(model, part, special_ids)
        return made.tokens, made.mask, made.pooled

    # As arguments: by their device it is known which random state, of dropout, the second reading needs too.
    columns = zip(*(torch.split(value, mini_batch_size) for value in per_row.values()), strict=True)
    parts = [checkpoint(read, *each, use_reentrant=False) for each in columns]
    tokens, masks, pooled = zip(*parts, strict=True)
    return Representation(torch.cat(tokens), torch.cat(masks), None if pooled[0] is None else torch.cat(pooled))
