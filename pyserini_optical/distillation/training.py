"""Training a student with sentence-transformers' trainer: checkpoints, exact resume, early stopping."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from transformers import EarlyStoppingCallback, TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from pyserini_optical.distillation.sampler import by_length
from pyserini_optical.errors import RecipeError
from pyserini_optical.models.device import has_fast_bfloat16
from pyserini_optical.models.transformer import quiet, save_transformer
from pyserini_optical.progress import Advance, progress, say

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from pyserini_optical.distillation.development import MateRetrieval
    from pyserini_optical.distillation.recipe import Recipe
    from pyserini_optical.objectives import DistillationLoss


def train(
    student: SentenceTransformer,
    loss: DistillationLoss,
    sentences: Sequence[str],
    recipe: Recipe,
    work: Path,
    development: MateRetrieval | None = None,
) -> list[dict[str, Any]]:
    """Train a student in place; a second call with the same ``work`` goes on where the first was cut off.

    Parameters
    ----------
    student : SentenceTransformer
        The student at its start.
    loss : DistillationLoss
        What it learns.
    sentences : sequence of str
        The foreign side; the row number is the label.
    recipe : Recipe
        Its ``training`` and ``seed`` count here.
    work : Path
        Folder for checkpoints.
    development : MateRetrieval, optional
        Tried at each checkpoint; the best one is kept, and training ends early when no better one comes.

    Returns
    -------
    list of dict
        The trainer's log: losses and development scores by step.

    Raises
    ------
    RecipeError
        Training diverged: the weights are not finite any more.
    """
    setting = recipe.training
    device = str(student.device)
    dataset = Dataset.from_dict({"foreign": list(sentences), "label": list(range(len(sentences)))})
    steps = max(1, round(-(-len(sentences) // setting.batch_size) * setting.epochs))
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(work),
        max_steps=steps,
        per_device_train_batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(setting.warmup * steps),
        max_grad_norm=setting.clip,
        bf16=has_fast_bfloat16(device),
        use_cpu=device == "cpu",
        batch_sampler=by_length([len(sentence) for sentence in sentences]),
        eval_strategy="steps" if development is not None else "no",
        eval_steps=setting.checkpoint_steps,
        save_strategy="steps",
        save_steps=setting.checkpoint_steps,
        save_total_limit=2,
        load_best_model_at_end=development is not None,
        metric_for_best_model=f"eval_{development.primary_metric}" if development is not None else None,
        greater_is_better=True if development is not None else None,
        restore_callback_states_from_checkpoint=True,
        logging_strategy="steps",
        logging_steps=min(50, setting.checkpoint_steps),
        disable_tqdm=True,
        report_to="none",
        seed=recipe.seed,
        data_seed=recipe.seed,
        dataloader_pin_memory=False,
    )
    done, checkpoint = _last_checkpoint(work)
    if done:
        say(f"going on at step {done} of {steps}")
    usual = student.max_seq_length
    student.max_seq_length = min(setting.max_length, usual or setting.max_length)
    with progress("distilling, steps", steps, done=done) as advance, quiet():
        callbacks: list[TrainerCallback] = [_Progress(work, advance)]
        if development is not None:
            callbacks.append(_Patience(early_stopping_patience=setting.patience))
        trainer = _Trainer(
            model=student, args=arguments, train_dataset=dataset, loss=loss, evaluator=development, callbacks=callbacks
        )
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        trainer.train(resume_from_checkpoint=checkpoint)
    student.max_seq_length = usual
    if not all(bool(weight.isfinite().all()) for weight in student.parameters()):
        raise RecipeError("training diverged, the weights are not finite any more; lower training.learning_rate")
    return list(trainer.state.log_history)


def _last_checkpoint(work: Path) -> tuple[int, str | None]:
    """Step and folder of the last complete checkpoint; half-written ones are removed (the state is written last)."""
    complete: list[tuple[int, str]] = []
    for folder in work.glob("checkpoint-*"):
        try:
            state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
            complete.append((int(state["global_step"]), str(folder)))
        except (OSError, ValueError, KeyError, TypeError):
            shutil.rmtree(folder)
    return max(complete, default=(0, None))


class _Trainer(SentenceTransformerTrainer):  # type: ignore[misc]
    """Without sentence-transformers' model card, which draws examples and asks the hub about the model."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Add nothing."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        save_transformer(self.model, Path(output_dir or self.args.output_dir))


class _Patience(EarlyStoppingCallback):
    """Early stopping that holds when a process goes on from the very checkpoint at which another one stopped."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        super().on_train_begin(args, state, control, **kwargs)  # type: ignore[no-untyped-call]
        control.should_training_stop = self.early_stopping_patience_counter >= self.early_stopping_patience


class _Progress(TrainerCallback):
    """Shows the trainer's steps and development scores the way the package's other steps are shown."""

    def __init__(self, work: Path, advance: Advance) -> None:
        self._work = work
        self._advance = advance

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.best_model_checkpoint:  # the folder may have been moved since
            state.best_model_checkpoint = str(self._work / Path(state.best_model_checkpoint).name)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._advance(1)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        found = [value for key, value in kwargs["metrics"].items() if key.endswith("mate_mrr")]
        if found:
            say(f"step {state.global_step}: mate retrieval MRR {found[0]:.4f}")
