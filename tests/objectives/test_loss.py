from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from sentence_transformers import (
    MultiVectorEncoder,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from torch.utils.checkpoint import checkpoint

from pyserini_optical.data import Pair
from pyserini_optical.models.teacher import TeacherVectors
from pyserini_optical.objectives import (
    Contrastive,
    DistillationLoss,
    Marginals,
    SentenceMSE,
    TokenAlignment,
    representation,
)


@pytest.fixture
def student(tiny: Path) -> SentenceTransformer:
    return SentenceTransformer(str(tiny), device="cpu")


@pytest.fixture
def teacher(tiny: Path, toy_pairs: list[Pair]) -> TeacherVectors:
    model = SentenceTransformer(str(tiny), device="cpu")
    return TeacherVectors(model, [pair.english for pair in toy_pairs])


def test_it_trains_in_sentence_transformers_own_trainer(
    student: SentenceTransformer, teacher: TeacherVectors, toy_pairs: list[Pair], tmp_path: Path
) -> None:
    frozen = {name: weight.clone() for name, weight in teacher.teacher.state_dict().items()}
    start = {name: weight.clone() for name, weight in student.state_dict().items()}
    objectives = {"optical": (1.0, TokenAlignment()), "sentence": (0.5, SentenceMSE()), "batch": (0.1, Contrastive())}
    loss = DistillationLoss(student, teacher, objectives)
    trainer = SentenceTransformerTrainer(
        model=student,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(tmp_path),
            max_steps=6,
            per_device_train_batch_size=16,
            learning_rate=1e-2,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=Dataset.from_dict(
            {"foreign": [pair.foreign for pair in toy_pairs], "label": list(range(len(toy_pairs)))}
        ),
        loss=loss,
    )
    trainer.train()
    steps = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(steps) == 6
    for entry in steps:
        parts = [entry["optical"], entry["sentence"], entry["batch"]]
        assert entry["loss"] == pytest.approx(sum(parts), rel=1e-3)
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert all(torch.equal(weight, frozen[name]) for name, weight in teacher.teacher.state_dict().items())
    assert any(not torch.equal(weight, start[name]) for name, weight in student.state_dict().items())
    student.save_pretrained(str(tmp_path / "saved"))  # with the usual model card
    assert "DistillationLoss" in (tmp_path / "saved" / "README.md").read_text()


def test_each_row_gets_its_own_teacher_and_weights_count(
    student: SentenceTransformer, teacher: TeacherVectors, toy_pairs: list[Pair]
) -> None:
    student.eval()
    loss = DistillationLoss(student, teacher, {"sentence": (2.0, SentenceMSE())})
    rows = [7, 3, 11]
    features = student.preprocess([toy_pairs[row].english for row in rows])
    # The student is its teacher still: reading the English side itself, it is at no distance but bfloat16's.
    assert loss([features], torch.tensor(rows))["sentence"].item() == pytest.approx(0, abs=1e-3)
    far = loss([features], torch.tensor(rows[::-1]))["sentence"].item()
    once = DistillationLoss(student, teacher, {"sentence": (1.0, SentenceMSE())})
    assert far == pytest.approx(2 * once([features], torch.tensor(rows[::-1]))["sentence"].item())
    assert far > 0.01


def test_special_tokens_take_part_only_if_asked(
    student: SentenceTransformer, teacher: TeacherVectors, toy_pairs: list[Pair]
) -> None:
    seen = []

    class Look(TokenAlignment):
        def forward(self, student, teacher):  # type: ignore[no-untyped-def]
            seen.append(student.mask)
            return super().forward(student, teacher)

    features = student.preprocess([pair.english for pair in toy_pairs[:4]])
    for special in (False, True):
        marginals = Marginals.of(student.tokenizer, special_tokens=special)
        loss = DistillationLoss(student, teacher, {"optical": (1.0, Look())}, marginals=marginals)
        loss([features], torch.arange(4))
    without, with_special = seen
    assert torch.equal(with_special, features["attention_mask"].bool())
    assert (with_special.sum(dim=1) - without.sum(dim=1)).tolist() == [2, 2, 2, 2]


def test_an_anchor_reads_the_english_side(
    student: SentenceTransformer, teacher: TeacherVectors, toy_pairs: list[Pair]
) -> None:
    student.eval()
    foreign, english = {"sentence": (1.0, SentenceMSE())}, {"sentence": (0.5, SentenceMSE()), "c": (1.0, Contrastive())}
    loss = DistillationLoss(student, teacher, foreign, english=english)
    rows = [7, 3, 11]
    columns = [student.preprocess([getattr(toy_pairs[row], side) for row in rows]) for side in ("foreign", "english")]
    found = loss(columns, torch.tensor(rows))
    assert list(found) == ["sentence", "sentence-english", "c-english"]
    # The student is its teacher still: only its foreign side is away from it.
    assert found["sentence-english"].item() == pytest.approx(0, abs=1e-3)
    assert found["sentence"].item() > 0.01
    other = loss(columns, torch.tensor(rows[::-1]))["sentence-english"].item()
    anchor = DistillationLoss(student, teacher, {"sentence": (1.0, SentenceMSE())})
    assert other == pytest.approx(0.5 * anchor([columns[1]], torch.tensor(rows[::-1]))["sentence"].item())
    with pytest.raises(ValueError, match=r"foreign, English .* got 1 text columns"):
        loss(columns[:1], torch.tensor(rows))


def test_what_does_not_fit_is_refused_in_words(student: SentenceTransformer, teacher: TeacherVectors) -> None:
    with pytest.raises(ValueError, match="at least one objective"):
        DistillationLoss(student, teacher, {})
    loss = DistillationLoss(student, teacher, {"sentence": (1.0, SentenceMSE())})
    features = student.preprocess(["za mto"])
    with pytest.raises(ValueError, match="2 text columns"):
        loss([features, features], torch.tensor([0]))
    with pytest.raises(ValueError, match="no label"):
        loss([features], None)


def test_its_weights_are_in_the_model_card(student: SentenceTransformer, teacher: TeacherVectors) -> None:
    loss = DistillationLoss(student, teacher, {"sentence": (0.5, SentenceMSE())})
    assert loss.get_config_dict() == {"objectives": {"sentence": 0.5}}


@pytest.mark.parametrize("late", [False, True])
def test_in_parts_the_gradient_is_that_of_the_whole_batch(late: bool, tiny: Path, toy_pairs: list[Pair]) -> None:
    model = MultiVectorEncoder(str(tiny), device="cpu") if late else SentenceTransformer(str(tiny), device="cpu")
    model.eval()  # or dropout would be drawn otherwise
    vectors = TeacherVectors(model, [pair.english for pair in toy_pairs])
    rows = list(range(11))
    features = model.preprocess([toy_pairs[row].foreign for row in rows], **({"task": "query"} if late else {}))
    gradients = []
    for mini_batch_size in (None, 4, 11):
        objectives = {"tokens": (1.0, TokenAlignment()), "batch": (0.5, Contrastive())}
        loss = DistillationLoss(model, vectors, objectives, mini_batch_size=mini_batch_size)
        model.zero_grad()
        sum(loss([features], torch.tensor(rows)).values()).backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None})
    for other in gradients[1:]:
        torch.testing.assert_close(other, gradients[0], rtol=1e-4, atol=1e-7)
    assert any(gradient.abs().max() > 1e-4 for gradient in gradients[0].values())


