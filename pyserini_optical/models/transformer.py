"""Loading and saving models with sentence-transformers: safetensors only, one-line errors, no bars."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from pyserini_optical.data import Manifest, fingerprint, fingerprint_texts, write_text
from pyserini_optical.errors import CheckpointError, InputError, OpticalError
from pyserini_optical.models.device import choose_device
from pyserini_optical.models.names import resolve_model

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Weights that were saved in half precision would be trained in it too.
MODEL_SETTINGS = {"use_safetensors": True, "dtype": "float32"}

# This package's own module, and its files beside the weights; see glosses.py.
GLOSS_MODULE = "pyserini_optical.models.glosses.GlossTransformer"
GLOSS_FILES = ("glosses.tsv", "affixes.tsv", "letters.tsv", "sounds.tsv", "names.txt", "passages.safetensors")

# Without any of these transformers makes up a tokeniser that knows five pieces.
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")


def weights_fingerprint(name: str) -> str:
    """Give the fingerprint of a model's weights and tokeniser, the same wherever the folder lies.

    The weights of all its modules count, a projection's too, of a late-interaction model the markers, lengths and
    skipped tokens, and of glosses how they are read. A model of the hub is fetched if it is not in the cache.

    Raises
    ------
    CheckpointError
        The model has no ``model.safetensors`` or no ``tokenizer.json``, or cannot be fetched.
    """
    files = []
    for file in ("model.safetensors", "tokenizer.json"):
        found = find_file(name, file)
        if found is None:
            where = (
                "in the model's folder" if Path(resolve_model(name)).is_dir() else "in the hub's cache or on the hub"
            )
            raise CheckpointError(f"{name}: no {file} {where}, so it has no fingerprint")
        files.append(found)
    files += [found for file in GLOSS_FILES if (found := find_file(name, file))]
    modules = check_modules(name)
    further = [find_file(name, f"{folder}/model.safetensors") for _, folder in modules if folder]
    marks = [fingerprint(file) for file in [*files, *further] if file is not None]
    from pyserini_optical.models.late_interaction import is_late_interaction, reading_fingerprint

    if is_late_interaction(name):
        marks.append(reading_fingerprint(name))
    elif mark := _pooling_mark(name, modules):
        marks.append(mark)
    if GLOSS_MODULE in dict(modules):
        from pyserini_optical.models.glosses import READING

        marks.append(READING)
    return ":".join(mark[:16] for mark in marks)


def _pooling_mark(name: str, modules: list[tuple[str, str]]) -> str:
    """Give a mark of pooling and prompts; none for means without prompts, which most models have."""
    configured = (
        read_configuration(name, f"{folder}/config.json") for kind, folder in modules if kind.endswith("Pooling")
    )
    pooled = [_pooling(config) for config in configured if isinstance(config, dict)]
    settings = read_configuration(name, "config_sentence_transformers.json")
    prompts = settings.get("prompts") if isinstance(settings, dict) else None
    given = {role: prompt for role, prompt in prompts.items() if prompt} if isinstance(prompts, dict) else {}
    plain = not given and pooled in ([], ["mean"])
    return "" if plain else fingerprint_texts([json.dumps([pooled, given], sort_keys=True)])


def _pooling(config: dict[str, Any]) -> str:
    """Name a way of pooling, as releases of sentence-transformers have written it."""
    flags = (key for key, value in config.items() if key.startswith("pooling_mode_") and value)
    old = (flag.removeprefix("pooling_mode_").removesuffix("_tokens") for flag in flags)
    mode = str(config.get("pooling_mode") or "+".join(sorted(old)))
    return mode if config.get("include_prompt", True) else f"{mode} without prompts"


def find_file(name: str, file: str) -> Path | None:
    """Give where a file of a model lies, in its folder or, fetched if need be, in the hub's cache; None if it has none.

    Raises
    ------
    CheckpointError
        The model cannot be fetched.
    """
    path = resolve_model(name)
    if Path(path).is_dir():
        found = Path(path) / file
        return found if found.is_file() else None
    from transformers.utils.hub import cached_file

    try:
        fetched = cached_file(path, file, _raise_exceptions_for_missing_entries=False)
    except Exception as error:  # the hub's client has many kinds
        raise CheckpointError(f"{name}: cannot be fetched from the hub ({first_line(error)})") from None
    return Path(fetched) if fetched else None


def read_configuration(name: str, file: str) -> Any:
    """Read a JSON file of a model; None if it has none.

    Raises
    ------
    CheckpointError
        The file is damaged, or the model cannot be fetched.
    """
    found = find_file(name, file)
    try:
        return None if found is None else json.loads(found.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{name}: {file} is damaged ({error}); fetch or distil the model again") from None


def check_modules(name: str) -> list[tuple[str, str]]:
    """Give class and folder of each module of a model; refuse modules that would be code of the model's own.

    Raises
    ------
    CheckpointError
        ``modules.json`` is damaged, names a class that is not sentence-transformers' (or PyLate's, which it has an own
        version of) nor this package's, or a folder outside the model's.
    """
    found = []
    modules = read_configuration(name, "modules.json")
    for module in [] if modules is None else modules if isinstance(modules, list) else [modules]:
        kind, folder = (module.get("type"), module.get("path")) if isinstance(module, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(folder, str) or not folder.isprintable():
            raise CheckpointError(f"{name}: modules.json is damaged; fetch or distil the model again")
        if not kind.startswith(("sentence_transformers.", "pylate.")) and kind != GLOSS_MODULE:
            problem = f"modules.json asks for the class {kind[:80]!r}, and a model's own code is never run"
            raise CheckpointError(f"{name}: {problem}; use a model of sentence-transformers' own modules")
        if PurePath(folder).is_absolute() or ".." in PurePath(folder).parts:
            problem = f"modules.json names {folder[:80]!r}, which is outside the model's folder"
            raise CheckpointError(f"{name}: {problem}; fetch the model again")
        found.append((kind, folder))
    return found


def load_transformer(name: str, device: str | None = None) -> SentenceTransformer:
    """Load a model by name (see :func:`resolve_model`) as a ``SentenceTransformer``, from safetensors only.

    Raises
    ------
    CheckpointError
        The folder is broken, cut off, or not a model that sentence-transformers loads.
    """
    from sentence_transformers import SentenceTransformer

    model: SentenceTransformer = load_modules(SentenceTransformer, name, device)
    return model


def load_modules(kind: type[Any], name: str, device: str | None) -> Any:
    """Load a model as this class of sentence-transformers'; see :func:`load_transformer`."""
    path = resolve_model(name)
    if Path(path).is_dir():
        check_folder(name, Path(path))
    load: Callable[..., Any] = kind
    if GLOSS_MODULE in dict(check_modules(name)):
        from pyserini_optical.models.glosses import GlossTransformer

        load = partial(kind._load_with_module_classes, module_classes={GLOSS_MODULE: GlossTransformer})
    try:
        with quiet():
            model = load(path, device=choose_device(device), model_kwargs=MODEL_SETTINGS)
    except OpticalError:
        raise
    except Exception as error:  # transformers and safetensors raise many kinds for a broken folder
        problem = f"{name}: the model cannot be loaded ({first_line(error)})"
        raise CheckpointError(f"{problem}; fetch or distil it again") from None
    network = model.transformers_model
    if network is not None and model.tokenizer is not None:
        rows = network.get_input_embeddings().weight.shape[0]
        if len(model.tokenizer) > rows:
            problem = f"its tokeniser knows {len(model.tokenizer)} pieces, its weights {rows}"
            raise CheckpointError(f"{name}: {problem}; fetch or distil it again")
    return model


