"""Mate retrieval: does each foreign sentence find its own translation among all of the development set?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator

from pyserini_optical.data import Pair
from pyserini_optical.models.device import autocast

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class MateRetrieval(SentenceEvaluator):  # type: ignore[misc]
    r"""Mean reciprocal rank of each foreign sentence's translation, :math:`\frac{1}{N} \sum_i 1 / \mathrm{rank}_i`.

    The student encodes the foreign side, the teacher the English side (once). Ties count against the student, so one
    that gives the same vector to everything, or NaN, scores next to nothing.

    Parameters
    ----------
    teacher : SentenceTransformer
        The frozen teacher.
    pairs : sequence of Pair
        The development set.
    """

    def __init__(self, teacher: SentenceTransformer, pairs: Sequence[Pair]) -> None:
        super().__init__()
        self.primary_metric = "mate_mrr"
        self._foreign = [pair.foreign for pair in pairs]
        self._english = _encode(teacher, [pair.english for pair in pairs])

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Give ``{"mate_mrr": …}``, between 0 and 1."""
        scores = _encode(model, self._foreign) @ self._english.T
        ranks = (~(scores < scores.diagonal()[:, None])).sum(dim=1)
        return {self.primary_metric: float((1.0 / ranks).mean())}


def _encode(model: SentenceTransformer, texts: Sequence[str]) -> torch.Tensor:
    with torch.inference_mode(), autocast(str(model.device)):
        vectors = model.encode(
            list(texts), batch_size=64, convert_to_tensor=True, normalize_embeddings=True, show_progress_bar=False
        )
    return torch.as_tensor(vectors).float()
