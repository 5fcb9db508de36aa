"""Neural machine translation: MarianMT (OPUS-MT), and multilingual models such as NLLB."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyserini_optical.data import fingerprint, fingerprint_texts
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.translation.engines import CONVERTED, CTranslate2, Engine, Transformers, loading
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
    engine : {"transformers", "ctranslate2", "ctranslate2-int8"}
        What computes. CTranslate2 is faster; with 8-bit weights it is fastest and not quite as good. The model is
        converted once and kept.

    Raises
    ------
    CheckpointError
        The model is broken, has no safetensors or cannot be fetched.
    InputError
        It does not know a language code.
    SetupError
        The engine or the tokeniser's package is not installed.
    """

    batch_size = 32
    slow = True

    def __init__(self, spec: Spec, work: Path, device: str | None = None) -> None:
        from pyserini_optical.models.device import choose_device

        codes = choose(spec, {"source": ("",), "target": ("",), "engine": ("transformers", *CONVERTED)})
        engine = codes.pop("engine")
        self.name, self.languages = spec.name, "-".join(filter(None, codes.values()))
        mark = _fingerprint(spec)
        self._tokenizer = _tokenizer(spec, codes["source"])
        self._prefix, start = _target(spec, codes["target"], self._tokenizer)
        device = choose_device(device)
        if engine == "transformers":
            self._engine: Engine = Transformers(spec, self._tokenizer, start, device)
        else:
            self._engine = CTranslate2(
                spec, self._tokenizer, start, device, engine, work / "models" / f"{engine}-{mark}"
            )
        self.version = " ".join(filter(None, ["marian", mark, self.languages, self._engine.version]))

    def translate(self, texts: Sequence[str], ids: Sequence[str]) -> list[str]:
        """Translate, with the beam that the model's own settings name."""
        sentences = [[part for part in _SENTENCE_END.split(text) if part] for text in texts]
        flat = [self._prefix + sentence for each in sentences for sentence in each]
        found: list[str] = []
        for start in range(0, len(flat), self.batch_size):
            found += self._engine(flat[start : start + self.batch_size])
        parts = iter(found)
        return [" ".join(next(parts).strip() for _ in each) for each in sentences]


def _fingerprint(spec: Spec) -> str:
    from pyserini_optical.models.transformer import find_file

    weights = [file for name in _WEIGHTS if (file := find_file(spec.what, name)) is not None]
    if not weights:
        raise CheckpointError(f"{spec.what}: no model.safetensors in the model; save the weights as safetensors")
    files = [*weights, *(find_file(spec.what, name) for name in _OTHERS)]
    return fingerprint_texts(fingerprint(file) for file in files if file is not None)[:16]


def _tokenizer(spec: Spec, source: str) -> Any:
    from transformers import AutoTokenizer

    with loading(spec) as path:
        return AutoTokenizer.from_pretrained(path, **({"src_lang": source} if source else {}))


def _target(spec: Spec, code: str, tokenizer: Any) -> tuple[str, str]:
    """Give what tells a multilingual model its target language: a prefix of the source, or how it must begin."""
    if not code:
        return "", ""
    if f">>{code}<<" in getattr(tokenizer, "supported_language_codes", ()):
        return f">>{code}<< ", ""
    number = tokenizer.convert_tokens_to_ids(code)
    if number is None or number == tokenizer.unk_token_id:
        raise InputError(f"translator {spec.name!r}: the model does not know the language code {code!r}")
    return "", code
