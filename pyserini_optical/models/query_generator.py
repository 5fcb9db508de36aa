r"""A query generator: a sequence-to-sequence model that reads a passage and writes or scores a question about it [1]_.

The passage stands behind a tag of the question's language, ``sw: The river …``; that form, the mean over tokens and the
lengths are our choices.

References
----------
.. [1] Ren, Shou, Wu, Gong, Jiang. Empowering Dual-Encoder with Query Generator for Cross-Lingual Dense Retrieval.
   EMNLP 2022. arXiv:2303.14991.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pyserini_optical.data.fields import one_line
from pyserini_optical.errors import CheckpointError, InputError, RecipeError, SetupError
from pyserini_optical.models.device import autocast, choose_device
from pyserini_optical.models.names import resolve_model
from pyserini_optical.models.provenance import Provenance
from pyserini_optical.models.transformer import (
    MODEL_SETTINGS,
    check_folder,
    first_line,
    quiet,
    read_configuration,
    weights_fingerprint,
)

# What transformers passes over in labels.
IGNORED = -100

# Some tokenisers name no length.
_PASSAGE_LENGTH = 256


@dataclass(frozen=True)
class Decoding:
    """How questions are written.

    Attributes
    ----------
    method : {"sample", "beam"}
        By chance, with a seed; or the most probable ones that a beam search finds.
    temperature : float
        For ``sample``: below 1 the probable tokens become more so.
    top_p : float
        For ``sample``: among the most probable tokens that together have this probability.
    beams : int
        For ``beam``: how many are followed; not fewer than the questions asked for.
    """

    method: Literal["sample", "beam"] = "sample"
    temperature: float = 1.0
    top_p: float = 0.95
    beams: int = 4

    def __post_init__(self) -> None:
        # Asked so that NaN is refused too.
        if not 0 < self.temperature < math.inf or not 0 < self.top_p <= 1 or self.beams < 1:
            got = f"{self.temperature:g}, {self.top_p:g} and {self.beams}"
            raise RecipeError(f"temperature must be above 0, top_p above 0 and up to 1, beams at least 1, got {got}")


class QueryGenerator:
    """A sequence-to-sequence model that transformers loads (mT5, T5, BART), from safetensors only.

    Parameters
    ----------
    name : str
        Path, hub name or ``package:…``, see :func:`~pyserini_optical.models.names.resolve_model`.
    device : str, optional
        Torch device; the first GPU or else the CPU by default.
    passage_length : int, optional
        Passages, with their tag, are cut after so many tokens; where its tokeniser says, but not after 256, by default.
    question_length : int
        Questions are cut after so many.

    Raises
    ------
    CheckpointError
        The model is broken, has no safetensors, or is not a sequence-to-sequence model.
    SetupError
        Its tokeniser wants a package that is not installed.
    """

    def __init__(
        self, name: str, device: str | None = None, *, passage_length: int | None = None, question_length: int = 48
    ) -> None:
        self.name = name
        self.device = choose_device(device)
        self.tokenizer, self.model = load_seq2seq(name)
        self.model.to(self.device).eval()
        self.passage_length = passage_length or min(self.tokenizer.model_max_length, _PASSAGE_LENGTH)
        self.question_length = question_length

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of all that decides scores: weights, tokeniser and lengths."""
        return f"{weights_fingerprint(self.name)}:{self.passage_length}:{self.question_length}"

    def score(
        self, questions: Sequence[str], passages: Sequence[str], languages: Sequence[str], *, batch_size: int = 32
    ) -> NDArray[np.float32]:
        r"""Score each question with the passage in the same place, by the mean log-likelihood of its tokens.

        .. math::
            t(q, p) = \frac{1}{|q|} \sum_{i=1}^{|q|} \log P(q_i \mid q_{<i}, \ell, p)

        Tokens that the tokeniser adds count, such as the question's end, padding does not. :math:`\ell` is the tag of
        the language.

        Parameters
        ----------
        questions, passages : sequence of str
            As many of each.
        languages : sequence of str
            Code of each question's language.
        batch_size : int
            Pairs at a time; they are sorted by length first.

        Returns
        -------
        ndarray of float32, shape (len(questions),)

        Raises
        ------
        CheckpointError
            The weights give no finite number.
        """
        scores = np.empty(len(questions), dtype=np.float32)
        order = sorted(range(len(questions)), key=lambda number: (len(passages[number]), len(questions[number])))
        for start in range(0, len(order), batch_size):
            some = order[start : start + batch_size]
            features = self.features(
                [questions[n] for n in some], [passages[n] for n in some], [languages[n] for n in some]
            )
            with torch.inference_mode(), autocast(self.device):
                scores[some] = mean_log_likelihood(self.model, features).float().cpu().numpy()
        if not np.isfinite(scores).all():
            raise CheckpointError(f"{self.name}: NaN or infinite score of a question; the weights are damaged")
        return scores

    def generate(
        self,
        passages: Sequence[str],
        language: str,
        number: int = 1,
        *,
        seed: int = 0,
        decoding: Decoding | None = None,
    ) -> list[list[str]]:
        """Write questions about passages, all of them in one batch.

        Parameters
        ----------
        passages : sequence of str
            Texts.
        language : str
            Code of the questions' language.
        number : int
            Questions a passage.
        seed : int
            Of sampling; the same passages in the same order give the same questions.
        decoding : Decoding, optional
            How; by sampling if it is not said.

        Returns
        -------
        list of list of str
            For each passage ``number`` questions, white space collapsed; some may be empty or the same.
        """
        how = decoding or Decoding()
        settings: dict[str, Any] = {"num_return_sequences": number, "max_new_tokens": self.question_length}
        if how.method == "beam":
            settings |= {"do_sample": False, "num_beams": max(how.beams, number)}
        else:
            settings |= {"do_sample": True, "num_beams": 1, "top_k": 0}
            settings |= {"temperature": how.temperature, "top_p": how.top_p}
        features = self._read(passages, [language] * len(passages))
        # The caller's own random state stays as it is.
        devices = [self.device] if self.device.startswith("cuda") else []
        with torch.random.fork_rng(devices=devices), torch.inference_mode(), quiet():
            torch.manual_seed(seed)
            made = self.model.generate(**features, **settings)
        # A question may begin with a piece that belongs inside a word.
        texts = [
            one_line(text.removeprefix("##")) for text in self.tokenizer.batch_decode(made, skip_special_tokens=True)
        ]
        return [texts[start : start + number] for start in range(0, len(texts), number)]

    def features(self, questions: Sequence[str], passages: Sequence[str], languages: Sequence[str]) -> dict[str, Any]:
        """Give what :func:`mean_log_likelihood` takes: passages with their tags, and questions, on the device."""
        features = self._read(passages, languages)
        targets = self.tokenizer(
            text_target=list(questions),
            padding=True,
            truncation=True,
            max_length=self.question_length,
            return_tensors="pt",
        )
        labels = targets["input_ids"].masked_fill(targets["attention_mask"] == 0, IGNORED).to(self.device)
        # From the labels themselves the model would compute a loss that nobody wants.
        given = self.model.prepare_decoder_input_ids_from_labels(labels)
        return features | {"decoder_input_ids": given, "labels": labels}

    def save_pretrained(self, folder: str, *, create_model_card: bool = False) -> None:
        """Save model and tokeniser, as sentence-transformers' models do; there is never a card."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def _read(self, passages: Sequence[str], languages: Sequence[str]) -> dict[str, Any]:
        tagged = [tag_passage(passage, language) for passage, language in zip(passages, languages, strict=True)]
        batch = self.tokenizer(
            tagged, padding=True, truncation=True, max_length=self.passage_length, return_tensors="pt"
        )
        return {name: batch[name].to(self.device) for name in ("input_ids", "attention_mask")}


def tag_passage(passage: str, language: str) -> str:
    """Put the language's tag before a passage; errors as of :func:`check_language`."""
    check_language(language)
    return f"{language}: {passage}"


