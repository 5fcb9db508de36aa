"""Files with one JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from pyserini_optical.data.files import Pathish, read_lines
from pyserini_optical.errors import InputError


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is too large for a number")
    return number


_decoder = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def parse_object(text: str, *, path: Pathish, line: int | None = None) -> dict[str, Any]:
    """Read one JSON object.

    Raises
    ------
    InputError
        It is not JSON (``NaN`` and ``Infinity`` are not), nested too deeply to read, or something else than an object.
        Where it is a whole file, also if a text in it cannot be written as UTF-8.
    """
    remedy = "write one JSON object a line" if line is not None else "write one JSON object"
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as error:
        place = f"column {error.colno}" if line is not None else f"line {error.lineno}"
        raise InputError(f"not JSON ({error.msg}, {place})", path=path, line=line, remedy=remedy) from None
    except ValueError as error:  # a constant as above, or a number of thousands of digits
        raise InputError(f"not usable JSON ({error})", path=path, line=line, remedy=remedy) from None
    except RecursionError:
        raise InputError("JSON nested too deeply", path=path, line=line, remedy=remedy) from None
    if not isinstance(value, dict):
        problem = f"expected a JSON object, found {type(value).__name__}"
        raise InputError(problem, path=path, line=line, remedy=remedy)
    if line is None and "\\u" in text and not _is_unicode(json.dumps(value, ensure_ascii=False)):
        raise InputError("a text holds half of a surrogate pair", path=path, remedy="write the file again as UTF-8")
    return value


def read_objects(path: Pathish) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield ``(line number from 1, object)``; errors as for :func:`parse_object` and :func:`read_lines`."""
    for number, line in read_lines(path):
        if not line.strip():
            raise InputError("blank line", path=path, line=number, remedy="remove it")
        yield number, parse_object(line, path=path, line=number)


def string(value: object, key: str, *, path: Pathish, line: int) -> str:
    """Give a value that is text.

    Raises
    ------
    InputError
        It has another type, or holds a NUL character or half of a surrogate pair (``\\ud83d`` alone).
    """
    if not isinstance(value, str):
        problem = f"`{key}` is {'null' if value is None else type(value).__name__}, expected a string"
        raise InputError(problem, path=path, line=line, remedy="put it in quotes")
    if "\0" in value:
        raise InputError(f"NUL character in `{key}`", path=path, line=line, remedy="remove it")
    if not _is_unicode(value):
        problem = f"`{key}` holds half of a surrogate pair"
        raise InputError(problem, path=path, line=line, remedy="write the file again as UTF-8")
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
