"""Objectives and couplings as recipes name them: made from a name and options, which are checked."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, get_type_hints

from pyserini_optical.couplings import COUPLINGS, Coupling
from pyserini_optical.data.settings import PLAIN, check, nearest
from pyserini_optical.errors import RecipeError


def make_objectives(entries: Sequence[Mapping[str, Any]], registry: Mapping[str, Any]) -> dict[str, Any]:
    """Give weight and objective by name.

    Parameters
    ----------
    entries : sequence of dict
        Each with ``name``, perhaps ``weight``, and that objective's options.
    registry : mapping of str to type
        What there is.

    Raises
    ------
    RecipeError
        An unknown objective, coupling or option, or an objective twice.
    """
    made: dict[str, Any] = {}
    for entry in entries:
        options = dict(entry)
        name = options.pop("name", None)
        weight = check(options.pop("weight", 1.0), float, f"objectives: weight of {name}")
        if name in made:
            raise RecipeError(f"objectives: {name} stands there twice")
        if "coupling" in options:
            options["coupling"] = _make_coupling(options["coupling"])
        made[name] = (float(weight), _make(name, registry, options, "objectives"))
    return made


def _make_coupling(value: Any) -> Coupling:
    options = dict(value) if isinstance(value, dict) else {"name": value}
    coupling: Coupling = _make(options.pop("name", None), COUPLINGS, options, "coupling")
    return coupling


def _make(name: Any, registry: Mapping[str, Any], options: Mapping[str, Any], where: str) -> Any:
    if not isinstance(name, str) or name not in registry:
        problem = "a name is missing" if name is None else f"unknown name {name!r}"
        raise RecipeError(f"{where}: {problem}{nearest(str(name), registry)}")
    made = registry[name]
    allowed = inspect.signature(made).parameters
    hints = get_type_hints(made if is_dataclass(made) else made.__init__)
    checked = {}
    for key, value in options.items():
        if key not in allowed:
            raise RecipeError(f"{where}: {name} has no option {key!r}{nearest(str(key), allowed)}")
        # What is not plain, a coupling, is made already.
        checked[key] = check(value, hints[key], f"{where}: {name}: {key}") if hints[key] in PLAIN else value
    try:
        return made(**checked)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{where}: {name}: {error}") from None
