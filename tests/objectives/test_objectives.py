from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import ot
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pyserini_optical.couplings import COUPLINGS, Exact, uniform_mass
from pyserini_optical.objectives import (
    OBJECTIVES,
    Contrastive,
    Objective,
    Representation,
    SentenceMSE,
    TokenAlignment,
)

Array = NDArray[np.float64]


def representation(seed: int, lengths: tuple[int, ...] = (4, 2, 5), dimension: int = 6) -> Representation:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(len(lengths), max(lengths) + 1, dimension, generator=generator)
    mask = torch.arange(max(lengths) + 1)[None] < torch.tensor(lengths)[:, None]
    pooled = functional.normalize(torch.randn(len(lengths), dimension, generator=generator), dim=-1)
    return Representation(tokens.requires_grad_(), mask, pooled.requires_grad_())


def pooled(side: Representation) -> Tensor:
    assert side.pooled is not None
    return side.pooled


def gradient(objective: Objective, student: Representation, teacher: Representation, part: str) -> Array:
    for side in (student, teacher):
        side.tokens.grad = pooled(side).grad = None
    objective(student, teacher).backward()
    found = getattr(student, part).grad
    assert found is not None
    return np.asarray(found.double().numpy())


def slope(function: Callable[[Array], float], at: Array, step: float = 1e-5) -> Array:
    """The gradient by central differences."""
    result = np.zeros_like(at)
    for place in np.ndindex(*at.shape):
        high, low = at.copy(), at.copy()
        high[place] += step
        low[place] -= step
        result[place] = (function(high) - function(low)) / (2 * step)
    return result


def float64(tensor: Tensor) -> Array:
    return np.asarray(tensor.detach().double().numpy())


def cosine_cost(teacher: Array, student: Array) -> Array:
    source, target = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (teacher, student))
    return np.asarray(1 - source @ np.swapaxes(target, -1, -2))


@pytest.mark.parametrize("name", COUPLINGS)
def test_token_alignment_follows_its_formula_at_the_plan(name: str) -> None:
    student, teacher = representation(0), representation(1, (3, 5, 2))
    objective = TokenAlignment(COUPLINGS[name]())
    teachers = float64(teacher.tokens)
    found = gradient(objective, student, teacher, "tokens")
    cost = torch.from_numpy(cosine_cost(teachers, float64(student.tokens)))
    plan = COUPLINGS[name]().plan(cost, uniform_mass(teacher.mask), uniform_mass(student.mask))
    matrix = float64(plan.matrix)

    def loss(tokens: Array) -> float:
        return float((matrix * cosine_cost(teachers, tokens)).sum() / 3)

    assert objective(student, teacher).item() == pytest.approx(loss(float64(student.tokens)), abs=1e-6)
    np.testing.assert_allclose(found, slope(loss, float64(student.tokens)), atol=2e-6)


@pytest.mark.parametrize("name", COUPLINGS)
def test_the_squared_error_follows_its_formula_at_the_plan(name: str) -> None:
    student, teacher = representation(20), representation(21, (3, 5, 2))
    objective = TokenAlignment(COUPLINGS[name](), error="squared")
    teachers = float64(teacher.tokens)
    found = gradient(objective, student, teacher, "tokens")
    cost = torch.from_numpy(cosine_cost(teachers, float64(student.tokens)))
    matrix = float64(COUPLINGS[name]().plan(cost, uniform_mass(teacher.mask), uniform_mass(student.mask)).matrix)

    def loss(tokens: Array) -> float:
        return float((matrix * np.square(teachers[:, :, None] - tokens[:, None]).sum(axis=-1)).sum() / 3)

    assert objective(student, teacher).item() == pytest.approx(loss(float64(student.tokens)), rel=1e-5)
    np.testing.assert_allclose(found, slope(loss, float64(student.tokens)), atol=1e-5)


@pytest.mark.parametrize("name", COUPLINGS)
def test_tokens_weigh_as_much_as_their_sides_say(name: str) -> None:
    weights = torch.tensor([[1.0, 3, 1, 2, 1, 0]] * 3)
    sides = []
    for seed in (24, 25):
        side = representation(seed)
        mass = weights * side.mask
        sides.append(replace(side, mass=mass / mass.sum(dim=1, keepdim=True)))
    student, teacher = sides
    objective = TokenAlignment(COUPLINGS[name]())
    teachers, students = float64(teacher.tokens), float64(student.tokens)
    found = gradient(objective, student, teacher, "tokens")
    cost = torch.from_numpy(cosine_cost(teachers, students))
    matrix = float64(COUPLINGS[name]().plan(cost, teacher.masses, student.masses).matrix)
    np.testing.assert_allclose(
        found, slope(lambda tokens: float((matrix * cosine_cost(teachers, tokens)).sum() / 3), students), atol=2e-6
    )
    if name != "positional":
        alike = [replace(side, mass=None) for side in sides]
        assert objective(*sides).item() != pytest.approx(objective(*alike).item(), abs=1e-4)


def test_of_unit_vectors_the_squared_error_is_twice_the_cosine_s() -> None:
    sides = [representation(seed) for seed in (22, 23)]
    student, teacher = (
        Representation(functional.normalize(side.tokens, dim=-1), side.mask, side.pooled) for side in sides
    )
    cosine, squared = (TokenAlignment(error=error)(student, teacher).item() for error in ("cosine", "squared"))
    assert squared == pytest.approx(2 * cosine, rel=1e-5)
    with pytest.raises(ValueError, match="cosine or squared"):
        TokenAlignment(error="absolute")


