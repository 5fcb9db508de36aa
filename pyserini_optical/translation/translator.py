"""What a translator is, and how one is named: ``KIND:WHAT``, with options as ``KIND:WHAT?key=value&key=value``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pyserini_optical.data.settings import nearest
from pyserini_optical.errors import InputError


class Translator(Protocol):
    """Text in, text out.

    Attributes
    ----------
    name : str
        As the user named it.
    version : str
        Versions and fingerprints of all that decides its outcome: the same version translates a text the same way.
    languages : str
        From which language into which, as far as it knows, such as ``spa-eng``.
    batch_size : int
        How many texts it takes at a time.
    slow : bool
        Whether its translations are worth keeping on disk.
    """

    name: str
    version: str
    languages: str
    batch_size: int
    slow: bool

    def translate(self, texts: Sequence[str], ids: Sequence[str]) -> list[str]:
        """Translate texts, each on one line, into as many.

        Parameters
        ----------
        texts : sequence of str
            At most ``batch_size``.
        ids : sequence of str
            Of the topics or passages that they are the texts of, for translators that look them up.

        Raises
        ------
        OpticalError
            A text cannot be translated.
        """
        ...


class Spec(NamedTuple):
    """A translator's name in its parts."""

    name: str
    kind: str
    what: str
    options: dict[str, str]


def parse_spec(name: str) -> Spec:
    """Take ``KIND:WHAT?key=value&key=value`` apart.

    Raises
    ------
    InputError
        It is not of that form.
    """
    kind, colon, rest = name.partition(":")
    what, _, query = rest.partition("?")
    options = {}
    for option in query.split("&") if query else ():
        key, equals, value = option.partition("=")
        if not key or not equals or not value or key in options:
            raise InputError(f"translator {name!r}: {option!r} is not an option", remedy="write key=value, each once")
        options[key] = value
    if not colon or not kind or not what:
        remedy = "write KIND:WHAT, such as dictionary:sw-en.tsv or apertium:spa-eng"
        raise InputError(f"{name!r} names no translator", remedy=remedy)
    return Spec(name, kind, what, options)


def choose(spec: Spec, known: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Give a translator's options, checked and filled up.

    Parameters
    ----------
    spec : Spec
        With the options that the user wrote.
    known : dict of str to tuple of str
        By option the values that it may have, the default first; a tuple of one empty text takes any value.

    Raises
    ------
    InputError
        An unknown option or value.
    """
    for key, value in spec.options.items():
        if key not in known:
            raise InputError(f"translator {spec.name!r}: unknown option {key!r}{nearest(key, known)}")
        if known[key] != ("",) and value not in known[key]:
            raise InputError(f"translator {spec.name!r}: {key} must be one of {', '.join(known[key])}, got {value!r}")
    return {key: spec.options.get(key, values[0]) for key, values in known.items()}
