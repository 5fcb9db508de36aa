"""Long work in parts: each is kept on disk when it is done, and a second call goes on where the first was cut off."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pyserini_optical.data.files import write_text
from pyserini_optical.data.manifest import Manifest
from pyserini_optical.errors import InputError
from pyserini_optical.progress import progress

T = TypeVar("T")

_MANIFEST = "manifest.json"


def in_parts(
    folder: Path,
    manifest: Manifest,
    items: Sequence[T],
    make: Callable[[int, Sequence[T]], list[Any]],
    *,
    size: int,
    title: str,
) -> list[Any]:
    """Do the same for all items, ``size`` at a time.

    Parameters
    ----------
    folder : Path
        Where finished parts lie; what lies there from another manifest is removed.
    manifest : Manifest
        All that decides the outcome, the items with it.
    items : sequence
        What there is to do.
    make : callable
        Gives for the number of a part and its items one result each, anything that JSON holds.
    size : int
        Items a part.
    title : str
        What the progress bar says.

    Returns
    -------
    list
        A result for each item, in their order.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    if not _belongs(folder, manifest):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "choose an output directory that can be written to"
        raise InputError(f"cannot be written ({error.strerror})", path=folder, remedy=remedy) from None
    manifest.save(folder / _MANIFEST)
    parts = [items[start : start + size] for start in range(0, len(items), size)]
    kept = [_read(folder / f"{number:06}.json", len(part)) for number, part in enumerate(parts)]
    done = sum(len(part) for part in kept if part is not None)
    results: list[Any] = []
    with progress(title, len(items), done=done) as advance:
        for number, (part, found) in enumerate(zip(parts, kept, strict=True)):
            if found is None:
                found = make(number, part)
                with write_text(folder / f"{number:06}.json") as stream:
                    json.dump(found, stream, ensure_ascii=False)
                advance(len(part))
            results += found
    return results


def _belongs(folder: Path, manifest: Manifest) -> bool:
    try:
        return Manifest.load(folder / _MANIFEST).matches(manifest)
    except InputError:
        return False


def _read(path: Path, length: int) -> list[Any] | None:
    """Give a part that is there whole."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, list) and len(found) == length else None
