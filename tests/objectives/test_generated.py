from __future__ import annotations

from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch.nn import functional

from pyserini_optical.models.teacher import TextVectors
from pyserini_optical.objectives import GeneratorLoss, InfoNCE, QuestionAlignment, RelevanceKL


@pytest.fixture
def scores() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(3, 4, dtype=torch.double), torch.randn(3, 4, dtype=torch.double)


def test_alignment_is_the_mean_of_both_divergences(scores: tuple[torch.Tensor, torch.Tensor]) -> None:
    first, second = scores
    p, q = (torch.softmax(each / 0.5, dim=1) for each in scores)
    one, other = ((a * (a / b).log()).sum() / 3 for a, b in ((p, q), (q, p)))
    assert QuestionAlignment(0.5)(first, second) == pytest.approx(float((one + other) / 2))
    assert QuestionAlignment(0.5)(second, first) == pytest.approx(float(QuestionAlignment(0.5)(first, second)))
    assert QuestionAlignment(0.5, symmetric=False)(first, second) == pytest.approx(float(one))
    assert QuestionAlignment()(first, first) == pytest.approx(0.0)
    with pytest.raises(ValueError, match="temperature"):
        QuestionAlignment(0)


@pytest.mark.parametrize("objective", [QuestionAlignment(0.5), QuestionAlignment(0.5, symmetric=False)])
def test_gradients(objective: QuestionAlignment, scores: tuple[torch.Tensor, torch.Tensor]) -> None:
    first, second = (each.requires_grad_() for each in scores)
    if objective.symmetric:
        assert torch.autograd.gradcheck(objective, (first, second))
    else:
        assert torch.autograd.gradcheck(lambda given: objective(first.detach(), given), (second,))
        objective(first, second).backward()
        assert first.grad is None


def test_info_nce_and_the_teacher_s_own_temperature(scores: tuple[torch.Tensor, torch.Tensor]) -> None:
    student, teacher = scores
    relevant = torch.tensor([0, 3, 1])
    expected = functional.cross_entropy(student / 0.1, relevant)
    assert InfoNCE(0.1)(student, teacher, relevant) == pytest.approx(float(expected))
    same = RelevanceKL(0.1, 2.0)(student, teacher, relevant)
    assert same == pytest.approx(float(RelevanceKL(0.1)(student, teacher / 20, relevant)))
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda given: InfoNCE(0.5)(given, teacher, relevant), (student,))


@pytest.mark.usefixtures("in_float32")
def test_the_loss_is_that_of_the_scores(tiny: Any) -> None:
    model = SentenceTransformer(str(tiny), device="cpu").eval()
    texts = ["the old river", "a new house", "the red boat", "a teacher sees the market", "the child"]
    asked, others = ["the river", "a house"], ["river", "the new house"]
    candidates, teacher = [[0, 2, 3], [1, 2, 4]], torch.tensor([[-1.0, -2.0, -3.0], [-0.5, -0.7, -4.0]])
    objectives = {"info-nce": (2.0, InfoNCE(0.1)), "relevance-kl": (1.0, RelevanceKL(0.1, 0.5))}
    loss = GeneratorLoss(
        model, TextVectors(model, texts, "document"), candidates, teacher, objectives, (3.0, QuestionAlignment(0.1))
    )
    found = loss([model.preprocess(asked), model.preprocess(others)], torch.tensor([0, 1]))
    vectors = {
        name: model.encode(each, convert_to_tensor=True)
        for name, each in zip("qop", (asked, others, texts), strict=True)
    }
    every, generated = vectors["q"] @ vectors["p"].T, vectors["o"] @ vectors["p"].T
    own, theirs = (torch.stack([each[n, row] for n, row in enumerate(candidates)]) for each in (every, generated))
    first = torch.zeros(2, dtype=torch.long)
    wanted = {
        "info-nce": 2 * InfoNCE(0.1)(every, every, torch.tensor([0, 1])),
        "relevance-kl": RelevanceKL(0.1, 0.5)(own, teacher, first),
        "alignment": 3 * QuestionAlignment(0.1)(own, theirs),
    }
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {name: value.item() for name, value in wanted.items()}, abs=1e-5
    )
    # One row alone: its own candidates are all passages of the batch.
    alone = loss([model.preprocess(asked[:1]), model.preprocess(others[:1])], torch.tensor([0]))
    assert alone["info-nce"].item() == pytest.approx(float(2 * InfoNCE(0.1)(own[:1], own[:1], first[:1])), abs=1e-5)
    with pytest.raises(ValueError, match="question, generated"):
        loss([model.preprocess(asked)], torch.tensor([0, 1]))
