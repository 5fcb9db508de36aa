"""From a corpus to a folder: passages are encoded in shards, each kept when done; the folder is there when whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import (
    Manifest,
    Passage,
    Pathish,
    fingerprint_files,
    read_corpus,
    read_lines,
    write_beside,
    write_text,
)
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.progress import progress, say

MANIFEST = "manifest.json"

# Passages a shard: sentence-transformers sorts each by length, and a killed process loses one at most.
_SHARD = 1024

Arrays = dict[str, NDArray[Any]]


class Shard(NamedTuple):
    """Consecutive passages: their ids, and what was made of them."""

    docids: list[str]
    arrays: Arrays


@dataclass(frozen=True)
class Shards:
    """All shards of a corpus, read one at a time, as often as wanted; ``passages`` says how many passages they hold."""

    files: list[Path]
    passages: int

    def __iter__(self) -> Iterator[Shard]:
        for number, file in enumerate(self.files):
            yield _load(file, min(_SHARD, self.passages - number * _SHARD))


@dataclass(frozen=True)
class CorpusFolder:
    """A folder made from a corpus and a document encoder.

    While it is made, the shards lie in ``.NAME.work`` beside it, from which the same call goes on after a kill.

    Attributes
    ----------
    path : path-like
        The folder.
    manifest : Manifest
        What it is made from; the inputs decide whether shards of an earlier process serve again, the parameters only
        what is made of them.
    files : tuple of str
        Without any of these it is not complete.
    what : str
        What such a folder is called, with its article.
    self_checked : tuple of str
        Those of its files that hold checksums of their parts, or have them beside; the manifest has the others'.
    """

    path: Pathish
    manifest: Manifest
    files: tuple[str, ...]
    what: str
    self_checked: tuple[str, ...] = ()

    @property
    def _target(self) -> Path:
        return Path(os.path.abspath(self.path))  # so that it has a name, even where it is `.`

    @property
    def _work(self) -> Path:
        return self._target.with_name(f".{self._target.name}.work")

    def is_made(self) -> bool:
        """Say whether the folder is there, made from the same things.

        Raises
        ------
        InputError
            It is there, and is not of this kind: it would be replaced.
        """
        target = self._target
        if not target.exists() or (target.is_dir() and not any(target.iterdir())):
            return False
        try:
            found = Manifest.load(target / MANIFEST)
        except InputError:
            found = None
        if found is None or found.step != self.manifest.step:
            remedy = "choose another directory or remove it"
            raise InputError(f"exists and is not {self.what} of ours", path=target, remedy=remedy)
        if not found.matches(self.manifest) or not all((target / name).is_file() for name in self.files):
            return False
        try:
            found.check(target, "it is made again")
        except CheckpointError as error:
            say(str(error))
            return False
        say(f"{self.path}: is there already, made from the same encoder and corpus")
        shutil.rmtree(self._work, ignore_errors=True)  # of a process that was killed in its last moment
        return True

    def make(
        self,
        corpus: Pathish,
        total: int,
        encode: Callable[[list[str]], Arrays],
        write: Callable[[Path, Shards], None],
    ) -> None:
        """Encode what is not encoded yet, write the folder, and put it in its place.

        Parameters
        ----------
        corpus : path-like
            The corpus.
        total : int
            How many passages it has.
        encode : callable
            Makes arrays of some passages' texts; the array ``lengths``, if there is one, says how many rows of the
            others belong to each passage, otherwise it is one.
        write : callable
            Writes all files but the manifest into a folder, from the shards in order, which it may go through twice.

        Raises
        ------
        InputError
            The corpus cannot be read.
        CheckpointError
            The encoder, or a shard of an earlier process, is broken.
        """
        target, work = self._target, self._work  # now, as the working directory itself may be replaced
        _claim(work, Manifest(f"shards for {self.what}", inputs=self.manifest.inputs, parameters={"passages": _SHARD}))
        try:
            shards = _encode_shards(encode, corpus, total, work)
        except BaseException:
            if not any(work.glob("*.docid")):  # nothing to go on from, as with an encoder that is broken
                shutil.rmtree(work)
            raise
        made = work / "made"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        write(made, Shards(shards, total))
        outputs = fingerprint_files(made, but=self.self_checked)
        replace(self.manifest, outputs=outputs).save(made / MANIFEST)
        if target.exists():
            # Moved as a whole: half removed, it would not be known for ours by the next process.
            replaced = work / "replaced"
            shutil.rmtree(replaced, ignore_errors=True)
            target.replace(replaced)
        made.replace(target)
        shutil.rmtree(work)


@contextmanager
def docid_file(folder: Path) -> Iterator[Callable[[Shard], Arrays]]:
    """Give a function that writes a shard's ids into ``docid``, one a line as Pyserini has it, and gives its arrays."""
    with write_text(folder / "docid") as file:

        def take(shard: Shard) -> Arrays:
            file.writelines(f"{docid}\n" for docid in shard.docids)
            return shard.arrays

        yield take


def _claim(work: Path, manifest: Manifest) -> None:
    """Keep the shards of an earlier process if they are of the same passages and encoder, and begin anew otherwise."""
    try:
        ours = Manifest.load(work / MANIFEST).matches(manifest)
    except InputError:
        ours = False
    if work.exists() and not ours:
        (work / MANIFEST).unlink(missing_ok=True)  # first: from a folder that is half removed none goes on
        shutil.rmtree(work)
    manifest.save(work / MANIFEST)


def _encode_shards(encode: Callable[[list[str]], Arrays], corpus: Pathish, total: int, work: Path) -> list[Path]:
    """Encode what is not encoded yet; give each shard's file of ids, beside which its arrays lie."""
    shards: list[Path] = []
    kept = min(total, _SHARD * len(list(work.glob("[0-9]*.docid"))))
    if kept:
        say(f"{kept} of {total} passages are encoded already")
    passages = read_corpus(corpus)
    with progress("encoding passages", total, done=kept) as advance:
        while shard := list(islice(passages, _SHARD)):
            ids = work / f"{len(shards):06d}.docid"
            if not _holds(ids, shard):
                arrays = encode([passage.text for passage in shard])
                with write_beside(ids.with_suffix(".npz")) as temporary:
                    np.savez(temporary, **arrays)  # type: ignore[arg-type]
                # The ids come last: where they are, the shard is complete.
                with write_text(ids) as file:
                    file.writelines(f"{passage.id}\n" for passage in shard)
                advance(len(shard))
            shards.append(ids)
    return shards


def _holds(ids: Path, shard: list[Passage]) -> bool:
    """Tell whether a shard is done; its arrays have checksums of their own, its ids are compared."""
    if not ids.is_file():
        return False
    try:
        return [docid for _, docid in read_lines(ids)] == [passage.id for passage in shard]
    except InputError:
        return False


def _load(ids: Path, passages: int) -> Shard:
    docids = [docid for _, docid in read_lines(ids)]
    path = ids.with_suffix(".npz")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        lengths = arrays.get("lengths")
        rows = passages if lengths is None else int(lengths.sum())
        whole = len(docids) == passages == len(arrays.get("lengths", docids)) and all(
            len(array) == rows for name, array in arrays.items() if name != "lengths"
        )
    except Exception:  # NumPy's readers raise many kinds
        whole = False
    if not whole:
        remedy = f"remove the folder {ids.parent} and encode again"
        raise CheckpointError(f"{path}: this shard is damaged; {remedy}")
    return Shard(docids, arrays)
