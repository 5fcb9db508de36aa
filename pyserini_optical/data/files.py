"""Text files, plain, ``.gz`` or ``.xz``: read with the place of every mistake, written beside and then renamed."""

from __future__ import annotations

import errno
import fcntl
import gzip
import io
import lzma
import os
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pyserini_optical.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Pathish = str | PathLike[str]

# No sentence, passage or record comes near it; without it a file that has no line ends would fill the memory.
LONGEST_LINE = 2**26

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def plain_suffix(path: Pathish) -> str:
    """Give the suffix that says the format, before any ``.gz`` or ``.xz``."""
    name = Path(path)
    return name.with_suffix("").suffix if name.suffix in (".gz", ".xz") else name.suffix


def _reader(path: Path) -> io.BufferedIOBase:
    if path.suffix in (".gz", ".dz"):  # dictzip's files are gzip's too
        return gzip.open(path, "rb")
    return io.BufferedReader(_Xz(path)) if path.suffix == ".xz" else open(path, "rb")


class _Xz(io.RawIOBase):
    """The streams of an ``.xz`` file, one behind the other; ``lzma.open`` would pass over one that is damaged."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb")  # noqa: SIM115
        self._stream = lzma.LZMADecompressor()
        self._read = b""

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        while not self._stream.eof or self._next():
            if self._stream.needs_input and not (self._read or self._more()):
                raise EOFError("it ends before its last stream does")
            part, self._read = self._stream.decompress(self._read, len(view)), b""
            if part:
                view[: len(part)] = part
                return len(part)
        return 0

    def _next(self) -> bool:
        """Go on with the next stream, behind zeros that fill up, if there is one."""
        self._read = self._stream.unused_data.lstrip(b"\0")
        while not self._read:
            if not self._more():
                return False
            self._read = self._read.lstrip(b"\0")
        self._stream = lzma.LZMADecompressor()
        return True

    def _more(self) -> bool:
        self._read = self._file.read(io.DEFAULT_BUFFER_SIZE)
        return bool(self._read)


@contextmanager
def _writer(path: Path) -> Iterator[gzip.GzipFile | lzma.LZMAFile | io.BufferedWriter]:
    with open(path, "wb") as plain:
        if path.suffix == ".gz":
            # Neither name nor time in the header: the same text gives the same bytes.
            with gzip.GzipFile(filename="", mode="wb", fileobj=plain, mtime=0) as packed:
                yield packed
        elif path.suffix == ".xz":
            with lzma.open(plain, "wb") as packed:
                yield packed
        else:
            yield plain


def read_lines(path: Pathish) -> Iterator[tuple[int, str]]:
    """Yield ``(line number from 1, line without its end)`` of a UTF-8 text file, plain, ``.gz`` or ``.xz``.

    A byte order mark and carriage returns at line ends are dropped.

    Raises
    ------
    InputError
        The file is missing, a directory, unreadable, not UTF-8, holds a NUL character or a line of more than 64 MiB,
        or its compressed stream is damaged or cut off.
    """
    path = Path(path)
    number = 0
    try:
        with _reader(path) as stream:
            for number, raw in enumerate(iter(partial(stream.readline, LONGEST_LINE + 1), b""), 1):
                if len(raw) > LONGEST_LINE:
                    problem = f"line of more than {LONGEST_LINE >> 20} MiB"
                    raise InputError(problem, path=path, line=number, remedy="check that it is a text file")
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                if "\0" in line:
                    raise InputError("NUL character in text", path=path, line=number, remedy="save it as UTF-8 text")
                yield number, line
    except FileNotFoundError:
        raise InputError("no such file", path=path, remedy="check the path") from None
    except IsADirectoryError:
        raise InputError("is a directory, expected a file", path=path, remedy="name the file inside it") from None
    except PermissionError:
        raise InputError("may not be read", path=path, remedy="check its permissions") from None
    except UnicodeDecodeError:
        raise InputError("not UTF-8 text", path=path, line=number, remedy="convert the file to UTF-8") from None
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
        remedy = "fetch or compress the file again"
        raise InputError(
            f"damaged or truncated compressed file ({error})", path=path, line=number + 1, remedy=remedy
        ) from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path, remedy="check the path") from None


def check_output(path: Pathish) -> None:
    """Refuse what is no name for a file to write; before long work, as :func:`write_beside` does it again.

    Raises
    ------
    InputError
        It is a directory or a device.
    """
    if os.path.isdir(path):
        raise InputError("is a directory, cannot be written as a file", path=path, remedy="name a file inside it")
    if os.path.exists(path) and not os.path.isfile(path):
        # The temporary file would replace it: /dev/null would be a device no more.
        raise InputError("is not a regular file, cannot be written as one", path=path, remedy="name a file")


@contextmanager
def write_beside(path: Pathish) -> Iterator[Path]:
    """Give a temporary path in the same directory, renamed to ``path`` when the block ends well and removed otherwise.

    Of a symbolic link, its target's. The suffix is kept, so that compressing writers choose the right format. Parent
    directories are made. What a killed process left of the same file is removed. The bytes are on the disk before the
    name is.

    Raises
    ------
    InputError
        ``path`` is a directory or a device, or the directory that would hold it cannot be written to.
    """
    check_output(path)
    path = Path(os.path.realpath(path))  # of a link what it leads to is written: /dev/stdout would be replaced
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(path)
        handle, temporary = _temporary(path)
    except OSError as error:
        remedy = "choose an output directory that can be written to"
        raise InputError(f"cannot be written ({error.strerror})", path=path, remedy=remedy) from None
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        os.fsync(handle)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
            error.filename = str(path)  # a write does not know its file's name
        raise
    finally:
        os.close(handle)


def _temporary(path: Path) -> tuple[int, Path]:
    """Make a temporary file that is locked while it is open, by which a living process is told from a killed one."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        with suppress(OSError):  # a file system without locks; nothing is removed there
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # taken for one that was left, before it was locked


def _remove_left(path: Path) -> None:
    """Remove what processes that were killed while they wrote the same file have left."""
    ours = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}{re.escape(path.suffix)}")
    for left in [Path(entry) for entry in os.scandir(path.parent) if ours.fullmatch(entry.name)]:
        with suppress(OSError), open(left, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


@contextmanager
def write_text(path: Pathish) -> Iterator[TextIO]:
    """Open a UTF-8 text file for writing (plain, ``.gz``, ``.xz``); it appears under its name only when complete.

    Raises
    ------
    InputError
        The directory cannot be written to.
    """
    with (
        write_beside(path) as temporary,
        _writer(temporary) as raw,
        io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as text,
    ):
        yield text
