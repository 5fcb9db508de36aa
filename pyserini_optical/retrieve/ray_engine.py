"""Shards of a corpus encoded on the machines of a Ray cluster, by Ray Data."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pyserini_optical import errors
from pyserini_optical.data import Passage
from pyserini_optical.errors import CheckpointError, InputError, OpticalError, SetupError
from pyserini_optical.progress import Advance
from pyserini_optical.retrieve.shards import Arrays, Shards

if TYPE_CHECKING:
    from pyserini_optical.models import Encoder
    from pyserini_optical.retrieve.sharding import Engine, Part

# Makes arrays of some passages' texts.
Read = Callable[["Encoder", list[str]], Arrays]

# A passage may be what kills its worker; each try goes on behind the shards that are written.
_RETRIES = 10

# Signals that Ray takes for its reports of a crash, and at its end gives to nobody. A JVM in this process lives on
# them: a null reference is one.
_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT)

# Tasks a worker: so many that all end at about the same time, few enough for Ray to hold them all.
_TASKS = 64


def choose_engine(
    name: Literal["ray"] | None, encoder: Encoder, read: Read, part: Part | None, device: str | None
) -> Engine | None:
    """Give what encodes shards elsewhere than in this process; nothing where no name is given.

    Raises
    ------
    InputError
        There is no such engine, or a part is to be encoded, which every process does alone.
    SetupError
        Ray is not installed.
    """
    if name is None:
        return None
    if name != "ray":
        raise InputError(f"unknown engine {name!r}", remedy="choose ray")
    if part is not None:
        raise InputError("a part and an engine are both given", remedy="give one of them")
    try:
        import ray.data  # noqa: F401
    except ImportError:
        raise SetupError("Ray is not installed; run `pip install 'pyserini-optical[scale]'`") from None
    return partial(on_ray, encoder, read, device)


def on_ray(
    encoder: Encoder, read: Read, device: str | None, shards: Shards, missing: Sequence[int], advance: Advance
) -> None:
    """Encode shards by a Ray Data job.

    The job is over the numbers of the shards. Each worker loads the encoder once and reads the corpus forward on its
    own, so that no text goes through this process, and writes into the folder of the shards, which all machines see
    under the same path as the corpus and the encoder. What a worker had in hand when it died is given to another.

    The cluster is the one in ``RAY_ADDRESS``, or else one that is started here and shut down again. A worker has a GPU
    where there are any, otherwise as many processors as this process has threads.

    Parameters
    ----------
    encoder : Encoder
        Loaded again by its name on every worker.
    read : callable
        A function of a module, which makes arrays of some passages' texts with an encoder.
    device : str, optional
        Torch device of the workers; a GPU of the cluster, or else the CPU, by default.
    shards : Shards
        All shards.
    missing : sequence of int
        Numbers of those to write, ascending.
    advance : callable
        Told the passages of a shard when it is written.

    Raises
    ------
    OpticalError
        What a worker raised.
    SetupError
        No cluster can be had, or the job failed.
    """
    from ray.data import ActorPoolStrategy, from_items
    from ray.exceptions import RayError

    name = os.path.abspath(encoder.name) if os.path.exists(encoder.name) else encoder.name
    shards = replace(shards, folder=shards.folder.absolute(), corpus=Path(os.path.abspath(shards.corpus)))
    # Ray says on standard output that a worker died.
    with _cluster(), redirect_stdout(sys.stderr):
        gpu, processors, workers = _share(device)
        job = _Job(name, encoder.document_fingerprint, "cuda" if gpu and device is None else device or "cpu", read)
        blocks = min(len(missing), _TASKS * workers)
        numbers = from_items([{"number": number} for number in missing], override_num_blocks=blocks)
        done = numbers.map_batches(
            _Worker,
            batch_size=None,
            compute=ActorPoolStrategy(size=min(workers, blocks)),
            fn_constructor_args=(job, shards, processors),
            num_gpus=gpu,
            num_cpus=processors,
            ray_remote_args_fn=_retries,
        )
        try:
            for row in done.iter_rows():
                if row["error"]:
                    raise getattr(errors, row["kind"])(row["error"])
                advance(row["passages"])
        except RayError as error:
            problem = f"the Ray job failed ({_reason(str(error))})"
            raise SetupError(f"{problem}; look at the cluster, and run it again") from error


def _retries() -> dict[str, int]:
    return {"max_task_retries": _RETRIES}  # Ray's own default is for ever


@dataclass(frozen=True)
class _Job:
    """How a worker encodes."""

    encoder: str
    fingerprint: str
    device: str
    read: Read

    def load(self) -> Callable[[list[str]], Arrays]:
        from pyserini_optical.models import load_encoder

        encoder = load_encoder(self.encoder, self.device)
        if encoder.document_fingerprint != self.fingerprint:
            raise CheckpointError(
                f"{self.encoder}: another encoder on {os.uname().nodename} than where the job was started; "
                "give all machines the same"
            )
        return partial(self.read, encoder)


class _Worker:
    """One process of the job; what it raises on purpose it returns, as Ray's own errors are pages long."""

    def __init__(self, job: _Job, shards: Shards, threads: int) -> None:
        self._job, self._shards, self._threads = job, shards, threads
        self._encode: Callable[[list[str]], Arrays] | None = None
        self._passages: Iterator[tuple[int, list[Passage]]] = iter(())
        self._next = 0

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        passages, kind, problem = 0, "", ""
        try:
            passages = sum(self._write(int(number)) for number in batch["number"])
        except OpticalError as error:
            kind, problem = type(error).__name__, str(error)
        except OSError as error:
            kind, problem = "InputError", f"{error.filename or self._shards.folder}: {error.strerror or error}"
        return {"passages": np.array([passages]), "kind": np.array([kind]), "error": np.array([problem])}

    def _write(self, number: int) -> int:
        if self._encode is None:
            import torch

            torch.set_num_threads(self._threads)  # the last bits hang on it
            self._encode = self._job.load()
        self._shards.add(number, self._read(number), self._encode)
        return self._shards.count(number)

    def _read(self, wanted: int) -> list[Passage]:
        """Read a shard's passages; from the beginning only where it lies behind, as when another worker died."""
        if wanted < self._next or not self._next:
            self._passages = self._shards.read()
        for number, passages in self._passages:
            self._next = number + 1
            if number == wanted:
                return passages
        raise InputError(
            f"has fewer passages on {os.uname().nodename}", path=self._shards.corpus, remedy="copy it again"
        )


