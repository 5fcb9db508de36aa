"""Cross-encoders: models that read a question together with a passage and give one score, from safetensors only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyserini_optical.errors import CheckpointError
from pyserini_optical.models.device import autocast, choose_device
from pyserini_optical.models.fixed_dimensional import Vectors
from pyserini_optical.models.names import resolve_model
from pyserini_optical.models.transformer import (
    GLOSS_FILES,
    MODEL_SETTINGS,
    check_folder,
    find_file,
    first_line,
    no_warnings,
    quiet,
    read_configuration,
    weights_fingerprint,
)

if TYPE_CHECKING:
    import sentence_transformers

_HEAD = "ForSequenceClassification"


class CrossEncoder:
    """A model that scores pairs of a question and a passage; it is loaded when first used.

    Parameters
    ----------
    name : str
        Path, hub name or ``package:…``: a model for sequence classification with one label.
    device : str, optional
        Torch device; the first GPU or else the CPU by default.

    Raises
    ------
    CheckpointError
        The folder is missing or cut off, has no classification head, or one for several labels.
    """

    def __init__(self, name: str, device: str | None = None) -> None:
        if find_file(name, "config.json") is None:
            raise CheckpointError(f"{name}: no such model, neither as a folder nor on the hub; check the name")
        if not is_cross_encoder(name):
            raise CheckpointError(
                f"{name}: not a cross-encoder (no classification head); make one with `fine-tune "
                "encoders/cross-encoder.yaml`, or re-rank by maxsim or pooled"
            )
        self.name = name
        self.device = choose_device(device)
        _check(name)

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of its weights and tokeniser."""
        return weights_fingerprint(self.name)

    @cached_property
    def _model(self) -> sentence_transformers.CrossEncoder:
        model = _load(self.name, self.device)
        _score_in_float32(model.model)
        return model

    def scores(self, questions: Sequence[str], passages: Sequence[str], *, batch_size: int = 32) -> Vectors:
        """Score each question with the passage at its place.

        Returns
        -------
        ndarray of float32, shape (len(questions),)
            The head's own output, without an activation; higher is better.

        Raises
        ------
        CheckpointError
            The model cannot be loaded, or gives NaN or infinite scores.
        """
        import torch

        pairs = list(zip(questions, passages, strict=True))
        with torch.inference_mode(), autocast(self.device):
            found = self._model.predict(
                pairs, batch_size=batch_size, activation_fn=torch.nn.Identity(), show_progress_bar=False
            )
        result: Vectors = np.asarray(found, dtype=np.float32)
        if not np.isfinite(result).all():
            question = pairs[int(np.flatnonzero(~np.isfinite(result))[0])][0]
            raise CheckpointError(f"{self.name}: NaN or infinite score for {question[:60]!r}; the weights are damaged")
        return result


def load_cross_encoder(name: str, device: str | None = None) -> CrossEncoder:
    """Load a cross-encoder by path, hub name or ``package:…``; see :class:`CrossEncoder`."""
    return CrossEncoder(name, device)


def is_cross_encoder(name: str) -> bool:
    """Tell whether a model (see :func:`resolve_model`) has a classification head.

    Raises
    ------
    CheckpointError
        There is no such model, or its configuration is damaged.
    """
    configuration = read_configuration(name, "config.json")
    kinds = configuration.get("architectures") if isinstance(configuration, dict) else None
    return isinstance(kinds, list) and any(str(kind).endswith(_HEAD) for kind in kinds)


def start_cross_encoder(name: str, max_length: int, device: str | None = None) -> sentence_transformers.CrossEncoder:
    """Load a model as a cross-encoder that is to be trained: with its own head, or a fresh one for one score.

    Parameters
    ----------
    name : str
        A cross-encoder, or any encoder, of which the transformer is taken.
    max_length : int
        Question and passage together are cut after so many pieces, here and wherever it is used.
    device : str, optional
        Torch device.

    Raises
    ------
    CheckpointError
        The model is broken, has a head for several labels, or reads its texts through glosses.
    """
    if find_file(name, GLOSS_FILES[0]) is not None:
        problem = f"{name}: reads its texts through glosses, which a cross-encoder cannot"
        raise CheckpointError(f"{problem}; start from another model, or from its teacher on translated questions")
    model = _load(name, choose_device(device), labels=None if is_cross_encoder(name) else 1)
    if model.num_labels != 1:
        raise CheckpointError(f"{name}: gives {model.num_labels} labels; start from a model that gives one score")
    model.max_seq_length = min(max_length, model.max_seq_length or max_length)
    return model


def _load(name: str, device: str, labels: int | None = None) -> sentence_transformers.CrossEncoder:
    import sentence_transformers

    path = resolve_model(name)
    if Path(path).is_dir():
        check_folder(name, Path(path))
    try:
        with quiet(), no_warnings():
            return sentence_transformers.CrossEncoder(
                path, num_labels=labels, device=device, model_kwargs=MODEL_SETTINGS, trust_remote_code=False
            )
    except Exception as error:  # transformers and safetensors raise many kinds for a broken folder
        problem = f"{name}: the model cannot be loaded ({first_line(error)})"
        raise CheckpointError(f"{problem}; fetch it or fine-tune it again") from None


def _score_in_float32(network: Any) -> None:
    """Let the head compute in float32 inside autocast: bfloat16 has so few digits that many passages would tie."""
    import torch

    head = getattr(network, "classifier", getattr(network, "score", None))
    if head is not None:
        forward = head.forward

        def exact(hidden: torch.Tensor) -> torch.Tensor:
            with torch.autocast(hidden.device.type, enabled=False):
                result: torch.Tensor = forward(hidden.float())
                return result

        head.forward = exact


def _check(name: str) -> None:
    """Refuse a model whose weights are not all there, which transformers would draw by chance, or of several labels."""
    from transformers import AutoModelForSequenceClassification

    path = resolve_model(name)
    if Path(path).is_dir():
        check_folder(name, Path(path))
    try:
        with quiet(), no_warnings():
            network, found = AutoModelForSequenceClassification.from_pretrained(
                path, **MODEL_SETTINGS, trust_remote_code=False, output_loading_info=True
            )
    except Exception as error:  # transformers and safetensors raise many kinds for a broken folder
        problem = f"{name}: the model cannot be loaded ({first_line(error)})"
        raise CheckpointError(f"{problem}; fetch it or fine-tune it again") from None
    if lost := sorted(found["missing_keys"]):
        raise CheckpointError(f"{name}: its weights lack {lost[0]}; fetch it or fine-tune it again")
    if network.config.num_labels != 1:
        raise CheckpointError(f"{name}: gives {network.config.num_labels} labels; a re-ranker gives one score")
