"""Late interaction by Lucene's own rescorer gives what ours gives, on the releases whose Lucene has it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from releases import VERSIONS, python_path

from pyserini_optical import encode_tokens
from pyserini_optical.integration import ensure_java
from pyserini_optical.models import load_encoder
from pyserini_optical.models.late_interaction import project
from pyserini_optical.models.transformer import load_transformer, save_transformer
from pyserini_optical.quickstart import HOME


@pytest.fixture(scope="module")
def work(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder, a token store of the quickstart's passages and a run that names some of them."""
    ensure_java()
    folder = tmp_path_factory.mktemp("lucene-tokens")
    save_transformer(project(load_transformer(str(tiny), "cpu"), 16), folder / "late")
    encoder = load_encoder(str(folder / "late"), "cpu")
    encode_tokens(encoder, HOME / "passages.jsonl", folder / "store")
    lines = (HOME / "passages.jsonl").read_text().splitlines()
    topics = [line.split("\t")[0] for line in (HOME / "topics.en.tsv").read_text().splitlines()[:8]]
    run = [
        f"{topic} Q0 {json.loads(line)['id']} {rank} {1 / rank} first\n"
        for topic in topics
        for rank, line in enumerate(lines[:60], 1)
    ]
    (folder / "first.txt").write_text("".join(run))
    return folder


def command(version: str, work: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command with a release of Pyserini."""
    environment = os.environ | {"PYTHONPATH": python_path(version), "OMP_NUM_THREADS": "1"}
    given = [sys.executable, "-m", "pyserini_optical", *arguments]
    return subprocess.run(given, env=environment, cwd=work, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= "2.3"])
def test_lucene_rescores_as_we_do(version: str, work: Path) -> None:
    exported = command(version, work, "export", "store", f"lucene-{version}", "--engine", "lucene")
    assert exported.returncode == 0, exported.stderr
    again = command(version, work, "export", "store", f"lucene-{version}", "--engine", "lucene")
    assert "is there already, made from the same store" in again.stderr
    runs = []
    for corpus in ("store", f"lucene-{version}"):
        given = ("late", corpus, HOME / "topics.en.tsv", "first.txt", f"{corpus}.run", "--depth", "40")
        made = command(version, work, "rerank", *given)
        assert made.returncode == 0, made.stderr
        lines = [line.split() for line in (work / f"{corpus}.run").read_text().splitlines()]
        runs.append({(topic, passage): float(score) for topic, _, passage, _, score, _ in lines})
    assert len(runs[0]) == 8 * 60
    assert runs[1] == pytest.approx(runs[0], abs=1e-4)


SCRIPT = """
import numpy as np
from pathlib import Path
from pyserini_optical import OpticalError
from pyserini_optical.data import Manifest
from pyserini_optical.integration.lucene_tokens import LuceneTokens, needs_late_interaction, write_lucene_tokens

needs_late_interaction()
manifest = Manifest("lucene tokens", inputs={"encoder": "e"}, parameters={"dimension": 2})
one, other = np.eye(2, dtype=np.float32)

def broken():
    yield "a", np.stack([one, other])
    raise OpticalError("broken")

for passages in (broken(), [("a", np.stack([one, other])), ("b", np.zeros((0, 2), "f4")), ("c", other[None])]):
    Path("few").mkdir(exist_ok=True)
    try:
        write_lucene_tokens(Path("few"), passages, manifest)
    except OpticalError:
        pass
tokens = LuceneTokens.open("few")
print(tokens.rows, tokens.scores(np.stack([one, one]), [0, 1, 2]), tokens.scores(np.zeros((0, 2), "f4"), [0, 2]))
"""


def test_passages_without_tokens_and_a_second_try(work: Path) -> None:
    environment = os.environ | {"PYTHONPATH": python_path(VERSIONS[-1])}
    command = [sys.executable, "-c", SCRIPT]
    made = subprocess.run(command, env=environment, cwd=work, capture_output=True, text=True, timeout=300, check=False)
    # As maxsim has it: without a passage's tokens the lowest score, without the question's 0.
    assert made.stdout == "{'a': 0, 'b': 1, 'c': 2} [2.0, -2.0, 0.0] [0.0, 0.0]\n", made.stderr


def test_what_does_not_fit_is_said(work: Path, tiny: Path) -> None:
    version = VERSIONS[-1]
    given = ("export", "store", "lucene-bad", "--engine", "lucene")
    assert command(version, work, *given).returncode == 0
    refused = command(version, work, *given, "--index", "ivf-flat")
    assert refused.returncode == 1
    assert "--corpus and --index are for LanceDB; leave them out" in refused.stderr

    def rerank(encoder: str, run: str = "first.txt") -> str:
        made = command(version, work, "rerank", encoder, "lucene-bad", HOME / "topics.en.tsv", run, "no.run")
        assert made.returncode == 1
        assert not (work / "no.run").exists()
        assert "Traceback" not in made.stderr
        return made.stderr

    assert "token vectors of another document encoder than that of" in rerank(str(tiny))
    topic = (work / "first.txt").read_text().split()[0]
    (work / "unknown.txt").write_text(f"{topic} Q0 nobody 1 1.0 first\n")
    assert "unknown.txt: passage 'nobody' of topic" in rerank("late", "unknown.txt")
    for file in ("*.dvd", "docid"):
        data = next((work / "lucene-bad").glob(file))
        whole = data.read_bytes()
        data.write_bytes(whole[:-9])
        assert "remove the folder and export the token store again" in rerank("late")
        if file == "docid":
            again = command(version, work, *given)
            assert again.returncode == 1
            assert "remove the folder and export the token store again" in again.stderr
        data.write_bytes(whole)
    # What has another length, and numbers that no unit vector has, where the file is as long as it was.
    data = next((work / "lucene-bad").glob("*.dvd"))
    whole = data.read_bytes()
    for start, count in ((200, len(whole) - 400), (2000, 16)):
        data.write_bytes(whole[:start] + b"\x60" * count + whole[start + count :])
        assert "the token vectors of a passage are damaged" in rerank("late")
    data.write_bytes(whole)
    shutil.rmtree(work / "lucene-bad")
    (work / "lucene-bad").mkdir()
    assert "is there already; remove it or name another directory" in command(version, work, *given).stderr
    refused = command(version, work, "export", "late", "never", "--engine", "lucene")
    assert "late: is not a token store; make one with `encode ENCODER CORPUS STORE --tokens`" in refused.stderr


def test_an_older_lucene_is_said(work: Path) -> None:
    refused = command("1.6.0", work, "export", "store", "never", "--engine", "lucene")
    assert refused.returncode == 1
    wanted = "has a Lucene without late interaction; install 2.3 or later, or re-rank from the token store itself"
    assert wanted in refused.stderr
    assert not (work / "never").exists()
