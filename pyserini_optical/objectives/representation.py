"""What objectives compare: the token vectors and the pooled vectors of a batch of sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from pyserini_optical.couplings import uniform_mass
from pyserini_optical.objectives.marginals import Marginals


@dataclass(frozen=True)
class Representation:
    """A batch of sentences as a model sees them.

    Attributes
    ----------
    tokens : Tensor, shape (B, n, d)
        Contextual token vectors; those of a late-interaction model have unit length.
    mask : Tensor of bool, shape (B, n)
        True for the tokens of a late-interaction model that it scores by, and for those of another that take part in
        alignment.
    pooled : Tensor or None, shape (B, d)
        Sentence vectors, of unit length; None of a late-interaction model, which has none.
    mass : Tensor or None, shape (B, n)
        How much each token weighs in alignment, rows sum to one and zero marks those that take no part
        (:class:`~pyserini_optical.objectives.marginals.Marginals`); None for all in the mask alike.
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor | None
    mass: Tensor | None = None

    @property
    def masses(self) -> Tensor:
        """The mass of each token, shape (B, n)."""
        return uniform_mass(self.mask) if self.mass is None else self.mass


class Objective(nn.Module):
    """Something to be learnt: how far the student's representation of a batch is from its teacher's.

    Subclasses implement ``forward(student, teacher) -> scalar Tensor``; the teacher's side has no gradient.
    """

    def forward(self, student: Representation, teacher: Representation) -> Tensor:
        """Give the loss, a scalar, averaged over the batch."""
        raise NotImplementedError


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


def represent(model: Any, features: dict[str, Any], marginals: Marginals | None = None) -> Representation:
    """Run a model over tokenised sentences, read as queries.

    Parameters
    ----------
    model : SentenceTransformer or MultiVectorEncoder
        The second has no sentence vectors.
    features : dict
        As the model's ``preprocess`` gives them.
    marginals : Marginals, optional
        Which tokens take part in alignment, and how much each weighs; by default all that the model reads, or that one
        for late interaction scores by, and all alike.
    """
    # Several processes train a model in a wrapper.
    inner = getattr(model, "module", model)
    ids, read = features["input_ids"], features["attention_mask"].bool()
    if inner.model_type != "MultiVectorEncoder":
        output = model(dict(features))
        tokens = output["token_embeddings"].float()
        mask = read if marginals is None else marginals.taking_part(ids, read, read)
        pooled = functional.normalize(output["sentence_embedding"].float(), dim=-1)
        mass = None if marginals is None else marginals.masses(ids, mask, tokens)
        return Representation(tokens, mask, pooled, mass)
    with _before_unit_length(inner) as raw:
        output = model(dict(features), task="query")
    tokens, mask = output["token_embeddings"].float(), output["attention_mask"].bool()
    if marginals is None:
        return Representation(tokens, mask, None)
    aligned = marginals.taking_part(ids, read, mask)
    return Representation(tokens, mask, None, marginals.masses(ids, aligned, raw[0] if raw else tokens))


@contextmanager
def _before_unit_length(model: Any) -> Iterator[list[Tensor]]:
    """Give a late-interaction model's token vectors, when it has run, as they are before it gives them unit length."""
    from sentence_transformers.base.modules import Normalize

    seen: list[Tensor] = []
    last = [module for module in model if isinstance(module, Normalize)]
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]["token_embeddings"].detach()))
        for module in last[-1:]
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def represent_in_parts(
    model: Any, features: dict[str, Any], marginals: Marginals, mini_batch_size: int | None
) -> Representation:
    """Run a model as :func:`represent` does, over parts of the batch that it reads again in the backward pass.

    Parameters
    ----------
    model, features, marginals
        As for :func:`represent`.
    mini_batch_size : int or None
        Sentences in a part; None for the whole batch at once, which is not read again.
    """
    rows = len(features["input_ids"])
    if mini_batch_size is None or mini_batch_size >= rows:
        return represent(model, features, marginals)
    per_row = {
        name: value for name, value in features.items() if isinstance(value, Tensor) and value.shape[:1] == (rows,)
    }

    def read(*columns: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        part = features | dict(zip(per_row, columns, strict=True))
        made = represent(model, part, marginals)
        return made.tokens, made.mask, made.pooled, made.masses

    # As arguments: by their device it is known which random state, of dropout, the second reading needs too.
    columns = zip(*(torch.split(value, mini_batch_size) for value in per_row.values()), strict=True)
    parts = [checkpoint(read, *each, use_reentrant=False) for each in columns]
    tokens, masks, pooled, masses = zip(*parts, strict=True)
    whole = None if pooled[0] is None else torch.cat(pooled)
    return Representation(torch.cat(tokens), torch.cat(masks), whole, torch.cat(masses))
