"""Commands killed at random points and started again: do they end in the same bytes as undisturbed ones?

For example::

    python benchmarks/soak.py --kills 50 --output soak.json

Every command works on a part of the quickstart's collection with a small random teacher. It runs undisturbed once.
Then it is killed with SIGKILL and started again with the same arguments until it comes through, and all files that it
leaves, hidden ones too, are compared with those of the undisturbed run; and so on until it was killed often enough.
Half of the kills come just before a file is opened for writing, renamed or removed, drawn from all of these; the others
at a random time. All draws come from ``--seed``. Only how long things took, the layout of the SQLite file of
translations and the inside of Lucene's indexes (which has random numbers) are left out of the comparison.

Processes are forked from one that has imported everything, so that a kill costs no imports.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# Read when torch and tokenizers are imported: processes with threads cannot be forked.
os.environ.update(OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")

from measuring import random_teacher

from pyserini_optical.cli import main as optical
from pyserini_optical.data import versions, write_text
from pyserini_optical.progress import say
from pyserini_optical.quickstart import HOME

COMMANDS = {
    "distill": "distill scene/recipe.yaml --output encoder",
    "encode": "encode scene/encoder scene/passages.jsonl index",
    "encode --tokens": "encode scene/encoder scene/passages.jsonl store --tokens 2-bit",
    "translate": "translate dictionary:scene/bitext.tsv scene/topics.sw.tsv english.tsv",
    "rerank": "rerank scene/encoder scene/passages.jsonl scene/topics.sw.tsv scene/run.txt reranked.txt",
    "study": "study scene/study.yaml --output study",
}

RECIPE = """
name: encoder
teacher: scene/teacher
bitext: scene/bitext.tsv
development: scene/development.tsv
student: {vocabulary: 300}
objectives: [{name: token-alignment, coupling: {name: ipot, iterations: 10}}, {name: contrastive}]
training: {epochs: 2, batch_size: 20, learning_rate: 1.0e-3, max_length: 16, checkpoint_steps: 3, patience: 9}
"""

STUDY = """
name: soak
corpus: scene/passages.jsonl
qrels: scene/qrels.txt
topics:
  untranslated: scene/topics.sw.tsv
  english: scene/topics.en.tsv
  dictionary: {translate: "dictionary:scene/bitext.tsv", topics: untranslated}
runs:
  bm25: {search: bm25, topics: english}
  bm25-dictionary: {search: bm25, topics: dictionary}
  teacher: {search: scene/teacher, topics: english}
  student: {search: scene/recipe.yaml, topics: untranslated, set: [training.epochs=1]}
  fused: {search: fuse, runs: [bm25, teacher], topics: english}
"""

# Audit events that change what lies on the disk.
CHANGES = (
    "sqlite3.connect",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.truncate",
    "shutil.rmtree",
    "tempfile.mkstemp",
)

# After so many kills in a row a command may come through.
MOST = 6


@dataclass
class Outcome:
    """What became of one command.

    Attributes
    ----------
    command : str
        Its name.
    changes : int
        So often the undisturbed run opens a file for writing, renames or removes one.
    seconds : float
        How long the undisturbed run took.
    kills : int
        So often it was killed.
    finished : int
        So often it came through after kills.
    files : int
        How many files were compared each time.
    wrong : list of str
        Files that differed, and runs that failed.
    """

    command: str
    changes: int
    seconds: float
    kills: int
    finished: int
    files: int
    wrong: list[str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill every command, print a table; the exit status is 1 if anything differed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="kills a command (default: 50)")
    parser.add_argument("--commands", nargs="+", choices=tuple(COMMANDS), default=list(COMMANDS), metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", metavar="FILE", help="JSON with all of it")
    args = parser.parse_args(arguments)
    _import_all("study" in args.commands)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        home = Path(folder)
        scene = _scene(home / "scene")
        outcomes = [
            _soak(name, home, scene, args.kills, random.Random(f"{args.seed} {name}")) for name in args.commands
        ]
    print("| command | changes | seconds | kills | finished | files | wrong |")
    print("|---|--:|--:|--:|--:|--:|---|")
    for one in outcomes:
        wrong = ", ".join(sorted(set(one.wrong))) or "none"
        counts = f"{one.changes} | {one.seconds:.1f} | {one.kills} | {one.finished} | {one.files}"
        print(f"| {one.command} | {counts} | {wrong} |")
    if args.output:
        with write_text(args.output) as file:
            record = {"seed": args.seed, "versions": versions(), "commands": [asdict(one) for one in outcomes]}
            json.dump(record, file, indent=1)
            file.write("\n")
    return int(any(one.wrong for one in outcomes))


def _soak(name: str, home: Path, scene: Path, kills: int, draw: random.Random) -> Outcome:
    arguments = COMMANDS[name].split()
    # All of them in the same place: a checkpoint names its teacher by its full path.
    place = _place(home / "place", scene)
    started = time.monotonic()
    status, changes = _run(place, arguments)
    seconds = time.monotonic() - started
    expected = _contents(place)
    outcome = Outcome(name, changes, seconds, 0, 0, len(expected), [])
    if status:
        outcome.wrong.append(f"undisturbed it failed: {_last_line(place)}")
    while outcome.kills < kills and not outcome.wrong:
        _place(place, scene)
        status, in_a_row = -signal.SIGKILL, 0
        while status == -signal.SIGKILL:
            wanted = outcome.kills < kills and in_a_row < MOST
            at_change = draw.randrange(changes) if wanted and draw.random() < 0.5 else None
            after = draw.uniform(0, seconds) if wanted and at_change is None else None
            status, _ = _run(place, arguments, at_change, after)
            outcome.kills += status == -signal.SIGKILL
            in_a_row += status == -signal.SIGKILL
        if status:
            outcome.wrong.append(f"it failed after a kill: {_last_line(place)}")
            break
        outcome.finished += bool(in_a_row)
        found = _contents(place)
        outcome.wrong += [path for path in sorted(expected | found) if expected.get(path) != found.get(path)]
    say(f"{name}: {outcome.kills} kills, wrong: {outcome.wrong or 'nothing'}")
    return outcome


def _import_all(java: bool) -> None:
    import datasets  # noqa: F401
    import faiss
    import torch

    import pyserini_optical.distillation.training
    import pyserini_optical.models.plan_start
    import pyserini_optical.retrieve
    import pyserini_optical.study.experiment  # noqa: F401
    from pyserini_optical.integration import ensure_java
    from pyserini_optical.retrieve import sharding
    from pyserini_optical.study import making
    from pyserini_optical.translation.dictionary import Dictionary

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    if java:
        ensure_java()  # asks the java commands, which takes as long as all else; the JVM itself is each process's own
    # As with more passages and topics: several shards, and translations that are kept batch by batch.
    sharding._SHARD = 8
    Dictionary.slow, Dictionary.batch_size = True, 4
    # How long a run took stands in its record and in the report.
    vars(making)["time"] = SimpleNamespace(monotonic=lambda: 0.0)


def _scene(scene: Path) -> Path:
    """Write what the commands read."""
    scene.mkdir()
    passages = (HOME / "passages.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[:40]
    known = {json.loads(line)["id"] for line in passages}
    qrels = [line for line in (HOME / "qrels.txt").read_text().splitlines(keepends=True) if line.split()[2] in known]
    topics = {line.split()[0] for line in qrels}
    pairs = (HOME / "bitext.sw-en.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    files = {
        "passages.jsonl": passages,
        "qrels.txt": qrels,
        "bitext.tsv": pairs[:120],
        "development.tsv": pairs[120:150],
        "recipe.yaml": [RECIPE],
        "study.yaml": [STUDY],
    }
    for name in ("topics.sw.tsv", "topics.en.tsv"):
        lines = (HOME / name).read_text(encoding="utf-8").splitlines(keepends=True)
        files[name] = [line for line in lines if line.split("\t")[0] in topics]
    for name, lines in files.items():
        (scene / name).write_text("".join(lines), encoding="utf-8")
    _forked(partial(_teacher, scene / "teacher"), scene.parent / "log")
    for command in (
        "distill scene/recipe.yaml --set training.epochs=0 --output scene/encoder",
        "encode scene/encoder scene/passages.jsonl index",
        "search scene/encoder index scene/topics.sw.tsv scene/run.txt --hits 20",
    ):
        status, _ = _run(scene.parent, command.split())
        if status:
            raise SystemExit(f"{command}: {_last_line(scene.parent)}")
    return scene


def _teacher(folder: Path) -> int:
    random_teacher(folder)
    return 0


def _place(folder: Path, scene: Path) -> Path:
    """Make an empty working directory from which the scene is seen."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "scene").symlink_to(scene)
    return folder


