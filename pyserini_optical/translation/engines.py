"""What computes a sequence-to-sequence translation model: transformers, or CTranslate2."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pyserini_optical.errors import CheckpointError, SetupError
from pyserini_optical.translation.translator import Spec

# The precision of the weights by engine; None for that of the model.
CONVERTED = {"ctranslate2": None, "ctranslate2-int8": "int8"}


class Engine(Protocol):
    """Sentences in, translations out.

    Attributes
    ----------
    version : str
        What of it decides the outcome; empty for transformers.
    """

    version: str

    def __call__(self, sentences: Sequence[str]) -> list[str]:
        """Translate a batch, with the beam that the model's own settings name."""
        ...


class Transformers:
    """The model as transformers runs it.

    Parameters
    ----------
    spec : Spec
        Which names the model.
    tokenizer : transformers.PreTrainedTokenizerBase
        Of the model.
    start : str
        Token with which each translation begins; empty for what the model's settings say.
    device : str
        Where it runs.
    """

    version = ""

    def __init__(self, spec: Spec, tokenizer: Any, start: str, device: str) -> None:
        from transformers import AutoModelForSeq2SeqLM

        with loading(spec) as path:
            self._model = AutoModelForSeq2SeqLM.from_pretrained(path, use_safetensors=True).to(device).eval()
        self._tokenizer = tokenizer
        self._start = {"forced_bos_token_id": tokenizer.convert_tokens_to_ids(start)} if start else {}

    def __call__(self, sentences: Sequence[str]) -> list[str]:
        """Translate a batch."""
        import torch

        batch = self._tokenizer(list(sentences), padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            made = self._model.generate(**batch.to(self._model.device), **self._start)
        found: list[str] = self._tokenizer.batch_decode(made, skip_special_tokens=True)
        return found


class CTranslate2:
    """The model converted for CTranslate2, which is done once.

    Parameters
    ----------
    spec, tokenizer, start, device
        As for :class:`Transformers`.
    engine : str
        Of :data:`CONVERTED`.
    folder : Path
        Where the converted model is kept.

    Raises
    ------
    SetupError
        CTranslate2 is not installed.
    CheckpointError
        The model cannot be converted, or what was converted is broken.
    """

    def __init__(self, spec: Spec, tokenizer: Any, start: str, device: str, engine: str, folder: Path) -> None:
        try:
            import ctranslate2
        except ImportError:
            remedy = "run `pip install 'pyserini-optical[translate]'`"
            raise SetupError(f"{spec.name}: CTranslate2 is not installed; {remedy}") from None
        from transformers import GenerationConfig

        self.version = f"{engine} {ctranslate2.__version__}"
        self._tokenizer, self._start = tokenizer, start
        with loading(spec) as path:
            settings = GenerationConfig.from_pretrained(path)
            if not folder.exists():
                _convert(path, folder, CONVERTED[engine])
        self._beam, self._longest = settings.num_beams or 1, settings.max_length or 256
        try:
            self._model = ctranslate2.Translator(str(folder), device="cuda" if device.startswith("cuda") else "cpu")
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"{folder}: cannot be loaded ({error}); remove it to convert the model again"
            ) from None

    def __call__(self, sentences: Sequence[str]) -> list[str]:
        """Translate a batch."""
        batch = self._tokenizer(list(sentences), truncation=True)["input_ids"]
        found = self._model.translate_batch(
            [self._tokenizer.convert_ids_to_tokens(numbers) for numbers in batch],
            target_prefix=[[self._start]] * len(batch) if self._start else None,
            beam_size=self._beam,
            max_decoding_length=self._longest,
        )
        numbers = [self._tokenizer.convert_tokens_to_ids(each.hypotheses[0]) for each in found]
        decoded: list[str] = self._tokenizer.batch_decode(numbers, skip_special_tokens=True)
        return decoded


@contextmanager
def loading(spec: Spec) -> Iterator[str]:
    """Give the model's path; what goes wrong within is said in a sentence.

    Raises
    ------
    SetupError
        A package is missing.
    CheckpointError
        The model is broken or cannot be fetched.
    """
    from pyserini_optical.models.names import resolve_model
    from pyserini_optical.models.transformer import first_line, quiet

    path = resolve_model(spec.what)
    try:
        with quiet():
            yield path
    except ImportError as error:
        raise SetupError(f"{spec.what}: {first_line(error)}; run `pip install 'pyserini-optical[translate]'`") from None
    except Exception as error:  # transformers and safetensors raise many kinds for a broken folder
        raise CheckpointError(
            f"{spec.what}: the model cannot be loaded ({first_line(error)}); fetch it again"
        ) from None


def _convert(path: str, folder: Path, quantization: str | None) -> None:
    from ctranslate2.converters import TransformersConverter

    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        TransformersConverter(path).convert(str(beside / "model"), quantization=quantization)
        (beside / "model").replace(folder)
    finally:
        shutil.rmtree(beside)
