"""One process at a time on one output, by locks that the system lets go when their process ends, however it ends."""

from __future__ import annotations

import errno
import fcntl
import functools
import inspect
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import ParamSpec, TypeVar

from pyserini_optical.data.files import Pathish
from pyserini_optical.errors import InputError
from pyserini_optical.progress import say

_P = ParamSpec("_P")
_T = TypeVar("_T")

# What file systems without locks answer, some network file systems among them.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)

_NO_WRITING = (errno.EACCES, errno.EPERM, errno.EROFS)

# Seconds a part waits where another that is just ending has the shared lock alone for a moment.
_PATIENCE = 2.0


_waits = ContextVar("waits", default=False)


@contextmanager
def waiting() -> Iterator[None]:
    """Let :func:`only_process` in the block wait for another process, which may make just what is needed."""
    token = _waits.set(True)
    try:
        yield
    finally:
        _waits.reset(token)


@contextmanager
def only_process(output: Pathish, part: tuple[int, int] | None = None) -> Iterator[None]:
    """Keep all other processes from making the same output, or the same part of it, while the block runs.

    The lock is a ``flock`` on ``.NAME.lock`` beside the output, which holds the number of the process. The system lets
    it go when the process ends, after SIGKILL too; the file that a killed process leaves locks nothing, and goes with
    the next process on this output. Where the file system has no locks, that is said.

    Processes that make parts of an output share this lock, so that none makes the whole beside them, and each holds one
    of its own, ``.NAME.part-K-of-N.lock``.

    Parameters
    ----------
    output : path-like
        File or folder that the block makes.
    part : (int, int), optional
        Number of the part that it makes, from 1, and of how many; the whole by default.

    Raises
    ------
    InputError
        Another process, which is named, makes it (and :func:`waiting` is not asked for), or the folder that would hold
        it cannot be written to.
    """
    target = Path(os.path.abspath(output))  # so that it has a name, even where it is `.`
    with ExitStack() as stack:
        try:
            stack.enter_context(_parents(target))
            _take(target.with_name(f".{target.name}.lock"), output, stack, shared=part is not None)
            if part is not None:
                own = target.with_name(f".{target.name}.part-{part[0]}-of-{part[1]}.lock")
                _take(own, f"{os.fspath(output)}, part {part[0]}/{part[1]}", stack)
        except OSError as error:
            # A folder that is there may need no writing: all may be made already.
            if not target.is_dir() or error.errno not in _NO_WRITING:
                remedy = "choose an output directory that can be written to"
                raise InputError(f"cannot be written ({error.strerror})", path=output, remedy=remedy) from None
        yield


def one_process(parameter: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Let a function hold :func:`only_process` on the path that is given as ``parameter``, unless none is given.

    A function that takes ``part`` holds it for that part.
    """

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def locked(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            given = signature.bind(*args, **kwargs).arguments
            output = given.get(parameter)
            if output is None:
                return function(*args, **kwargs)
            with only_process(output, given.get("part")):
                return function(*args, **kwargs)

        return locked

    return decorate


@contextmanager
def _parents(target: Path) -> Iterator[None]:
    """Make the folders above; those of them that are empty at the end go again, so that a mistake leaves nothing."""
    missing = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):
            for folder in missing:
                folder.rmdir()


def _take(lock: Path, output: Pathish, stack: ExitStack, *, shared: bool = False) -> None:
    """Hold the lock until the stack is left."""
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    until = time.monotonic() + (_PATIENCE if shared else 0)
    tried = stack.enter_context(ExitStack())
    while True:
        tried.close()  # or a long wait would open a file a turn
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        tried.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < until:
                time.sleep(0.05)
                continue
            number, _, machine = os.pread(descriptor, 300, 0).decode("utf-8", "replace").partition(" ")
            where = f" on {machine}" if machine not in ("", platform.node()) else ""
            problem = f"is being made by {f'process {number}' if number else 'another process'}{where}"
            if _waits.get():
                say(f"{os.fspath(output)}: {problem}; waiting for it")
                until = math.inf
                continue
            remedy = "wait until it has ended, or choose another output"
            raise InputError(problem, path=output, remedy=remedy) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            say(f"{lock.parent}: this file system has no locks, so take care that one process alone writes {output}")
        if _is_open_as(lock, descriptor):
            break  # otherwise its holder removed it while it was opened here
    stack.callback(_remove, lock, descriptor, shared)
    os.ftruncate(descriptor, 0)
    if not shared:  # of several holders none could be named for all
        os.pwrite(descriptor, f"{os.getpid()} {platform.node()}".encode(), 0)


def _remove(lock: Path, descriptor: int, shared: bool) -> None:
    """Remove a lock's file; of those that share it the last one does."""
    if shared:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError:  # no locks here
            pass
        if not _is_open_as(lock, descriptor):
            return
    lock.unlink(missing_ok=True)


def _is_open_as(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
