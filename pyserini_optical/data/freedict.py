"""FreeDict's dictionaries, as Linux distributions and freedict.org have them for dictd: word lists as bitext."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from pyserini_optical.data.fields import one_line, shown
from pyserini_optical.data.files import Pathish, read_lines
from pyserini_optical.errors import InputError

ENGLISH = "eng"
# What has more words explains and does not translate.
LONGEST = 4

_NAME = re.compile(r"freedict-([a-z]{3})-([a-z]{3})\.dict(?:\.dz)?")
_DIGITS = {
    digit: value for value, digit in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}
# Grammar, subject, remarks; and of the first line how it is spoken, with what follows.
_NOTE = re.compile(r"<[^<>]*>|\[[^\[\]]*\]|\{[^{}]*\}|\([^()]*\)")
_SPOKEN = re.compile(r"\s/[^/]+/.*")
_SENSE = re.compile(r"\d+\.\s*")
_BETWEEN = re.compile("[,;/\u060c]")


def is_freedict(path: Pathish) -> bool:
    """Whether a file is named as dictd's dictionaries are, ``….dict`` or ``….dict.dz``."""
    return Path(path).name.endswith((".dict", ".dict.dz"))


def read_freedict(path: Pathish) -> Iterator[tuple[str, str]]:
    """Read ``(foreign, English)`` from a dictionary to or from English.

    Parameters
    ----------
    path : path-like
        ``freedict-XXX-eng.dict.dz`` or ``freedict-eng-XXX.dict.dz``, languages by their codes of ISO 639-3, with its
        ``.index`` beside it.

    Yields
    ------
    tuple of str
        Each headword with each of its translations, of at most four words each; without grammar, remarks, examples and
        references.

    Raises
    ------
    InputError
        Another name or languages, no index, or an index of another file.
    """
    path = Path(path)
    languages = _NAME.fullmatch(path.name)
    if languages is None or ENGLISH not in languages.groups():
        raise InputError(
            f"a dictionary's languages are in its name, and {shown(path.name)} does not say how English is one",
            path=path,
            remedy="name it freedict-XXX-eng.dict.dz or freedict-eng-XXX.dict.dz",
        )
    reverse = languages[1] == ENGLISH
    # Places in the index are of bytes.
    content = b"".join(f"{line}\n".encode() for _, line in read_lines(path))
    for word, translation in _entries(content, path):
        yield (translation, word) if reverse else (word, translation)


def index_of(path: Pathish) -> Path:
    """Give the file that says where a dictionary's entries are."""
    path = Path(path)
    return path.with_name(path.name.removesuffix(".dz").removesuffix(".dict") + ".index")


def _entries(content: bytes, path: Path) -> Iterator[tuple[str, str]]:
    index = index_of(path)
    seen = set()
    for number, line in read_lines(index):
        try:
            word, start, length = (*line.split("\t"), "", "")[:3]
            place = _number(start), _number(length)
            if not length or sum(place) > len(content):
                raise ValueError
            entry = content[place[0] : sum(place)].decode("utf-8")
        except (KeyError, ValueError):
            raise InputError(
                f"no entry of {path.name}", path=index, line=number, remedy="take both files from one package"
            ) from None
        if not word.startswith("00") and place not in seen:  # entries of several headwords stand in it once for each
            seen.add(place)
            head, *lines = entry.split("\n")
            translations = [part for line in lines for part in _translations(line)]
            yield from product(_parts(_SPOKEN.sub("", head)), translations)


def _translations(line: str) -> list[str]:
    # What is set in is an example, a remark or a reference.
    return [] if line[:1].isspace() else _parts(_SENSE.sub("", line, count=1))


def _parts(text: str) -> list[str]:
    parts = (one_line(part.replace("~", " ")).strip(" .:") for part in _BETWEEN.split(_NOTE.sub(" ", text)))
    return [part for part in parts if 0 < len(part.split()) <= LONGEST]


def _number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = 64 * number + _DIGITS[digit]
    return number
