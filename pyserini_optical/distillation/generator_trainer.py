"""One stage of a query generator's training with transformers' trainer: checkpoints and exact resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from pyserini_optical.distillation.finite import SkipsBadBatches
from pyserini_optical.distillation.sampler import LengthGroupedBatchSampler
from pyserini_optical.distillation.training import _last_checkpoint, _Plain, _Progress
from pyserini_optical.distillation.training_recipe import TrainingRecipe
from pyserini_optical.errors import RecipeError
from pyserini_optical.models.device import has_fast_bfloat16
from pyserini_optical.models.query_generator import QueryGenerator, mean_log_likelihood
from pyserini_optical.models.transformer import no_warnings, quiet, save_transformer
from pyserini_optical.progress import progress, say

Row = tuple[str, list[str], str]


@dataclass(frozen=True)
class Stage:
    r"""What is learnt.

    Attributes
    ----------
    rows : sequence of (str, list of str, str)
        Question, its passage and then other ones (each row as many), tag.
    temperature : float
        :math:`\tau` of the contrastive loss, which is zero where there is no other passage.
    likelihood : float
        Weight of the question's likelihood given its passage.
    """

    rows: Sequence[Row]
    temperature: float = 1.0
    likelihood: float = 1.0


def fit(
    generator: QueryGenerator, stage: Stage, setting: TrainingRecipe, *, seed: int, work: Path, title: str
) -> list[dict[str, Any]]:
    """Train a generator in place; a second call with the same ``work`` goes on where the first was cut off.

    Returns
    -------
    list of dict
        The trainer's log.

    Raises
    ------
    RecipeError
        Training diverged: the weights are not finite any more.
    """
    steps = max(1, round(-(-len(stage.rows) // setting.batch_size) * setting.epochs))
    arguments = TrainingArguments(
        output_dir=str(work),
        max_steps=steps,
        per_device_train_batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(setting.warmup * steps),
        max_grad_norm=setting.clip,
        bf16=has_fast_bfloat16(generator.device),
        use_cpu=generator.device == "cpu",
        save_strategy="steps",
        save_steps=setting.checkpoint_steps,
        save_total_limit=2,
        logging_strategy="steps",
        logging_steps=min(50, setting.checkpoint_steps),
        disable_tqdm=True,
        report_to="none",
        seed=seed,
        data_seed=seed,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # a step is batch_size questions; several GPUs want a process each
    done, checkpoint = _last_checkpoint(work)
    if done:
        say(f"going on at step {done} of {steps}")
    # It would warn that a checkpoint has weights that two places share but once.
    with progress(f"{title}, steps", steps, done=done) as advance, quiet(), no_warnings():
        trainer = _Trainer(
            stage=stage,
            generator=generator,
            model=generator.model,
            args=arguments,
            train_dataset=_Rows(stage.rows),
            data_collator=lambda rows: _collate(generator, rows),
            callbacks=[_Progress(advance)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        trainer.train(resume_from_checkpoint=checkpoint)
    generator.model.eval()
    if not all(bool(weight.isfinite().all()) for weight in generator.model.parameters()):
        raise RecipeError("training diverged, the weights are not finite any more; lower training.learning_rate")
    # As in `train`.
    return [entry for entry in trainer.state.log_history if "train_runtime" not in entry]


class _Rows(Dataset[Row]):
    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Row:
        return self._rows[number]


def _collate(generator: QueryGenerator, rows: Sequence[Row]) -> dict[str, Any]:
    """Give every question with each of its passages, one after the other."""
    pairs = [(question, passage, tag) for question, passages, tag in rows for passage in passages]
    questions, passages, tags = zip(*pairs, strict=True)
    return generator.features(questions, passages, tags)


class _Trainer(_Plain, SkipsBadBatches, Trainer):
    def __init__(self, *, stage: Stage, generator: QueryGenerator, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._stage = stage
        self._generator = generator
        self._passages = len(stage.rows[0][1])

    def compute_loss(
        self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        scores = mean_log_likelihood(model, inputs).view(-1, self._passages)
        contrast = torch.log_softmax(scores / self._stage.temperature, dim=1)[:, 0]
        return -(contrast + self._stage.likelihood * scores[:, 0]).mean()

    def get_train_dataloader(self) -> Any:
        """Batch rows of about the same length: sentences of the bitext are much shorter than passages."""
        rows = self._stage.rows
        batches = LengthGroupedBatchSampler(
            rows,
            batch_size=self.args.per_device_train_batch_size,
            drop_last=False,
            seed=self.args.seed,
            lengths=[len(passages[0]) for _, passages, _ in rows],
        )
        return self.accelerator.prepare(DataLoader(_Rows(rows), batch_sampler=batches, collate_fn=self.data_collator))

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        save_transformer(self._generator, Path(output_dir or str(self.args.output_dir)))
