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
from pyserini_optical.models.transformer import first_line, load_transformer, quiet


def warm_generator(name: str, *, max_length: int, seed: int) -> tuple[Any, Any]:
    """Make tokeniser and model: encoder and decoder have the encoder's weights, attention between them is random.

    Parameters
    ----------
    name : str
        A BERT-like encoder, such as a distilled student, by path, hub name or ``package:…``.
    max_length : int
        Passages are cut after so many pieces.
    seed : int
        Of the weights that the encoder lacks: the decoder's attention to the passage, and the layer before its output.

    Raises
    ------
    CheckpointError
        The model is broken or of a kind that cannot write.
    """
    import torch
    from transformers import EncoderDecoderModel

    path = resolve_model(name)
    tokenizer = load_transformer(name, "cpu").tokenizer
    tokens = {
        "decoder_start_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    # The warning would be of the weights that the encoder lacks.
    with torch.random.fork_rng(devices=[]), quiet(warnings=False):
        torch.manual_seed(seed)
        try:
            if None in tokens.values():
                raise ValueError("no token that begins or ends a text")
            model = EncoderDecoderModel.from_encoder_decoder_pretrained(
                path, path, encoder_use_safetensors=True, decoder_use_safetensors=True
            )
        except (ValueError, TypeError) as error:
            raise CheckpointError(
                f"{name}: this kind of encoder cannot write ({first_line(error)}); name a BERT-like one, or a model "
                "such as mT5"
            ) from None
    for settings in (model.config, model.generation_config):
        for token, number in tokens.items():
            setattr(settings, token, number)
    tokenizer.model_max_length = max_length
    return tokenizer, model
