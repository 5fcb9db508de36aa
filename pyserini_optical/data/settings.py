"""Settings in YAML: data only, read into a dataclass; unknown keys, wrong types and missing ones are refused."""

from __future__ import annotations

import difflib
import math
import string
import types
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from pyserini_optical.data.files import Pathish, read_lines
from pyserini_optical.errors import RecipeError

T = TypeVar("T")

# No recipe comes near it; nine lines of aliases of aliases would stand for a billion values.
_MOST_VALUES = 100_000


def read_settings(kind: type[T], path: Pathish, settings: Sequence[str] = ()) -> T:
    """Read a YAML file into a dataclass.

    Texts may hold ``{variable}``, for each of the variables under the key ``variables``, and ``{here}``, the file's
    folder. Other paths are relative to the working directory.

    Parameters
    ----------
    kind : dataclass
        What the file describes; its fields are the keys, fields that are dataclasses are parts.
    path : path-like
        The YAML file.
    settings : sequence of str
        ``key=value``, ``part.key=value`` (value in YAML) or ``variable=text``, over what the file says.

    Raises
    ------
    InputError
        The file cannot be read.
    RecipeError
        Bad YAML, unknown or missing key, wrong type.
    """
    text = "\n".join(line for _, line in read_lines(path))
    try:
        data = _parse(text)
    except Exception as error:  # `!!bool maybe` is a KeyError, `!!int ""` an IndexError, and so on
        reason = " ".join(str(error).split())
        raise RecipeError(f"{path}: not YAML ({reason or type(error).__name__})") from None
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: expected keys and values")
    variables = data.pop("variables", {})
    if not isinstance(variables, dict):
        raise RecipeError(f"{path}: variables must be keys and values")
    for key, value in variables.items():
        # `language: no` is false in YAML.
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            problem = f"the variable {key!r} must be a text, got {_cut(value)}"
            raise RecipeError(f"{path}: {problem}; put it in quotation marks")
    for setting in settings:
        _apply(data, variables, setting)
    variables["here"] = str(Path(path).resolve().parent)
    made: T = _build(kind, _fill(data, variables, str(path)), str(path))
    return made


def nearest(word: str, known: Iterable[str]) -> str:
    """End a message about an unknown word: with the known one that is most like it, or with all of them."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known) or 'none'}"


def _parse(text: str) -> Any:
    """Read YAML as data; what its aliases stand for counts as if it were written out."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}) > _MOST_VALUES:
            raise yaml.YAMLError(f"more than {_MOST_VALUES:,} values, aliases written out")
        _check_keys(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _values(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Count the values of a node, those of its aliases at each place where they stand."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = None
        parts = chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_values(part, known) for part in parts)
    found = known[id(node)]
    if found is None:
        raise yaml.YAMLError("an alias holds itself; write it out")
    return found


def _check_keys(node: yaml.Node) -> None:
    """Refuse a key that stands twice, of which PyYAML would take the second without a word."""
    if isinstance(node, yaml.MappingNode):
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in lines:
                raise yaml.YAMLError(f"the key {_cut(key.value)} stands in line {lines[name]} and in line {line}")
            lines[name] = line
        for _, value in node.value:
            _check_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _check_keys(value)


def _apply(data: dict[str, Any], variables: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {setting}: expected key=value")
    if key in variables:
        variables[key] = text
        return
    if not text.strip():
        raise RecipeError(f"--set {setting}: the value is empty; write null for none")
    try:
        value = _parse(text)
    except Exception:  # as above
        raise RecipeError(f"--set {setting}: the value is not YAML") from None
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
    return _filled(value, variables, where) if isinstance(value, str) else value


def _filled(text: str, variables: Mapping[str, Any], where: str) -> str:
    """Put variables in; of Python's format strings only ``{name}``, ``{{`` and ``}}``, so that no text can grow big."""
    try:
        parts = []
        for plain, name, width, conversion in string.Formatter().parse(text):
            parts.append(plain)
            if width or conversion:
                raise ValueError
            if name is not None:
                parts.append(str(variables[name]))
        return "".join(parts)
    except (KeyError, ValueError):
        known = ", ".join(f"{{{key}}}" for key in variables) or "none"
        raise RecipeError(
            f"{where}: unknown variable in {_cut(text)}; known are {known}; a brace itself is doubled"
        ) from None


def _cut(value: object) -> str:
    """Write a value out for a message, as far as it does not fill the screen."""
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."


def _build(cls: Any, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise RecipeError(f"{where}: expected keys and values, got {_cut(data)}")
    hints = get_type_hints(cls)
    for key in data:
        if key not in hints:
            raise RecipeError(f"{where}: unknown key {_cut(key)}{nearest(str(key)[:100], hints)}")
    for entry in fields(cls):
        if entry.default is MISSING and entry.default_factory is MISSING and entry.name not in data:
            raise RecipeError(f"{where}: the key {entry.name!r} is missing")
    checked = {key: check(value, hints[key], f"{where}: {key}") for key, value in data.items()}
    try:
        return cls(**checked)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None


def check(value: Any, hint: Any, where: str) -> Any:
    """Give a value as a type hint wants it, or raise a RecipeError that begins with ``where``."""
    if is_dataclass(hint):
        return _build(hint, value, where)
    origin, choices = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in choices:
            raise RecipeError(f"{where} must be one of {', '.join(map(str, choices))}, got {_cut(value)}")
        return value
    if origin in (types.UnionType, Union):  # the second: `Literal[...] | None`
        return None if value is None else check(value, next(c for c in choices if c is not type(None)), where)
    if origin is list:
        items = value if isinstance(value, list) else [value]
        return [check(item, choices[0], where) for item in items]
    if origin is dict:
        if not isinstance(value, dict):
            raise RecipeError(f"{where}: expected keys and values, got {_cut(value)}")
        return value
    if hint is float and isinstance(value, str):
        # YAML 1.1 reads 1e-4 as text.
        with suppress(ValueError):
            value = float(value)
    right = isinstance(value, (int, float) if hint is float else hint) and (hint is bool or not isinstance(value, bool))
    if not right:
        raise RecipeError(f"{where} must be {PLAIN[hint]}, got {_cut(value)}")
    if hint in (int, float) and not 0 <= value < math.inf:
        raise RecipeError(f"{where} must be finite and not negative, got {_cut(value)}")
    return value


PLAIN = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
