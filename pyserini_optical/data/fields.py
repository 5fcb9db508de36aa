"""What every reader and writer asks of an id and of a text."""

from __future__ import annotations

from pathlib import Path

from pyserini_optical.data.files import Pathish
from pyserini_optical.errors import InputError

# U+FEFF inside a file comes from files joined with `cat`; left in, it makes an id that looks right and never matches.
_MARK = "\ufeff"


def shown(text: str) -> str:
    """Quote a text for a message, cut where it would no longer be one line."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def checked_id(text: str, what: str, *, path: Pathish | None = None, line: int | None = None) -> str:
    """Give an id back unchanged, if TREC files and Pyserini's ``docid`` file can hold it.

    Raises
    ------
    InputError
        It is empty, holds white space, or begins with a byte order mark.
    """
    if text.split() != [text]:
        problem = f"{what} {shown(text)} holds white space" if text else f"empty {what}"
        remedy = "ids are words without white space, as TREC files separate by it"
        raise InputError(problem, path=path, line=line, remedy=remedy)
    if text.startswith(_MARK):
        problem = f"{what} {shown(text)} begins with a byte order mark"
        raise InputError(problem, path=path, line=line, remedy="remove the character U+FEFF before it")
    return text


def checked_text(text: str, what: str, *, path: Pathish | None = None, line: int | None = None) -> str:
    """Give a text back without the white space around it.

    Raises
    ------
    InputError
        Nothing is left.
    """
    text = text.strip()
    if not text:
        raise InputError(f"empty {what}", path=path, line=line, remedy="fill it in or leave it out")
    return text


def one_line(text: str) -> str:
    """Collapse white space, so that a text fits between tabs."""
    return " ".join(text.split())


def is_folder_name(text: str) -> bool:
    """Tell whether a text can be the name of a folder, and of one that lies where it is made."""
    return text not in ("", "..") and Path(text).name == text and text.isprintable() and len(text.encode()) < 200
