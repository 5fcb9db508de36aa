"""Neural machine translation with transformers: MarianMT (OPUS-MT), and multilingual models such as NLLB."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pyserini_optical.data import fingerprint, fingerprint_texts
from pyserini_optical.errors import CheckpointError, InputError, SetupError
from pyserini_optical.translation.translator import Spec, choose

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_OTHERS = ("config.json", "generation_config.json", "source.spm", "target.spm", "vocab.json", "tokenizer.json")
_SENTENCE_END = re.compile(r"(?<=[.!?؟।۔])\s+|(?<=[。！？])")


class Marian:
    """``marian:MODEL``, a folder or hub name with safetensors; it translates sentence by sentence, as it was trained.

    Options
    -------
    source, target : str
        Language codes as the model has them, for a multilingual model: ``source=swh_Latn&target=eng_Latn`` for NLLB,
        ``target=swa`` for an OPUS-MT model with several targets.

    Raises
    ------
    CheckpointError
        The model is broken, has no safetensors or cannot be fetched.
    InputError
        It does not know a language code.
    """

    batch_size = 32
    slow = True

    def __init__(self, spec: Spec, device: str | None = None) -> None:
        from pyserini_optical.models.device import choose_device

        codes = choose(spec, {"source": ("",), "target": ("",)})
        self.name, self.languages = spec.name, "-".join(filter(None, codes.values()))
        self.version = f"marian {_fingerprint(spec)} {self.languages}".strip()
        self._device = choose_device(device)
        self._tokenizer, self._model = _load(spec, codes)
        self._model.to(self._device).eval()
        self._prefix, self._target = _target(spec, codes["target"], self._tokenizer)

    def translate(self, texts: Sequence[str], ids: Sequence[str]) -> list[str]:
        """Translate, with the beam that the model's own settings name."""
        import torch

        sentences = [[part for part in _SENTENCE_END.split(text) if part] for text in texts]
        flat = [self._prefix + sentence for each in sentences for sentence in each]
        found: list[str] = []
        for start in range(0, len(flat), self.batch_size):
            batch = self._tokenizer(
                flat[start : start + self.batch_size], padding=True, truncation=True, return_tensors="pt"
            ).to(self._device)
            with torch.inference_mode():
                made = self._model.generate(**batch, **self._target)
            found += self._tokenizer.batch_decode(made, skip_special_tokens=True)
        parts = iter(found)
        return [" ".join(next(parts).strip() for _ in each) for each in sentences]


def _fingerprint(spec: Spec) -> str:
    from pyserini_optical.models.transformer import find_file

    weights = [file for name in _WEIGHTS if (file := find_file(spec.what, name)) is not None]
    if not weights:
        raise CheckpointError(f"{spec.what}: no model.safetensors in the model; save the weights as safetensors")
    files = [*weights, *(find_file(spec.what, name) for name in _OTHERS)]
    return fingerprint_texts(fingerprint(file) for file in files if file is not None)[:16]


def _load(spec: Spec, codes: dict[str, str]) -> tuple[Any, Any]:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    from pyserini_optical.models.names import resolve_model
    from pyserini_optical.models.transformer import first_line, quiet

    path = resolve_model(spec.what)
    source = {"src_lang": codes["source"]} if codes["source"] else {}
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(path, **source)
            model = AutoModelForSeq2SeqLM.from_pretrained(path, use_safetensors=True)
    except ImportError as error:
        raise SetupError(f"{spec.what}: {first_line(error)}; run `pip install 'pyserini-optical[translate]'`") from None
    except Exception as error:  # transformers and safetensors raise many kinds for a broken folder
        raise CheckpointError(
            f"{spec.what}: the model cannot be loaded ({first_line(error)}); fetch it again"
        ) from None
    return tokenizer, model


def _target(spec: Spec, code: str, tokenizer: Any) -> tuple[str, dict[str, int]]:
    """Give what tells a multilingual model its target language: a prefix of the source, or how it must begin."""
    if not code:
        return "", {}
    if f">>{code}<<" in getattr(tokenizer, "supported_language_codes", ()):
        return f">>{code}<< ", {}
    number = tokenizer.convert_tokens_to_ids(code)
    if number is None or number == tokenizer.unk_token_id:
        raise InputError(f"translator {spec.name!r}: the model does not know the language code {code!r}")
    return "", {"forced_bos_token_id": number}
