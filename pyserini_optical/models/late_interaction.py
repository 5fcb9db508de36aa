r"""Models with one vector a token, scored by late interaction: :math:`s(q, d) = \sum_i \max_j \cos(q_i, d_j)` (MaxSim).

References
----------
.. [1] Khattab, Zaharia. ColBERT: Efficient and Effective Passage Search via Contextualized Late Interaction over BERT.
   SIGIR 2020. arXiv:2004.12832.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyserini_optical.data import fingerprint_texts
from pyserini_optical.errors import CheckpointError
from pyserini_optical.models.transformer import (
    check_modules,
    find_file,
    load_modules,
    load_transformer,
    quiet,
    read_configuration,
)

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

# How sentence-transformers and PyLate name such a model in its configuration.
_MODEL_TYPES = ("MultiVectorEncoder", "ColBERT")

# Where they keep markers, lengths and skipped tokens, beside the configuration of each module.
_CONFIGURED = ("config_sentence_transformers.json", "sentence_bert_config.json", "artifact.metadata")


def is_late_interaction(name: str) -> bool:
    """Tell whether a model (see :func:`resolve_model`) was made for late interaction.

    It was if it is a sentence-transformers ``MultiVectorEncoder``, a PyLate model or a Stanford ColBERT.
    """
    settings = _settings(name, "config_sentence_transformers.json")
    # PyLate's earlier ones do not say what they are, but always which marker begins a query.
    if settings.get("model_type") in _MODEL_TYPES or "query_prefix" in settings:
        return True
    # Without that file it is damaged, and no single-vector model either.
    return _is_stanford(name) or any(kind.endswith(".MultiVectorMask") for kind, _ in check_modules(name))


def reading_fingerprint(name: str) -> str:
    """Give the fingerprint of what a late-interaction model adds to a text, skips and cuts, by its configuration."""
    modules = check_modules(name)
    files = (*_CONFIGURED, *(f"{folder}/config.json" for _, folder in modules if folder))
    content = {file: _settings(name, file) for file in files}
    content["config_sentence_transformers.json"].pop("__version__", None)
    return fingerprint_texts([json.dumps([content, modules], sort_keys=True)])


def load_late_interaction(name: str, device: str | None = None) -> MultiVectorEncoder:
    """Load a model by name as a ``MultiVectorEncoder``, from safetensors only.

    A model that was made for late interaction comes with its markers, lengths, projection and skipped tokens; of any
    other the token vectors are taken as they are, see :func:`raw_tokens`.

    Raises
    ------
    CheckpointError
        The folder is broken, cut off, without the projection that it needs, or not a model that sentence-transformers
        loads.
    """
    if not is_late_interaction(name):
        return raw_tokens(load_transformer(name, device))
    from sentence_transformers import MultiVectorEncoder

    if _is_stanford(name):
        _check_projection(name)
    else:
        for file in ("modules.json", "config_sentence_transformers.json"):
            if find_file(name, file) is None:
                raise CheckpointError(f"{name}: made for late interaction, without {file}; fetch or distil it again")
    model: MultiVectorEncoder = load_modules(MultiVectorEncoder, name, device)
    return model


def raw_tokens(model: SentenceTransformer) -> MultiVectorEncoder:
    """Give the token vectors of a single-vector model as a late-interaction model that shares its weights.

    Special tokens ([CLS], [SEP]) are left out on both sides, and nothing is projected.
    """
    from sentence_transformers import MultiVectorEncoder

    with quiet():
        return MultiVectorEncoder(
            modules=[model[0], *_mask_and_norm(_special_tokens(model.tokenizer))],
            device=str(model.device),
            prompts=dict(model.prompts),
        )


def project(model: SentenceTransformer | MultiVectorEncoder, dimension: int) -> MultiVectorEncoder:
    """Give a late-interaction model with a fresh projection over a model's transformer, whose weights it shares.

    The projection starts orthogonal, so that at its start it keeps as much of the angles between token vectors as that
    dimension can, and has no bias [1]_.

    Parameters
    ----------
    model : SentenceTransformer or MultiVectorEncoder
        Only its transformer is used.
    dimension : int
        Of the projected token vectors.
    """
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules.dense import Dense

    transformer: Any = model[0]
    width = int(transformer.get_embedding_dimension())
    weight = torch.nn.init.orthogonal_(torch.empty(dimension, width))
    projection = Dense(
        in_features=width,
        out_features=dimension,
        bias=False,
        activation_function=torch.nn.Identity(),
        init_weight=weight,
        module_input_name="token_embeddings",
    )
    with quiet():
        return MultiVectorEncoder(
            modules=[transformer, projection, *_mask_and_norm(_special_tokens(model.tokenizer))],
            device=str(model.device),
            prompts=dict(model.prompts),
        )


def weigh_queries(model: MultiVectorEncoder, texts: Sequence[str]) -> None:
    r"""Let a model that reads queries score by weighted MaxSim from now on, in place: what is rare counts more.

    .. math::
        s(q, d) = \sum_i w_i \max_j \cos(q_i, d_j), \qquad w_i = \mathrm{idf}(q_i) / \mathrm{idf}_\max

    Its token vectors have the lengths :math:`w_i`, so that whatever computes MaxSim by inner products does so. The
    weights are a module of sentence-transformers' own (``WordWeights``) in the checkpoint.

    Parameters
    ----------
    model : MultiVectorEncoder
        It must not read documents, which it would weigh too.
    texts : sequence of str
        In which pieces are rare or not (:func:`~pyserini_optical.objectives.marginals.count_idf`); one that they lack
        has :math:`\mathrm{idf}_\max`. Special tokens that it scores weigh what the pieces in them do on average.
    """
    from sentence_transformers.sentence_transformer.modules import WordWeights

    from pyserini_optical.objectives.marginals import count_idf

    unweighed(model)
    how: Any = {"padding": True, "truncation": True, "max_length": model.max_seq_length or 512, "return_tensors": "pt"}
    parts = (list(texts[start : start + 1024]) for start in range(0, len(texts), 1024))
    idf = count_idf((model.tokenizer(part, **how)["input_ids"] for part in parts), len(model.tokenizer))
    weights = idf / idf.max()
    weights[model.tokenizer.all_special_ids] = weights[weights < 1].mean() if (weights < 1).any() else 1.0
    pieces = model.tokenizer.convert_ids_to_tokens(range(len(weights)))
    given = dict(zip(pieces, [round(weight, 6) for weight in weights.tolist()], strict=True))
    model.append(WordWeights(pieces, given).to(model.device))


def weighs_queries(model: MultiVectorEncoder) -> bool:
    """Tell whether a model scores by weighted MaxSim; see :func:`weigh_queries`."""
    from sentence_transformers.sentence_transformer.modules import WordWeights

    return isinstance(model[-1], WordWeights)


def has_word_weights(name: str) -> bool:
    """Tell whether a model, by its name, scores by weighted MaxSim."""
    return any(kind.endswith(".WordWeights") for kind, _ in check_modules(name))


def unweighed(model: MultiVectorEncoder) -> MultiVectorEncoder:
    """Take the weights of :func:`weigh_queries` out of a model, in place, if it has any; it is given back."""
    if weighs_queries(model):
        del model[-1]
    return model


def token_dimension(model: MultiVectorEncoder) -> int:
    """Give the length of a late-interaction model's token vectors."""
    return int(model.get_embedding_dimension() or 0)


def _special_tokens(tokenizer: Any) -> list[str]:
    return [token for token in (tokenizer.cls_token, tokenizer.sep_token) if token is not None]


def _mask_and_norm(skipped: list[str]) -> list[Any]:
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    return [
        MultiVectorMask(skiplist_words=skipped, skiplist_tasks=["query", "document"]),
        Normalize(module_input_name="token_embeddings"),
    ]


def _is_stanford(name: str) -> bool:
    return "HF_ColBERT" in (_settings(name, "config.json").get("architectures") or [])


def _check_projection(name: str) -> None:
    from safetensors import SafetensorError, safe_open

    path = find_file(name, "model.safetensors")
    if path is None:  # which is told where it is loaded
        return
    try:
        with safe_open(path, "np") as weights:
            found = "linear.weight" in weights.keys()  # noqa: SIM118
    except (OSError, SafetensorError):  # this too
        return
    if not found:
        raise CheckpointError(f"{name}: a ColBERT without its projection (linear.weight); fetch the model again")


def _settings(name: str, file: str) -> dict[str, Any]:
    read = read_configuration(name, file)
    return read if isinstance(read, dict) else {}