def _run(
    place: Path, arguments: list[str], at_change: int | None = None, after: float | None = None
) -> tuple[int, int]:
    """Run a command in a process of its own, which is killed before a change or after some seconds.

    Returns
    -------
    status, changes
        Exit status, negative for a signal; and how many changes it came to, where it was not killed.
    """
    count = place.with_name(f"{place.name}.changes")

    def command() -> int:
        os.chdir(place)
        done = _count_changes(str(place), at_change)
        status = optical(arguments)
        count.write_text(str(done()))
        return status

    status = _forked(command, place.with_name(f"{place.name}.log"), after)
    return status, int(count.read_text()) if status == 0 else 0


def _count_changes(folder: str, last: int | None) -> Callable[[], int]:
    """Count from now on what this process changes on the disk, and end it before one of the changes."""
    done = 0

    def hook(event: str, values: tuple[Any, ...]) -> None:
        nonlocal done
        if event == "open":
            path, _, flags = values
            changes = bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        else:
            changes, path = event in CHANGES, values[0] if values else ""
        if not changes or not isinstance(path, str | bytes | os.PathLike):
            return
        if not os.path.abspath(os.fsdecode(path)).startswith(folder):
            return
        if done == last:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1

    sys.addaudithook(hook)
    return lambda: done


def _forked(work: Callable[[], int], log: Path, after: float | None = None) -> int:
    """Run in a child; give its exit status, negative for a signal."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        status = 70
        try:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(output, 1)
            os.dup2(output, 2)
            status = work()
            sys.stdout.flush()
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    if after is not None:
        time.sleep(after)
        # Not yet waited for, so that the number is still the child's, even where it has ended.
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _contents(folder: Path) -> dict[str, bytes]:
    """Give all files below a folder, without how long anything took."""
    found = {}
    for path in sorted(folder.rglob("*")):
        # Lucene gives its segments random numbers.
        lucene = (path.parent / "bm25.json").is_file()
        if path.is_file() and not lucene and "scene" not in path.relative_to(folder).parts:
            found[path.relative_to(folder).as_posix()] = _content(path)
    return found


def _content(path: Path) -> bytes:
    if path.suffix == ".sqlite":
        with closing(sqlite3.connect(path)) as connection:
            return repr(sorted(connection.execute("SELECT * FROM translations"))).encode()
    content = path.read_bytes()
    return re.sub(rb'"\w*(runtime|per_second)": [^,\n]*', b"", content) if path.name == "training.json" else content


def _last_line(place: Path) -> str:
    lines = place.with_name(f"{place.name}.log").read_text(errors="replace").splitlines()
    return lines[-1] if lines else "without a word"


if __name__ == "__main__":
    sys.exit(main())