def test_parts_want_less_memory_than_the_whole_batch(student: SentenceTransformer, teacher: TeacherVectors) -> None:
    features = student.preprocess(["a sentence of some words and more"] * 64)
    kept = []
    for mini_batch_size in (None, 8):
        loss = DistillationLoss(student, teacher, {"batch": (1.0, Contrastive())}, mini_batch_size=mini_batch_size)
        sizes: list[int] = []

        def pack(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss([features], torch.arange(64) % 8)["batch"]
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 4


def test_parts_tell_the_second_reading_which_random_state_it_needs(
    student: SentenceTransformer, teacher: TeacherVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def watched(read: Callable[..., object], *arguments: object, use_reentrant: bool) -> object:
        given.extend(arguments)
        return checkpoint(read, *arguments, use_reentrant=use_reentrant)

    monkeypatch.setattr(representation, "checkpoint", watched)
    student.train()  # with dropout
    features = student.preprocess(["a sentence of some words"] * 8)
    loss = DistillationLoss(student, teacher, {"batch": (1.0, Contrastive())}, mini_batch_size=4)
    loss([features], torch.arange(8))["batch"].backward()
    # It looks at the devices of the tensors among the arguments.
    assert any(isinstance(one, torch.Tensor) and one.device == student.device for one in given)
