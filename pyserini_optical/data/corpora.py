"""Passages, streamed from JSONL files as Pyserini reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pyserini_optical.data.fields import checked_id, checked_text, shown
from pyserini_optical.data.files import Pathish
from pyserini_optical.data.jsonl import read_objects, string
from pyserini_optical.data.repeats import Repeats
from pyserini_optical.errors import InputError

_ID_KEYS = ("id", "_id", "docid")
_TEXT_KEYS = ("text", "contents")
_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.xz")


class Passage(NamedTuple):
    """A passage: its id, its title (may be empty) and its text."""

    id: str
    title: str
    text: str


def read_corpus(path: Pathish) -> Iterator[Passage]:
    """Yield the passages of a JSONL file, or of all those in a directory.

    Each line is an object with ``id`` (or ``_id``, ``docid``), ``text`` (or ``contents``) and perhaps ``title``; of
    several such keys the first counts, others are passed over. A whole number as an id is taken as its digits. In
    memory stay 8 bytes a passage, and twice that now and then.

    Parameters
    ----------
    path : path-like
        A file, or a flat directory whose ``.jsonl``, ``.jsonl.gz`` and ``.jsonl.xz`` files are read in the order of
        their names.

    Yields
    ------
    Passage
        In the order of the files.

    Raises
    ------
    InputError
        A line that is not as above, an empty text, an id that is empty, repeated or holds white space, or no passage.
        What stands before the mistake has been yielded by then, and of a repeated id perhaps many more.
    """
    ids = Repeats()
    empty = True
    for _, _, passage in _lines(Path(path)):
        empty = False
        if suspects := ids.add(passage.id):
            _check_ids(Path(path), suspects)
        yield passage
    if empty:
        raise InputError("holds no passages", path=path, remedy="check that it is the right corpus")
    if suspects := ids.rest():
        _check_ids(Path(path), suspects)


def _lines(path: Path) -> Iterator[tuple[Path, int, Passage]]:
    for file in _files(path):
        for number, record in read_objects(file):
            yield file, number, _passage(record, file, number)


def _check_ids(path: Path, suspects: set[int]) -> None:
    """Read again, and name the first id that really stands twice, if one does, of those whose hashes do."""
    seen: set[str] = set()
    for file, number, passage in _lines(path):
        if hash(passage.id) in suspects:
            if passage.id in seen:
                remedy = "every passage needs an id of its own"
                raise InputError(f"id {shown(passage.id)} stands twice", path=file, line=number, remedy=remedy)
            seen.add(passage.id)


def _files(path: Path) -> list[Path]:
    if not os.path.isdir(path):  # unlike Path.is_dir it never raises; opening the file will, and says why
        return [path]
    # Names with a leading dot are half-written files and the like.
    try:
        files = [file for file in path.iterdir() if file.name.endswith(_SUFFIXES) and not file.name.startswith(".")]
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path, remedy="check its permissions") from None
    if not files:
        remedy = "name a JSONL file, or a directory that holds some directly"
        raise InputError(f"a directory without {', '.join(_SUFFIXES)} files", path=path, remedy=remedy)
    return sorted(files, key=lambda file: file.name)


def _passage(record: dict[str, Any], path: Path, line: int) -> Passage:
    id_key = _first(_ID_KEYS, record, path, line)
    text_key = _first(_TEXT_KEYS, record, path, line)
    value, title = record[id_key], record.get("title")
    # True and False are integers to Python.
    name = str(value) if isinstance(value, int) and not isinstance(value, bool) else None
    return Passage(
        checked_id(name or string(value, id_key, path=path, line=line), "id", path=path, line=line),
        "" if title is None else string(title, "title", path=path, line=line).strip(),
        checked_text(string(record[text_key], text_key, path=path, line=line), f"`{text_key}`", path=path, line=line),
    )


def _first(keys: tuple[str, ...], record: dict[str, Any], path: Path, line: int) -> str:
    for key in keys:
        if key in record:
            return key
    found = shown(", ".join(sorted(record))) if record else "none"
    wanted = " or ".join(f"`{key}`" for key in keys)
    raise InputError(f"no {wanted} (keys found: {found})", path=path, line=line, remedy="rename the key that holds it")
