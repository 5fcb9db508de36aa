"""Mate retrieval: does each foreign sentence find its own translation among all of the development set?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator

from pyserini_optical.data import Pair
from pyserini_optical.models.teacher import encode_texts

if TYPE_CHECKING:
    from pyserini_optical.distillation.training import Model


class MateRetrieval(SentenceEvaluator):  # type: ignore[misc]
    r"""Mean reciprocal rank of each foreign sentence's translation, :math:`\frac{1}{N} \sum_i 1 / \mathrm{rank}_i`.

    The student encodes the foreign side as queries, the teacher the English side as documents (once); they are scored
    as the models retrieve, by the cosine or by MaxSim. Ties count against the student, so one that gives the same
    vector to everything, or NaN, scores next to nothing.

    Parameters
    ----------
    teacher : SentenceTransformer or MultiVectorEncoder
        The frozen teacher.
    pairs : sequence of Pair
        The development set.
    """

    def __init__(self, teacher: Model, pairs: Sequence[Pair]) -> None:
        super().__init__()
        self.primary_metric = "mate_mrr"
        self._foreign = [pair.foreign for pair in pairs]
        self._english = encode_texts(teacher, [pair.english for pair in pairs], "document")

    def __call__(
        self, model: Model, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Give ``{"mate_mrr": …}``, between 0 and 1."""
        foreign = encode_texts(model, self._foreign, "query")
        scores = model.similarity(foreign, self._english)
        ranks = (~(scores < scores.diagonal()[:, None])).sum(dim=1)
        return {self.primary_metric: float((1.0 / ranks).mean())}
