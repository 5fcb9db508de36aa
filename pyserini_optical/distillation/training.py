"""Training with sentence-transformers' trainers: checkpoints, exact resume, early stopping."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from sentence_transformers import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    MultiVectorEncoder,
    MultiVectorEncoderTrainer,
    MultiVectorEncoderTrainingArguments,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from transformers import EarlyStoppingCallback, TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from pyserini_optical.data import Manifest, fingerprint_files, write_text
from pyserini_optical.distillation.finite import SkipsBadBatches
from pyserini_optical.distillation.sampler import SharedBatches
from pyserini_optical.errors import InputError, OpticalError, RecipeError
from pyserini_optical.models.device import has_fast_bfloat16
from pyserini_optical.models.transformer import first_line, quiet, save_transformer
from pyserini_optical.processes import alike, count, first, is_first, wait
from pyserini_optical.progress import Advance, progress, say

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers.base.evaluation import BaseEvaluator
    from sentence_transformers.base.trainer import BaseTrainer
    from sentence_transformers.base.training_args import BaseTrainingArguments
    from torch import nn

    from pyserini_optical.distillation.training_recipe import TrainingRecipe

Model: TypeAlias = SentenceTransformer | MultiVectorEncoder | CrossEncoder

_MANIFEST = "manifest.json"


@alike()
def train(
    model: Model,
    loss: nn.Module,
    dataset: Dataset,
    setting: TrainingRecipe,
    *,
    seed: int,
    work: Path,
    sampler: Any,
    development: BaseEvaluator | None = None,
    title: str = "distilling",
    queries: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Train a model in place; a second call with the same ``work`` goes on where the first was cut off.

    Several processes that call it alike share each batch.

    Parameters
    ----------
    model : SentenceTransformer, MultiVectorEncoder or CrossEncoder
        At its start.
    loss : torch.nn.Module
        What it learns, in sentence-transformers' convention.
    dataset : Dataset
        The columns that the loss wants.
    setting : TrainingRecipe
        How long, how fast.
    seed : int
        Of the order of the data and of dropout.
    work : Path
        Folder for checkpoints.
    sampler
        What sentence-transformers' arguments take as ``batch_sampler``.
    development : BaseEvaluator, optional
        Tried at each checkpoint; the best one is kept, and training ends early when no better one comes.
    title : str
        What the progress bar says.
    queries : collection of str
        Columns besides the first that the model reads as queries; it reads the others as documents.

    Returns
    -------
    list of dict
        The trainer's log: losses and development scores by step.

    Raises
    ------
    RecipeError
        Training diverged: gradients or weights are not finite any more.
    """
    device = str(model.device)
    steps = max(1, round(-(-len(dataset) // setting.batch_size) * setting.epochs))
    make_trainer, make_arguments = _kinds(model)
    arguments = make_arguments(
        output_dir=str(work),
        max_steps=steps,
        per_device_train_batch_size=setting.batch_size // count(),
        learning_rate=setting.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(setting.warmup * steps),
        max_grad_norm=setting.clip,
        bf16=has_fast_bfloat16(device),
        use_cpu=device == "cpu",
        batch_sampler=sampler if count() == 1 else _shared(sampler),
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
        seed=seed,
        data_seed=seed,
        dataloader_pin_memory=False,
        dataloader_drop_last=count() > 1,  # what sentence-transformers wants there, and is unset below
        **({} if isinstance(model, CrossEncoder) else _roles(model, dataset, queries)),
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # a step is batch_size pairs; several GPUs want a process each
    arguments.dataloader_drop_last = False  # SharedBatches gives each process as many batches
    with first():
        done, checkpoint = _last_checkpoint(work)
    if done:
        say(f"going on at step {done} of {steps}")
    usual = model.max_seq_length
    model.max_seq_length = min(setting.max_length, usual or setting.max_length)
    with progress(f"{title}, steps", steps, done=done) as advance, quiet(), warnings.catch_warnings():
        # Of what sentence-transformers asks Accelerate for, where there are several processes.
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        callbacks: list[TrainerCallback] = [_Progress(advance)]
        if development is not None:
            callbacks.append(_Patience(early_stopping_patience=setting.patience))
        if count() > 1:
            callbacks.append(_Sharing())
        trainer = make_trainer(
            model=model, args=arguments, train_dataset=dataset, loss=loss, evaluator=development, callbacks=callbacks
        )
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        trainer.train(resume_from_checkpoint=checkpoint)
    wait()  # what was the best checkpoint is read by all before it can go
    model.max_seq_length = usual
    if not all(bool(weight.isfinite().all()) for weight in model.parameters()):
        raise RecipeError("training diverged, the weights are not finite any more; lower training.learning_rate")
    # Without the trainer's summary: after an interruption its mean loss is of the last process alone.
    return [entry for entry in trainer.state.log_history if "train_runtime" not in entry]


def _shared(sampler: Any) -> Any:
    """Give what draws the same batches as a sampler, in shares."""

    def draw(dataset: Any, *, batch_size: int, **arguments: Any) -> SharedBatches:
        return SharedBatches(sampler(dataset, batch_size=count() * batch_size, **arguments), count())

    return draw


def _roles(
    model: SentenceTransformer | MultiVectorEncoder, dataset: Dataset, queries: Collection[str]
) -> dict[str, dict[str, str]]:
    """What each text column is read as, for the collator, and the prompts of queries and documents by column."""
    first, *others = [name for name in dataset.column_names if name != "label"]
    roles = {first: "query"} | {name: "query" if name in queries else "document" for name in others}
    prompts = {name: model.prompts[role] for name, role in roles.items() if model.prompts.get(role)}
    return {"prompts": prompts} | ({"router_mapping": roles} if isinstance(model, MultiVectorEncoder) else {})


def _kinds(model: Model) -> tuple[type[BaseTrainer], type[BaseTrainingArguments]]:
    """Sentence-transformers has a trainer for each kind of model."""
    if isinstance(model, MultiVectorEncoder):
        return _LateInteractionTrainer, MultiVectorEncoderTrainingArguments
    if isinstance(model, CrossEncoder):
        return _CrossEncoderTrainer, CrossEncoderTrainingArguments
    return _SingleVectorTrainer, SentenceTransformerTrainingArguments


def _last_checkpoint(work: Path) -> tuple[int, str | None]:
    """Step and folder of the last complete checkpoint; half-written ones are removed (the state is written last)."""
    complete: list[tuple[int, str, str]] = []
    for folder in work.glob("checkpoint-*"):
        try:
            state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
            step = int(state["global_step"])
            if (folder / _MANIFEST).is_file():
                Manifest.load(folder / _MANIFEST).check(folder, "training goes on from an earlier one")
            complete.append((step, str(folder), Path(state.get("best_model_checkpoint") or folder).name))
        except OpticalError as error:
            say(str(error))
            shutil.rmtree(folder)
        except (OSError, ValueError, KeyError, TypeError):
            shutil.rmtree(folder)
    # Without the best one so far, going on would end in another model.
    lost = [one for one in complete if not (work / one[2]).is_dir()]
    for _, without, _ in lost:
        shutil.rmtree(without)
    step, last, _ = max((one for one in complete if one not in lost), default=(0, None, ""))
    if last is not None:
        _mend_best(Path(last) / "trainer_state.json", work)
    return step, last


def _mend_best(path: Path, work: Path) -> None:
    """Write anew where the best checkpoint lies: the folder may have been moved, and transformers would forget it."""
    state = json.loads(path.read_text(encoding="utf-8"))
    best = state.get("best_model_checkpoint")
    if best and best != str(work / Path(best).name):
        state["best_model_checkpoint"] = str(work / Path(best).name)
        with write_text(path) as stream:
            json.dump(state, stream, indent=2)
        _seal(path.parent)


def _seal(folder: Path) -> None:
    """Keep the checksums of a complete checkpoint."""
    (folder / _MANIFEST).unlink(missing_ok=True)
    Manifest("checkpoint", outputs=fingerprint_files(folder)).save(folder / _MANIFEST)


class _Plain:
    """Without sentence-transformers' model card, which draws examples and asks the hub about the model."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Add nothing."""

    def _save(self: Any, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self.args.should_save:
            save_transformer(self.model, Path(output_dir or self.args.output_dir))

    def _save_rng_state(self: Any, output_dir: str) -> None:
        super()._save_rng_state(output_dir)  # type: ignore[misc]
        wait()  # each process writes its own, and what makes the checkpoint complete is written next

    def _save_optimizer_and_scheduler(self: Any, output_dir: str) -> None:
        try:
            super()._save_optimizer_and_scheduler(output_dir)  # type: ignore[misc]
        except RuntimeError as error:  # which torch raises where the disk is full
            raise InputError(
                f"cannot be written ({first_line(error)})", path=output_dir, remedy="check the disk"
            ) from None


class _SingleVectorTrainer(_Plain, SkipsBadBatches, SentenceTransformerTrainer):  # type: ignore[misc]
    pass


class _LateInteractionTrainer(_Plain, SkipsBadBatches, MultiVectorEncoderTrainer):  # type: ignore[misc]
    pass


class _CrossEncoderTrainer(_Plain, SkipsBadBatches, CrossEncoderTrainer):  # type: ignore[misc]
    pass


class _Patience(EarlyStoppingCallback):
    """Early stopping that holds when a process goes on from the very checkpoint at which another one stopped."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        super().on_train_begin(args, state, control, **kwargs)  # type: ignore[no-untyped-call]
        control.should_training_stop = self.early_stopping_patience_counter >= self.early_stopping_patience


class _Sharing(TrainerCallback):
    """What processes that share batches need besides: other dropout in each, and each epoch's own batches."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        torch.manual_seed(args.seed + args.process_index)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        loader = kwargs["train_dataloader"]
        # In the middle of an epoch, after an interruption, transformers would not find the sampler.
        loader.batch_sampler.batch_sampler.set_epoch(state.global_step // len(loader))


class _Progress(TrainerCallback):
    """Shows steps and development scores the way the package's other steps are shown, and seals checkpoints."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._advance(1)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if is_first():
            _seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        found = [value for key, value in kwargs["metrics"].items() if key.endswith("mate_mrr")]
        if found:
            say(f"step {state.global_step}: mate retrieval MRR {found[0]:.4f}")
