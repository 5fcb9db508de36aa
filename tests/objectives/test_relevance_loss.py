from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss, MarginMSELoss
from torch import Tensor

from pyserini_optical.data import Pair
from pyserini_optical.models.teacher import TextVectors
from pyserini_optical.objectives import (
    RELEVANCE_OBJECTIVES,
    MarginMSE,
    RelevanceKL,
    RelevanceLoss,
    RelevanceObjective,
    Representation,
    similarities,
)

RELEVANT = torch.tensor([2, 0, 4])


def scores(seed: int, passages: int = 5) -> Tensor:
    return torch.rand(3, passages, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def vectors(seed: int, count: int) -> Tensor:
    drawn = torch.randn(count, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=-1)


@pytest.mark.parametrize("objective", [RelevanceKL(), RelevanceKL(2.0), MarginMSE()], ids=["sharp", "flat", "margin"])
def test_the_gradient_is_that_of_finite_differences(objective: RelevanceObjective) -> None:
    student, teacher = scores(0).requires_grad_(), scores(1)
    assert torch.autograd.gradcheck(lambda ours: objective(ours, teacher, RELEVANT), student)


def test_relevance_kl_follows_its_formula() -> None:
    student, teacher, temperature = scores(2), scores(3), 0.3

    def softmax(rows: Tensor) -> NDArray[np.float64]:
        powers = np.exp(rows.numpy() / temperature)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    wanted, found = softmax(teacher), softmax(student)
    expected = temperature**2 * (wanted * np.log(wanted / found)).sum(axis=1).mean()
    assert RelevanceKL(temperature)(student, teacher, RELEVANT).item() == pytest.approx(expected)


def test_margin_mse_follows_its_formula() -> None:
    student, teacher = scores(4), scores(5)
    differences = []
    for row, right in enumerate(RELEVANT.tolist()):
        for other in set(range(5)) - {right}:
            ours, theirs = (float(each[row, right] - each[row, other]) for each in (student, teacher))
            differences.append((ours - theirs) ** 2)
    assert MarginMSE()(student, teacher, RELEVANT).item() == pytest.approx(np.mean(differences))


def test_they_are_sentence_transformers_own_on_the_same_scores(tiny: Path) -> None:
    model = SentenceTransformer(str(tiny), device="cpu")
    questions, passages = vectors(6, 3), vectors(7, 4)
    teacher = scores(8, passages=4)
    columns = [questions, *(passage.expand(3, -1) for passage in passages)]
    kl = DistillKLDivLoss(model, temperature=0.5).compute_loss_from_embeddings(columns, teacher)
    margin = MarginMSELoss(model).compute_loss_from_embeddings(columns, teacher)
    first = torch.zeros(3, dtype=torch.long)
    torch.testing.assert_close(RelevanceKL(0.5)(questions @ passages.T, teacher, first), kl)
    torch.testing.assert_close(MarginMSE()(questions @ passages.T, teacher, first), margin)


@pytest.mark.parametrize("name", [name for name, kind in RELEVANCE_OBJECTIVES.items() if kind.needs_teacher])
def test_the_teacher_s_own_scores_cost_nothing(name: str) -> None:
    objective = RELEVANCE_OBJECTIVES[name]()
    assert objective(scores(9), scores(9), RELEVANT).item() == pytest.approx(0, abs=1e-12)
    # One question with its passage alone: nothing to learn, and no division by nothing.
    alone = objective(torch.ones(1, 1, requires_grad=True), torch.zeros(1, 1), torch.tensor([0]))
    assert alone.item() == 0


def test_a_temperature_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="temperature"):
        RelevanceKL(0)


def test_the_loss_scores_each_question_with_all_passages_of_the_batch(tiny: Path, toy_pairs: list[Pair]) -> None:
    model = SentenceTransformer(str(tiny), device="cpu").eval()
    questions = TextVectors(model, [pair.english for pair in toy_pairs[:4]], "query")
    passages = TextVectors(model, [pair.english for pair in toy_pairs[10:16]], "document")
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    class Look(RelevanceObjective):
        def forward(self, student: Tensor, teacher: Tensor, relevant: Tensor) -> Tensor:
            seen.append((student, teacher, relevant))
            return student.sum()

    candidates = [[3, 1], [0], [1, 5], [3, 2]]
    loss = RelevanceLoss(model, questions, passages, candidates, {"look": (2.0, Look())})
    rows = [2, 3, 0]
    value = loss([model.preprocess([toy_pairs[row].foreign for row in rows])], torch.tensor(rows))["look"]
    ((student, teacher, relevant),) = seen
    # 1 and 5 of the first, 3 and 2 of the second; both of the third are there already.
    pool = model.encode([toy_pairs[10 + row].english for row in (1, 5, 3, 2)], convert_to_tensor=True)
    asked, translated = (
        model.encode([getattr(toy_pairs[row], side) for row in rows], convert_to_tensor=True)
        for side in ("foreign", "english")
    )
    torch.testing.assert_close(student, asked @ pool.T, atol=2e-2, rtol=0)
    torch.testing.assert_close(teacher, translated @ pool.T, atol=2e-2, rtol=0)
    assert relevant.tolist() == [0, 2, 2]
    assert value.item() == pytest.approx(2 * student.sum().item())
    value.backward()
    assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())
    assert loss.get_config_dict() == {"objectives": {"look": 2.0}}
    with pytest.raises(ValueError, match="2 text columns"):
        loss([{}, {}], torch.tensor([0]))


def test_late_interaction_is_maxsim_over_the_number_of_query_tokens() -> None:
    torch.manual_seed(0)

    def side(lengths: list[int]) -> Representation:
        mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
        return Representation(torch.randn(len(lengths), max(lengths), 6), mask, None)

    queries, passages = side([2, 4]), side([3, 1, 5])
    found = similarities(queries, passages)
    for b in range(2):
        for c in range(3):
            q, d = queries.tokens[b][queries.mask[b]], passages.tokens[c][passages.mask[c]]
            cosines = torch.nn.functional.cosine_similarity(q[:, None], d[None], dim=-1)
            assert found[b, c].item() == pytest.approx(cosines.amax(dim=1).mean().item(), abs=1e-5)