def _share(device: str | None) -> tuple[int, int, int]:
    """Give GPUs and processors a worker, and how many workers the cluster has room for."""
    import ray
    import torch

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if gpus and (device or "cuda").startswith("cuda"):
        return 1, 1, gpus
    processors = [int(node.get("CPU", 0)) for node in nodes]
    each = max(1, min(torch.get_num_threads(), max(processors)))
    return 0, each, max(1, sum(number // each for number in processors))


def _reason(report: str) -> str:
    """Give the line of a report of Ray's that says what went wrong first."""
    found = re.search(r"^[\w.]*(Error|Exception): .*", report, re.MULTILINE)
    return (found[0] if found else report.partition("\n")[0]).strip()


@contextmanager
def _cluster() -> Iterator[None]:
    """Be in a Ray cluster, quietly."""
    import ray

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    ray.data.DataContext.get_current().enable_progress_bars = False
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that is started here sends nothing home
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # else it warns of what Ray Data does itself
    try:
        # Not one that Ray finds by itself: it would try for minutes to reach one that has ended.
        address = os.environ.get("RAY_ADDRESS") or "local"
        with _signals_kept():
            ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise SetupError(f"no Ray cluster can be had ({problem}); look at RAY_ADDRESS, or unset it") from None
    try:
        yield
    finally:
        with _signals_kept():
            ray.shutdown()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Leave the handling of signals as it was; that of faults is not Python's own, so only the system knows it."""
    system = ctypes.CDLL(None)
    kept = {number: ctypes.create_string_buffer(256) for number in _FAULTS}  # longer than any system's sigaction
    handler = signal.getsignal(signal.SIGTERM)
    for number, action in kept.items():
        system.sigaction(number, None, action)
    try:
        yield
    finally:
        for number, action in kept.items():
            system.sigaction(number, action, None)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler or signal.SIG_DFL)  # Ray's own would leave without cleaning up