def check_folder(name: str, folder: Path) -> None:
    """Refuse a model's folder without safetensors or without a tokeniser, and one of ours with a damaged file.

    Raises
    ------
    CheckpointError
        One of them is missing, or a file is not what was saved there.
    """
    # Each by its own name: beside a stray `other.safetensors` a module would still be read from its pickle.
    pickled = [
        file
        for file in folder.rglob("pytorch_model*.bin")
        if not any((file.parent / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json"))
    ]
    if pickled or not any(folder.rglob("*.safetensors")):
        raise CheckpointError(f"{name}: no model.safetensors in the folder; save the weights as safetensors")
    if not any((folder / file).is_file() for file in _TOKENIZERS):
        raise CheckpointError(f"{name}: no tokenizer.json in the folder; fetch or distil it again")
    _check_sums(folder)


def _check_sums(folder: Path) -> None:
    try:
        manifest = Manifest.load(folder / "manifest.json")
    except InputError:
        if (folder / "optical.json").is_file() and (folder / "manifest.json").is_file():
            raise
        return  # other people's models may have a file of this name
    manifest.check(folder, "distil or copy it again; if it was changed on purpose, remove manifest.json")


def save_transformer(model: SentenceTransformer, folder: Path) -> None:
    """Save a model as a sentence-transformers folder, without a model card."""
    from safetensors import SafetensorError

    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is not None:
        # How the last texts were cut and padded would be saved too, and the fingerprint hang on which those were.
        backend.no_truncation()
        backend.no_padding()
    try:
        with quiet():
            model.save_pretrained(str(folder), create_model_card=False)
    except SafetensorError as error:  # which is no OSError
        raise InputError(f"cannot be written ({first_line(error)})", path=folder, remedy="check the disk") from None
    # safetensors writes for the owner alone.
    (folder / "model.safetensors").chmod((folder / "config.json").stat().st_mode & 0o777)
    # transformers 4 knows transformers 5's class by its older name only; transformers 5 knows both.
    settings = folder / "tokenizer_config.json"
    content = json.loads(settings.read_text(encoding="utf-8"))
    if content.get("tokenizer_class") == "TokenizersBackend":
        content["tokenizer_class"] = "PreTrainedTokenizerFast"
        with write_text(settings) as stream:
            json.dump(content, stream, indent=2, ensure_ascii=False, sort_keys=True)
            stream.write("\n")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from showing its own bars inside the block; the hub's bars for downloads stay."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
    from transformers.utils import logging

    shown, downloads = logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if downloads:
        enable_progress_bars()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def no_warnings() -> Iterator[None]:
    """Keep the libraries from warning of another kind of model, fresh weights or shared ones, where these are meant."""
    loggers = [logging.getLogger(name) for name in ("transformers", "sentence_transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def first_line(error: Exception) -> str:
    """Give what an exception of another library says first, as part of a sentence."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
