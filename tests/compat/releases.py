"""The supported Pyserini releases: the installed one, and others unpacked into a cache and put before it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("OPTICAL_COMPAT_CACHE") or ROOT / "work" / "compat")
VERSIONS = ("1.6.0", "2.3.0", "2.4.0")

PASSAGES = [
    ("007", "Bees", "Honey bees tell each other where flowers are by dancing in the dark of the hive."),
    ("d1", "Tides", "The pull of the moon raises the sea twice a day along most coasts."),
    ("d2", "Bread", "Yeast turns the sugar in dough into gas, and the loaf rises in the oven."),
    ("d3", "Volcanoes", "Molten rock breaks through the crust and flows down the mountain as lava."),
    ("d4", "Printing", "Movable type made of metal let printers set a page of a book in an hour."),
    ("d5", "Glaciers", "Snow pressed into ice creeps down the valley and carves the rock below it."),
    ("d6", "Vaccines", "A weakened germ teaches the body to fight an illness that it has not met yet."),
    ("d7", "Railways", "Steam engines on iron rails carried coal from the mines to the harbour."),
    ("d8", "Silk", "The caterpillar of a moth spins a thread from which fine cloth is woven."),
    ("d9", "Chess", "Two players move carved pieces over a board of sixty-four squares."),
    ("d10", "Wells", "Villagers dig deep into dry ground until they reach water to drink."),
    ("d11", "Comets", "A ball of ice and dust grows a long bright tail when it comes near the sun."),
]
TOPICS = {
    "01": ("How do bees show the way to flowers?", "007"),
    "1": ("Why does the sea rise and fall?", "d1"),
    "002": ("What makes bread dough rise?", "d2"),
    "q4": ("What flows down from a volcano?", "d3"),
    "5": ("Which insect makes the thread for silk cloth?", "d8"),
}


def python_path(version: str) -> str:
    """Give a ``PYTHONPATH`` on which ``pyserini`` is that release, fetched and unpacked at the first call."""
    if version == metadata.version("pyserini"):
        return str(ROOT)
    folder = CACHE / version
    if not folder.is_dir():
        downloads = CACHE / "downloads"
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--ignore-requires-python"]
        fetched = subprocess.run([*command, "-d", downloads, f"pyserini=={version}"], capture_output=True, text=True)
        archives = sorted(downloads.glob(f"pyserini-{version}*"))
        if fetched.returncode or not archives:
            pytest.skip(f"pyserini {version} could not be fetched: {fetched.stderr.strip()[-200:]}")
        partial = CACHE / f"{version}.partial"
        if archives[0].suffix == ".whl":
            with zipfile.ZipFile(archives[0]) as wheel:
                wheel.extractall(partial)
        else:
            with tarfile.open(archives[0]) as archive:
                archive.extractall(partial, filter="data")
        (next(partial.glob("**/pyserini/__init__.py")).parents[1]).rename(folder)
        archives[0].unlink()
    return os.pathsep.join((str(folder), str(ROOT)))


def _write_inputs(work: Path) -> None:
    (work / "corpus").mkdir()
    (work / "lucene").mkdir()
    lines = [json.dumps({"id": name, "title": title, "text": text}) for name, title, text in PASSAGES]
    (work / "corpus" / "passages.jsonl").write_text("\n".join(lines) + "\n")
    lines = [json.dumps({"id": name, "contents": text}) for name, _, text in PASSAGES]
    (work / "lucene" / "passages.jsonl").write_text("\n".join(lines) + "\n")
    (work / "topics.tsv").write_text("".join(f"{topic}\t{text}\n" for topic, (text, _) in TOPICS.items()))
    lines = [json.dumps({"qid": topic, "query": text}) for topic, (text, _) in TOPICS.items()]
    (work / "queries.jsonl").write_text("\n".join(lines) + "\n")
    (work / "qrels.txt").write_text("".join(f"{topic} 0 {gold} 1\n" for topic, (_, gold) in TOPICS.items()))


class Outcome:
    """What the scenario left behind for one release."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.found: dict[str, Any] = json.loads((work / "outcome.json").read_text())

    def run(self, name: str) -> dict[str, list[str]]:
        """Passage ids by topic, in the order of a run file."""
        hits: dict[str, list[str]] = {}
        for line in (self.work / f"{name}.run").read_text().splitlines():
            topic, _, passage, *_ = line.split()
            hits.setdefault(topic, []).append(passage)
        return hits

    def vectors(self, name: str) -> dict[str, list[float]]:
        """Vector by passage id."""
        lines = (self.work / name / "embeddings.jsonl").read_text().splitlines()
        return {record["id"]: record["vector"] for record in map(json.loads, lines)}


def play(version: str, checkpoint: Path, work: Path) -> subprocess.CompletedProcess[str]:
    """Run the scenario in a fresh folder with a release."""
    work.mkdir()
    _write_inputs(work)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "HF_"))}
    environment |= {"PYTHONPATH": python_path(version), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("scenario.py")), str(work), str(checkpoint)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
