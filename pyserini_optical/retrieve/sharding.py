"""From a corpus to a folder: passages are encoded in shards, each kept when done; the folder is there when whole."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pyserini_optical.data import Manifest, Pathish, fingerprint_files, write_text
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.progress import Advance, progress, say
from pyserini_optical.retrieve.shards import Arrays, Shard, Shards

MANIFEST = "manifest.json"

# Passages a shard: sentence-transformers sorts each by length, and a killed process loses one at most.
_SHARD = 1024

# Its number, from 1, and of how many.
Part = tuple[int, int]

Encode = Callable[[list[str]], Arrays]

# Writes the shards of these numbers, and says how many passages are done.
Engine = Callable[[Shards, Sequence[int], Advance], None]


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
    open : callable, optional
        Opens a folder that is whole, or raises CheckpointError, where checksums do not tell.
    """

    path: Pathish
    manifest: Manifest
    files: tuple[str, ...]
    what: str
    self_checked: tuple[str, ...] = ()
    open: Callable[[Path], object] | None = None

    @property
    def _target(self) -> Path:
        return Path(os.path.abspath(self.path))  # so that it has a name, even where it is `.`

    @property
    def _work(self) -> Path:
        return self._target.with_name(f".{self._target.name}.work")

    def is_made(self, part: Part | None = None) -> bool:
        """Say whether the folder is there, made from the same things; then no part of it is wanted either.

        Raises
        ------
        InputError
            It is there, and is not of this kind: it would be replaced; or the part has no such number.
        """
        if part is not None and not 1 <= part[0] <= part[1]:
            raise InputError(f"there is no part {part[0]}/{part[1]}", remedy="number N parts from 1/N to N/N")
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
            if self.open is not None:
                self.open(target)
        except CheckpointError as error:
            say(str(error))
            return False
        say(f"{self.path}: is there already, made from the same encoder and corpus")
        if part is None:
            shutil.rmtree(self._work, ignore_errors=True)  # of a process that was killed in its last moment
        return True

    def make(
        self,
        corpus: Pathish,
        total: int,
        encode: Encode,
        write: Callable[[Path, Shards], None],
        engine: Engine | None = None,
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
        engine : callable, optional
            Writes those shards that are missing; what it leaves is encoded here.

        Raises
        ------
        InputError
            The corpus cannot be read.
        CheckpointError
            The encoder, or a shard of an earlier process, is broken.
        """
        target, work = self._target, self._work  # now, as the working directory itself may be replaced
        _claim(work, self._shards_manifest())
        shards = self._shards(corpus, total)
        try:
            _encode_shards(shards, encode, engine=engine)
        except BaseException:
            if not shards.written():  # nothing to go on from, as with an encoder that is broken
                shutil.rmtree(work)
            raise
        made = work / "made"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        write(made, shards)
        outputs = fingerprint_files(made, but=self.self_checked)
        replace(self.manifest, outputs=outputs).save(made / MANIFEST)
        if target.exists():
            # Moved as a whole: half removed, it would not be known for ours by the next process.
            replaced = work / "replaced"
            shutil.rmtree(replaced, ignore_errors=True)
            target.replace(replaced)
        made.replace(target)
        shutil.rmtree(work)

    def make_part(self, corpus: Pathish, total: int, encode: Encode, part: Part) -> Path:
        """Encode those shards that belong to a part, of any number of processes that do so at the same time.

        Of N parts the K-th has every N-th shard, from the K-th. When all parts are made, :meth:`make` goes on from
        there.

        Parameters
        ----------
        corpus, total, encode
            As for :meth:`make`.
        part : (int, int)
            Its number K, from 1, and of how many, N.

        Returns
        -------
        Path
            The folder of the shards, ``.NAME.work``.

        Raises
        ------
        InputError
            The corpus cannot be read, or the folder holds shards of another corpus or encoder, on which another process
            may be at work.
        CheckpointError
            The encoder is broken.
        """
        work = self._work
        _join(work, self._shards_manifest())
        shards = self._shards(corpus, total)
        _encode_shards(shards, encode, range(part[0] - 1, len(shards), part[1]))
        say(f"{work}: {len(shards.written())} of {len(shards)} shards are there")
        return work

    def _shards(self, corpus: Pathish, total: int) -> Shards:
        return Shards(self._work, Path(corpus), total, _SHARD)

    def _shards_manifest(self) -> Manifest:
        return Manifest(f"shards for {self.what}", inputs=self.manifest.inputs, parameters={"passages": _SHARD})


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
    for left in work.parent.glob(f"{glob.escape(work.name)}.*"):  # of a part that was killed in its first moment
        shutil.rmtree(left, ignore_errors=True)
    manifest.save(work / MANIFEST)


def _join(work: Path, manifest: Manifest) -> None:
    """Make the folder, or find it made for the same shards: nothing is removed, as others may be at work in it."""
    new = work.with_name(f"{work.name}.{uuid.uuid4().hex}")
    try:
        manifest.save(new / MANIFEST)
        new.rename(work)  # of several at once one succeeds
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    try:
        ours = Manifest.load(work / MANIFEST).matches(manifest)
    except InputError:
        ours = False
    if not ours:
        remedy = "when no process is at work on them, remove that folder"
        raise InputError("holds shards of another corpus or encoder", path=work, remedy=remedy)


def _encode_shards(
    shards: Shards, encode: Encode, part: Sequence[int] | None = None, *, engine: Engine | None = None
) -> None:
    """Encode what is not encoded yet, of all shards or a part."""
    wanted = range(len(shards)) if part is None else part
    written = shards.written()
    kept, total = (sum(map(shards.count, some)) for some in (written.intersection(wanted), wanted))
    if kept:
        say(f"{kept} of {total} passages are encoded already")
    with progress("encoding passages", total, done=kept) as advance:
        if engine and (missing := sorted(set(wanted) - written)):
            engine(shards, missing, advance)
        for number, passages in shards.read():
            if number in wanted and shards.add(number, passages, encode):
                advance(len(passages))
