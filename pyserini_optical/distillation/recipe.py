"""Recipes: a YAML file that says how an encoder is made. Data only: nothing in it runs, unknown keys are refused."""

from __future__ import annotations

import difflib
import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from pyserini_optical.couplings import COUPLINGS, Coupling
from pyserini_optical.data import Pathish, read_lines
from pyserini_optical.errors import RecipeError
from pyserini_optical.objectives import OBJECTIVES, Objective


@dataclass(frozen=True)
class StudentRecipe:
    """Where the student starts.

    Attributes
    ----------
    model : str or None
        The model to start from; the teacher if None.
    vocabulary : int or None
        Word pieces to learn on the foreign side; None keeps the tokeniser (for a multilingual start).
    start : {"table", "pieces"}
        How their embeddings start: by a translation table of the bitext, or as means of the teacher's pieces.
    """

    model: str | None = None
    vocabulary: int | None = 16000
    start: Literal["table", "pieces"] = "table"


@dataclass(frozen=True)
class TrainingRecipe:
    """How the student is trained.

    Attributes
    ----------
    epochs : float
        Passes over the bitext; 0 leaves the student at its start.
    batch_size : int
        Sentence pairs a step.
    learning_rate : float
        Peak of AdamW's learning rate, after a linear warm-up and before a linear decay to zero.
    warmup : float
        Share of the steps that warm up.
    clip : float
        Largest norm of the gradient.
    max_length : int
        Sentences are cut after so many pieces.
    checkpoint_steps : int
        Every so many steps the state is saved, for a later process to go on from, and the development set is tried.
    patience : int
        Training ends after so many tries without a better one.
    """

    epochs: float = 3
    batch_size: int = 64
    learning_rate: float = 1e-4
    warmup: float = 0.1
    clip: float = 1.0
    max_length: int = 128
    checkpoint_steps: int = 200
    patience: int = 4