def check_language(language: str) -> None:
    """Refuse what cannot be the code of a language.

    Raises
    ------
    InputError
        It is none.
    """
    if not language.replace("-", "").replace("_", "").isalnum():
        raise InputError(f"language {language!r} is no language code", remedy="give one such as sw or ha")


def mean_log_likelihood(model: Any, features: dict[str, Tensor]) -> Tensor:
    """Give the mean log-likelihood of each row's labels, shape (B,); see :meth:`QueryGenerator.score`.

    Parameters
    ----------
    model : PreTrainedModel
        A sequence-to-sequence model.
    features : dict of Tensor
        ``input_ids``, ``attention_mask`` of the passages, shape (B, m), ``decoder_input_ids`` and ``labels`` of the
        questions, shape (B, n), the last with ``IGNORED`` where there is no token.
    """
    features = dict(features)
    labels = features.pop("labels")
    logits = model(**features).logits.float()
    # As rows: with the vocabulary in another place than the last one, the same takes several times as long on a CPU.
    losses = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none")
    return -losses.view_as(labels).sum(dim=1) / (labels != IGNORED).sum(dim=1).clamp_min(1)


def check_seq2seq(name: str) -> str:
    """Give the path of a sequence-to-sequence model, without loading it.

    Raises
    ------
    CheckpointError
        The folder is missing or cut off, or holds another kind of model.
    """
    if not is_seq2seq(name):
        raise CheckpointError(f"{name}: not a sequence-to-sequence model; name one such as mT5, T5 or BART")
    return resolve_model(name)


def is_seq2seq(name: str) -> bool:
    """Tell by its configuration whether a model is a sequence-to-sequence one.

    Raises
    ------
    CheckpointError
        The folder is missing or cut off.
    """
    path = resolve_model(name)
    if Path(path).is_dir():
        check_folder(name, Path(path))
    settings = read_configuration(name, "config.json")
    return isinstance(settings, dict) and bool(settings.get("is_encoder_decoder"))


def languages_of(path: str) -> list[str]:
    """Give the languages that a generator of ours was trained to ask in; of another none is known."""
    sources = Provenance.load(path).recipe.get("sources") or []
    return list(dict.fromkeys(source["language"] for source in sources if source["questions"] or source["topics"]))


def load_seq2seq(name: str) -> tuple[Any, Any]:
    """Load tokeniser and model by name, from safetensors only and without code of the model's own.

    Raises
    ------
    CheckpointError
        It is broken, has no safetensors, or is not a sequence-to-sequence model.
    SetupError
        Its tokeniser wants a package that is not installed.
    """
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    path = check_seq2seq(name)
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
            model = AutoModelForSeq2SeqLM.from_pretrained(path, trust_remote_code=False, **MODEL_SETTINGS)
    except ImportError as error:
        raise SetupError(f"{name}: {first_line(error)}; run `pip install 'pyserini-optical[translate]'`") from None
    except Exception as error:  # transformers and safetensors raise many kinds for a broken folder
        raise CheckpointError(
            f"{name}: the model cannot be loaded ({first_line(error)}); fetch or train it again"
        ) from None
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        problem = f"its tokeniser knows {len(tokenizer)} pieces, its weights {rows}"
        raise CheckpointError(f"{name}: {problem}; fetch or train it again")
    return tokenizer, model
