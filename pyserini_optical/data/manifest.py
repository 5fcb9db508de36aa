"""What a step was made from: fingerprints of its inputs, its parameters, the versions and the machine at work.

A step leaves a manifest when it is done. It is skipped the next time if the manifest matches, and a report reads from
it where a number comes from. The fingerprints of what was made are in it too: whoever reads the files checks them.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from pyserini_optical.data.files import Pathish, read_lines, write_text
from pyserini_optical.data.jsonl import parse_object
from pyserini_optical.errors import CheckpointError, InputError

_PACKAGES = ("torch", "transformers", "sentence-transformers", "pyserini", "POT", "faiss-cpu", "ranx")


def fingerprint(path: Pathish) -> str:
    """Give the SHA-256 of a file's bytes (as ``sha256sum`` does), or of a directory's files and their names.

    Of a directory all files below it count, in the order of their names, except those with a leading dot in their name
    or folder, which are half-written or of the system. Where the directory lies does not count.

    Parameters
    ----------
    path : path-like
        A file or directory; files are streamed.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    InputError
        It is missing or may not be read, or the directory holds no file.
    """
    path = Path(path)
    try:
        if not path.is_dir():
            return _file_digest(path)
        names = sorted(_names(path))
        if not names:
            raise InputError("a directory without files", path=path, remedy="check the path")
        return fingerprint_texts(part for name in names for part in (name, _file_digest(path / name)))
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise InputError(problem, path=error.filename or path, remedy="check the path and its permissions") from None


def fingerprint_files(folder: Pathish, *, but: Collection[str] = ()) -> dict[str, str]:
    """Give the SHA-256 of each file below a folder by its name there, those that :func:`fingerprint` counts.

    Parameters
    ----------
    folder : path-like
        The folder.
    but : collection of str
        Names of files that are left out.

    Raises
    ------
    InputError
        A file may not be read.
    """
    folder = Path(folder)
    return {name: fingerprint(folder / name) for name in sorted(_names(folder)) if name not in but}


def fingerprint_texts(texts: Iterable[str]) -> str:
    """Give the SHA-256 of a sequence of texts: of each its length in bytes, then its UTF-8 bytes.

    Parameters
    ----------
    texts : iterable of str
        In this order; where one text ends and the next begins makes a difference.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Give the versions of Python, this package and those it stands on, without importing them.

    Returns
    -------
    dict of str to str
        Version by name; ``not installed`` where a package is missing.
    """
    from pyserini_optical import __version__

    found = {"python": platform.python_version(), "pyserini-optical": __version__}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


@dataclass(frozen=True)
class Manifest:
    """What a step was made from.

    Attributes
    ----------
    step : str
        What was done.
    inputs : dict of str to str
        Fingerprints by the input's name.
    parameters : dict of str to anything that JSON holds
        Everything else that decides the outcome.
    versions : dict of str to str
        Versions at work; information, not part of the comparison.
    outputs : dict of str to str
        Fingerprints of the files that were made, by their names in the step's folder; see :meth:`check`.
    machine : dict of str to str
        What else the last bits of the numbers hang on: processor, threads, device, precision; information too.
    """

    step: str
    inputs: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=lambda: versions())
    outputs: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)

    def matches(self, other: Manifest) -> bool:
        """Say whether both stand for the same outcome: the same step, inputs and parameters, as JSON writes them."""
        return self._decisive() == other._decisive()

    def save(self, path: Pathish) -> None:
        """Write it as JSON with sorted keys; the file appears when it is complete."""
        text = _json(asdict(self), indent=2)
        with write_text(path) as file:
            file.write(text + "\n")

    @classmethod
    def load(cls, path: Pathish) -> Manifest:
        """Read what :meth:`save` wrote.

        Raises
        ------
        InputError
            The file is missing or is not a manifest.
        """
        record = parse_object("\n".join(line for _, line in read_lines(path)), path=path)
        # Manifests of earlier versions lack the last two.
        found = {key: type(value) for key, value in ({"outputs": {}, "machine": {}} | record).items()}
        expected = {"step": str, "inputs": dict, "parameters": dict, "versions": dict, "outputs": dict, "machine": dict}
        if found != expected or not all(map(is_inside, record.get("outputs", ()))):
            remedy = "delete it and run the step again"
            raise InputError(f"not a manifest ({', '.join(expected)})", path=path, remedy=remedy)
        return cls(**record)

    def check(self, folder: Pathish, remedy: str) -> None:
        """Compare the files in the step's folder with their fingerprints; all of each is read.

        Raises
        ------
        CheckpointError
            A file, which is named, is missing or is not what the step made.
        """
        for name, wanted in self.outputs.items():
            path = Path(folder) / name
            try:
                found = _file_digest(path)
            except OSError as error:
                raise CheckpointError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
            if found != wanted:
                raise CheckpointError(f"{path}: damaged or truncated, its checksum is not the one it had; {remedy}")

    def _decisive(self) -> str:
        return _json([self.step, self.inputs, self.parameters])


def _json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=indent)


def _file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_inside(name: str) -> bool:
    """Tell whether a manifest's name of a file is one inside the step's folder."""
    path = Path(name)
    return name not in ("", ".") and "\0" not in name and not path.is_absolute() and ".." not in path.parts


def _refuse(error: OSError) -> None:
    raise error


def _names(path: Path) -> Iterable[str]:
    for folder, folders, files in os.walk(path, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(folder).relative_to(path)
        yield from ((inside / name).as_posix() for name in files if not name.startswith("."))