@dataclass(frozen=True)
class Recipe:
    """How an encoder is made.

    Attributes
    ----------
    name : str
        Name of the encoder, and of its folder beside the recipe.
    teacher : str
        The English retriever, by path, hub name or ``package:…``.
    bitext : list of str
        Files of sentence pairs.
    objectives : list of dict
        Each has a ``name``, a ``weight`` (1 by default) and that objective's own options; ``coupling`` is a name or a
        dict with ``name`` and that coupling's options.
    student, training
        See :class:`StudentRecipe` and :class:`TrainingRecipe`.
    development : str or None
        Sentence pairs for early stopping by mate retrieval, kept out of training.
    exclude : list of str
        Topics files whose texts must not be trained on.
    special_tokens : bool
        Whether [CLS] and [SEP] take part in token alignment.
    documents : {"teacher", "self"}
        Who encodes the documents.
    seed : int
        Of everything random.
    """

    name: str
    teacher: str
    bitext: list[str]
    objectives: list[dict[str, Any]]
    student: StudentRecipe = field(default_factory=StudentRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    development: str | None = None
    exclude: list[str] = field(default_factory=list)
    special_tokens: bool = False
    documents: Literal["teacher", "self"] = "teacher"
    seed: int = 0

    def make_objectives(self) -> dict[str, tuple[float, Objective]]:
        """Give weight and objective by name.

        Raises
        ------
        RecipeError
            An unknown objective, coupling or option, or one twice.
        """
        made: dict[str, tuple[float, Objective]] = {}
        for entry in self.objectives:
            options = dict(entry)
            name = str(options.pop("name", None))
            weight = options.pop("weight", 1.0)
            if name in made:
                raise RecipeError(f"objectives: {name} stands there twice")
            if not isinstance(weight, (int, float)) or isinstance(weight, bool):
                raise RecipeError(f"objectives: weight of {name} must be a number, got {weight!r}")
            if "coupling" in options:
                options["coupling"] = _make_coupling(options["coupling"])
            made[name] = (float(weight), _make(name, OBJECTIVES, options, "objectives"))
        return made

    def as_dict(self) -> dict[str, Any]:
        """Give the recipe as plain data, for manifests."""
        return asdict(self)


def _make_coupling(value: Any) -> Coupling:
    options = dict(value) if isinstance(value, dict) else {"name": value}
    coupling: Coupling = _make(str(options.pop("name", None)), COUPLINGS, options, "coupling")
    return coupling


def _make(name: str, registry: Mapping[str, Any], options: Mapping[str, Any], where: str) -> Any:
    if name not in registry:
        raise RecipeError(f"{where}: unknown name {name!r}{_nearest(name, registry)}")
    allowed = inspect.signature(registry[name]).parameters
    for key in options:
        if key not in allowed:
            raise RecipeError(f"{where}: {name} has no option {key!r}{_nearest(key, allowed)}")
    try:
        return registry[name](**options)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{where}: {name}: {error}") from None


def _nearest(word: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def load_recipe(path: Pathish, settings: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Texts may hold ``{variable}``, for each of the variables under the key ``variables``, and ``{here}``, the recipe's
    folder. Other paths are relative to the working directory.

    Parameters
    ----------
    path : path-like
        The YAML file.
    settings : sequence of str
        ``key=value``, ``part.key=value`` (value in YAML) or ``variable=text``, over what the file says.

    Raises
    ------
    InputError
        The file cannot be read.
    RecipeError
        It is not a recipe: bad YAML, unknown or missing key, wrong type.
    """
    try:
        data = yaml.safe_load("\n".join(line for _, line in read_lines(path)))
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise RecipeError(f"{path}: not YAML ({reason})") from None
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: not a recipe: expected keys and values")
    variables = data.pop("variables", {})
    if not isinstance(variables, dict):
        raise RecipeError(f"{path}: variables must be keys and values")
    for setting in settings:
        _apply(data, variables, setting)
    variables["here"] = str(Path(path).resolve().parent)
    recipe = _build(Recipe, _fill(data, variables, str(path)), str(path))
    recipe.make_objectives()
    return recipe


def _apply(data: dict[str, Any], variables: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {setting}: expected key=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise RecipeError(f"--set {setting}: the value is not YAML") from None
    if key in variables:
        variables[key] = text
        return
    *parts, last = key.split(".")
    for part in parts:
        data = data.setdefault(part, {})
        if not isinstance(data, dict):
            raise RecipeError(f"--set {setting}: {part} has no parts")
    data[last] = value


def _fill(value: Any, variables: Mapping[str, Any], where: str) -> Any:
    if isinstance(value, dict):
        return {key: _fill(item, variables, where) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, variables, where) for item in value]
    if isinstance(value, str):
        try:
            return value.format_map({key: str(item) for key, item in variables.items()})
        except (KeyError, ValueError, IndexError, AttributeError):
            known = ", ".join(f"{{{key}}}" for key in variables)
            raise RecipeError(f"{where}: unknown variable in {value!r}; known are {known}") from None
    return value


def _build(cls: Any, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise RecipeError(f"{where}: expected keys and values, got {data!r}")
    hints = get_type_hints(cls)
    for key in data:
        if key not in hints:
            raise RecipeError(f"{where}: unknown key {key!r}{_nearest(str(key), hints)}")
    for entry in fields(cls):
        if entry.default is MISSING and entry.default_factory is MISSING and entry.name not in data:
            raise RecipeError(f"{where}: the key {entry.name!r} is missing")
    return cls(**{key: _check(value, hints[key], f"{where}: {key}") for key, value in data.items()})


def _check(value: Any, hint: Any, where: str) -> Any:
    if is_dataclass(hint):
        return _build(hint, value, where)
    origin, choices = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in choices:
            raise RecipeError(f"{where} must be one of {', '.join(map(str, choices))}, got {value!r}")
        return value
    if origin is types.UnionType:
        return None if value is None else _check(value, next(c for c in choices if c is not type(None)), where)
    if origin is list:
        items = value if isinstance(value, list) else [value]
        return [_check(item, choices[0], where) for item in items]
    if origin is dict:
        if not isinstance(value, dict):
            raise RecipeError(f"{where}: expected keys and values, got {value!r}")
        return value
    if hint is float and isinstance(value, str):
        # YAML 1.1 reads 1e-4 as text.
        try:
            return float(value)
        except ValueError:
            pass
    right = isinstance(value, (int, float) if hint is float else hint) and (hint is bool or not isinstance(value, bool))
    if not right:
        raise RecipeError(f"{where} must be {_NAMES[hint]}, got {value!r}")
    if hint in (int, float) and value < 0:
        raise RecipeError(f"{where} must not be negative, got {value!r}")
    return value


_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
