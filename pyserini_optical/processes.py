"""Several processes on one training, as ``torchrun`` or ``accelerate launch`` start them: who goes first, who waits."""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from pyserini_optical.errors import OpticalError, SetupError

# The others wait while the first one learns a vocabulary or fills a cache, which may take hours.
_PATIENCE = timedelta(days=30)

# Seconds in which the first process says what is wrong; torchrun ends all when one has ended.
_MOMENT = 5.0


def count() -> int:
    """Give the number of processes; 1 for a command that was started as usual."""
    size = os.environ.get("WORLD_SIZE", "")
    return int(size) if size.isdecimal() and "RANK" in os.environ else 1


def is_first() -> bool:
    """Tell whether this is the process that writes."""
    return count() == 1 or os.environ["RANK"] == "0"


def speaks() -> bool:
    """Tell whether this process says what it does: one that has met no others does, whatever its environment says."""
    return is_first() or not _join.cache_info().currsize


@contextmanager
def first() -> Iterator[None]:
    """Let the first process run the block, and then the others, which find made what it made.

    Where the block fails in the first process, the others end with it. All processes must come to the same blocks in
    the same order.

    Raises
    ------
    SetupError
        There are more processes than GPUs.
    """
    if count() > 1:
        _join()  # all at once: those that meet nobody would not notice an end
    if not is_first():
        wait()
    yield
    if is_first():
        wait()


@contextmanager
def alike() -> Iterator[None]:
    """Run a block of which all processes have a share; what is wrong with it is said once, by the first of them."""
    try:
        yield
    except OpticalError:
        if not is_first():
            time.sleep(_MOMENT)
            raise SystemExit(1) from None
        raise
    except RuntimeError as error:
        # What gloo and NCCL raise where another process has ended.
        if count() == 1 or not re.search("Connection (closed|reset)|gloo|NCCL", str(error)):
            raise
        if not is_first():
            raise SystemExit(1) from None
        reason = str(error).strip().partition("\n")[0]
        raise SetupError(f"another process is lost ({reason}); look at what it said, and run all again") from None


def wait() -> None:
    """Wait until all processes have come here; where one has ended this one ends too, with status 1 and no word."""
    if count() == 1:
        return
    import torch.distributed

    group = _join()
    try:
        torch.distributed.barrier(group)
    except RuntimeError:
        raise SystemExit(1) from None


def refuse_others(what: str) -> None:
    """Refuse to do something in several processes.

    Raises
    ------
    SetupError
        There are several.
    """
    if count() > 1:
        with alike():
            raise SetupError(f"{what} runs in one process; start it without torchrun or accelerate launch")


def leave() -> None:
    """Part from the other processes, at the end of a command that went well."""
    if _join.cache_info().currsize:
        import torch.distributed

        torch.distributed.destroy_process_group()
        _join.cache_clear()


@functools.cache
def _join() -> Any:
    """Meet the other processes; give a group of its own to wait in, since GPUs' own give up after minutes."""
    import torch
    from accelerate import PartialState  # type: ignore[import-untyped]

    cuda = torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_WORLD_SIZE", count()))
    with alike():
        if cuda and local > torch.cuda.device_count():
            raise SetupError(
                f"{local} processes want a GPU each and there are {torch.cuda.device_count()}; start fewer, or set "
                "CUDA_VISIBLE_DEVICES to nothing to train on the CPU"
            )
    PartialState(cpu=not cuda)
    return torch.distributed.new_group(backend="gloo", timeout=_PATIENCE)