def test_exact_token_alignment_has_the_slope_of_the_true_optimum() -> None:
    student, teacher = representation(2), representation(3, (3, 5, 2))
    teachers = float64(teacher.tokens)
    lengths = list(zip(teacher.mask.sum(dim=1).tolist(), student.mask.sum(dim=1).tolist(), strict=True))

    def optimum(tokens: Array) -> float:
        cost = cosine_cost(teachers, tokens)
        pairs = zip(cost, lengths, strict=True)
        return float(sum(ot.emd2(np.ones(m) / m, np.ones(n) / n, c[:m, :n]) for c, (m, n) in pairs) / 3)

    objective = TokenAlignment(Exact())
    assert objective(student, teacher).item() == pytest.approx(optimum(float64(student.tokens)), abs=1e-6)
    found = gradient(objective, student, teacher, "tokens")
    np.testing.assert_allclose(found, slope(optimum, float64(student.tokens)), atol=2e-6)


def test_sentence_mse_follows_its_formula_and_is_twice_the_cosine_distance() -> None:
    student, teacher = representation(4), representation(5)
    target = float64(pooled(teacher))

    def loss(vectors: Array) -> float:
        return float(((vectors - target) ** 2).sum(axis=1).mean())

    value = SentenceMSE()(student, teacher).item()
    cosine = functional.cosine_similarity(pooled(student), pooled(teacher)).mean().item()
    assert value == pytest.approx(loss(float64(pooled(student))), abs=1e-6)
    assert value == pytest.approx(2 * (1 - cosine), abs=1e-6)
    found = gradient(SentenceMSE(), student, teacher, "pooled")
    np.testing.assert_allclose(found, slope(loss, float64(pooled(student))), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_contrastive_follows_its_formula(temperature: float) -> None:
    student, teacher = representation(6), representation(7)
    target = float64(pooled(teacher))

    def loss(vectors: Array) -> float:
        scores = vectors @ target.T / temperature
        return float(np.mean(np.log(np.exp(scores).sum(axis=1)) - np.diagonal(scores)))

    objective = Contrastive(temperature)
    assert objective(student, teacher).item() == pytest.approx(loss(float64(pooled(student))), rel=1e-5)
    found = gradient(objective, student, teacher, "pooled")
    np.testing.assert_allclose(found, slope(loss, float64(pooled(student))), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_gradient_reaches_padding_or_the_teacher(name: str) -> None:
    student, teacher = representation(8), representation(9, (2, 3, 6))
    frozen = Representation(teacher.tokens.detach(), teacher.mask, pooled(teacher).detach())
    OBJECTIVES[name]()(student, frozen).backward()
    reached = [part.grad for part in (student.tokens, pooled(student)) if part.grad is not None]
    assert reached
    assert all(torch.isfinite(part).all() for part in reached)
    assert any((part != 0).any() for part in reached)
    if student.tokens.grad is not None:
        assert (student.tokens.grad[~student.mask] == 0).all()
        assert (student.tokens.grad[student.mask] != 0).any(dim=-1).all()


def test_token_alignment_detaches_its_teacher() -> None:
    student, teacher = representation(10), representation(11)
    TokenAlignment()(student, teacher).backward()
    assert teacher.tokens.grad is None


@pytest.mark.parametrize("name", COUPLINGS)
def test_what_stands_in_padding_does_not_count(name: str) -> None:
    student, teacher = representation(12), representation(13, (3, 5, 2))
    objective = TokenAlignment(COUPLINGS[name]())
    value = objective(student, teacher)
    wild = Representation(
        torch.where(student.mask[..., None], student.tokens, 1e4 * torch.randn_like(student.tokens)).detach(),
        student.mask,
        student.pooled,
    )
    empty = Representation(
        torch.where(teacher.mask[..., None], teacher.tokens, 0.0).detach(), teacher.mask, teacher.pooled
    )
    torch.testing.assert_close(objective(wild, empty), value, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", COUPLINGS)
def test_pairs_with_an_empty_side_do_not_count(name: str) -> None:
    objective = TokenAlignment(COUPLINGS[name]())
    student, teacher = representation(14), representation(15)
    alone = objective(
        *(Representation(side.tokens[:1], side.mask[:1], pooled(side)[:1]) for side in (student, teacher))
    ).detach()
    for side, row in ((student, 1), (teacher, 2)):
        side.mask[row] = False
    value = objective(student, teacher)
    torch.testing.assert_close(value, alone, atol=1e-5, rtol=0)
    value.backward()
    assert student.tokens.grad is not None
    assert (student.tokens.grad[1:] == 0).all()
    student.mask[:] = False
    nothing = objective(student, teacher)
    assert nothing.item() == 0
    nothing.backward()
    assert torch.isfinite(student.tokens.grad).all()


def test_alignment_is_computed_in_float32_inside_autocast() -> None:
    student, teacher = representation(16), representation(17)
    outside = TokenAlignment()(student, teacher)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = TokenAlignment()(student, teacher)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, outside)


def test_learning_moves_the_tokens_to_the_teacher() -> None:
    student, teacher = representation(18, (5, 5)), representation(19, (5, 5))
    optimiser = torch.optim.Adam([student.tokens], lr=0.05)
    objective = TokenAlignment()
    first = objective(student, teacher).item()
    for _ in range(150):
        optimiser.zero_grad()
        objective(student, teacher).backward()
        optimiser.step()
    assert first > 0.5
    assert objective(student, teacher).item() < 0.02


def test_a_temperature_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="temperature"):
        Contrastive(0)
