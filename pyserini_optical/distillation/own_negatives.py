"""What a cross-encoder learns by: its question's passage against that question's own hard negatives."""

from __future__ import annotations

from collections.abc import Iterator

from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder.losses import MultipleNegativesRankingLoss
from torch import nn


class OwnNegativesLoss(MultipleNegativesRankingLoss):  # type: ignore[misc]
    r"""Cross-entropy of the relevant passage among the question's own: :math:`-\log\mathrm{softmax}(s(q, d))_0`.

    Sentence-transformers' loss, without passages of other questions: each would be read with this question too, and the
    hard ones teach more.

    Parameters
    ----------
    model : CrossEncoder
        With one label.
    """

    def __init__(self, model: CrossEncoder) -> None:
        super().__init__(model, num_negatives=None, scale=1, activation_fn=nn.Identity())

    def get_in_batch_negatives(self, anchors: list[str], candidates: list[list[str]]) -> Iterator[list[str]]:
        """Give none."""
        return iter(())
