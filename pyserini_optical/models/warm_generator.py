"""A sequence-to-sequence model both halves of which begin as an encoder, for where none has been pretrained [1]_.

References
----------
.. [1] Rothe, Narayan, Severyn. Leveraging Pre-trained Checkpoints for Sequence Generation Tasks. TACL 2020, section 3
   (BERT2BERT).
"""

from __future__ import annotations

from typing import Any

from pyserini_optical.errors import CheckpointError
from pyserini_optical.models.names import resolve_model
from pyserini_optical.models.transformer import (
    GLOSS_FILES,
    find_file,
    first_line,
    load_transformer,
    no_warnings,
    quiet,
)


def warm_generator(name: str, *, max_length: int, seed: int) -> tuple[Any, Any]:
    """Make tokeniser and model: encoder and decoder have the encoder's weights, attention between them is random.

    Parameters
    ----------
    name : str
        A BERT-like encoder, such as a distilled student, by path, hub name or ``package:…``.
    max_length : int
        Passages are cut after so many pieces, or after as many as the encoder has places for.
    seed : int
        Of the weights that the encoder lacks: the decoder's attention to the passage, and the layer before its output.

    Raises
    ------
    CheckpointError
        The model is broken, of a kind that cannot write, or reads its texts through glosses.
    """
    import torch
    from transformers import EncoderDecoderModel

    if find_file(name, GLOSS_FILES[0]) is not None:
        problem = f"{name}: reads its texts through glosses, which a generator cannot"
        raise CheckpointError(f"{problem}; start from another model, such as a student that is trained")
    tokenizer = load_transformer(name, "cpu").tokenizer
    tokens = {
        "decoder_start_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    path = resolve_model(name)
    with torch.random.fork_rng(devices=[]), quiet(), no_warnings():
        torch.manual_seed(seed)
        try:
            if None in tokens.values():
                raise ValueError("no token that begins or ends a text")
            model = EncoderDecoderModel.from_encoder_decoder_pretrained(
                path, path, encoder_use_safetensors=True, decoder_use_safetensors=True
            )
        except Exception as error:  # transformers raises many kinds for what cannot be a decoder
            raise CheckpointError(
                f"{name}: this kind of encoder cannot write ({first_line(error)}); name a BERT-like one, or a model "
                "such as mT5"
            ) from None
    for settings in (model.config, model.generation_config):
        for token, number in tokens.items():
            setattr(settings, token, number)
    # It has no vectors for later places.
    tokenizer.model_max_length = min(max_length, getattr(model.config.encoder, "max_position_embeddings", max_length))
    return tokenizer, model
