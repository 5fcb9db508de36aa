from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer

from pyserini_optical.data import Pair
from pyserini_optical.distillation.development import MateRetrieval
from pyserini_optical.models.device import autocast
from pyserini_optical.models.transformer import load_transformer


@pytest.fixture
def teacher(tiny: Path) -> SentenceTransformer:
    return load_transformer(str(tiny), "cpu")


def test_who_finds_every_mate_has_one(teacher: SentenceTransformer, toy_pairs: list[Pair]) -> None:
    english = [Pair(pair.english, pair.english) for pair in toy_pairs[:40]]
    assert MateRetrieval(teacher, english)(teacher) == {"mate_mrr": pytest.approx(1)}


def test_it_is_the_mean_reciprocal_rank(teacher: SentenceTransformer, toy_pairs: list[Pair]) -> None:
    english = [pair.english for pair in toy_pairs[:12]]
    mixed = [Pair(english[(i + 1) % 12], text) for i, text in enumerate(english)]
    with autocast("cpu"):
        vectors = torch.from_numpy(teacher.encode(english, normalize_embeddings=True)).float()
    expected = 0.0
    for i in range(12):
        scores = vectors[(i + 1) % 12] @ vectors.T
        expected += 1 / (1 + int((scores > scores[i]).sum())) / 12
    assert MateRetrieval(teacher, mixed)(teacher)["mate_mrr"] == pytest.approx(expected, abs=1e-6)
    assert expected < 0.6


@pytest.mark.parametrize("weight", [0.0, float("nan")])
def test_collapsed_and_broken_students_score_next_to_nothing(
    teacher: SentenceTransformer, tiny: Path, toy_pairs: list[Pair], weight: float
) -> None:
    student = load_transformer(str(tiny), "cpu")
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.fill_(weight)
    score = MateRetrieval(teacher, [Pair(pair.english, pair.english) for pair in toy_pairs[:40]])(student)["mate_mrr"]
    assert score == pytest.approx(1 / 40)
