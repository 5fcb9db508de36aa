"""Encoding on a Ray cluster: two workers on this machine, one of which is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from made_up import contents, made_up, write_corpus

from pyserini_optical import InputError, SetupError, encode_corpus
from pyserini_optical.cli import main
from pyserini_optical.data import Manifest
from pyserini_optical.models import Encoder, load_encoder
from pyserini_optical.quickstart import HOME as COLLECTION
from pyserini_optical.retrieve import encoding, ray_engine, sharding
from pyserini_optical.retrieve.shards import Arrays, Shards


def fault_handlers() -> list[bytes]:
    """What the system has for the signals of faults, whoever set it."""
    actions = [ctypes.create_string_buffer(256) for _ in ray_engine._FAULTS]
    for number, action in zip(ray_engine._FAULTS, actions, strict=True):
        assert ctypes.CDLL(None).sigaction(number, None, action) == 0
    return [action.raw[: ctypes.sizeof(ctypes.c_void_p)] for action in actions]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two workers, on however many cores; started and ended by our own code."""
    ray = pytest.importorskip("ray", reason="the extra `scale` brings Ray")
    pytest.importorskip("ray.data", reason="the extra `scale` brings Ray Data")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_worker_niceness", "0")  # else another busy process starves the workers
        patch.setattr(ray, "init", partial(ray.init, num_cpus=2))
        handler, faults = signal.getsignal(signal.SIGTERM), fault_handlers()
        with ray_engine._cluster():
            assert signal.getsignal(signal.SIGTERM) is handler
            assert fault_handlers() == faults, "a JVM in this process would crash on its next null reference"
            yield
        assert not ray.is_initialized()
        assert (signal.getsignal(signal.SIGTERM), fault_handlers()) == (handler, faults)


def dying(folder: Path, encoder: Encoder, texts: list[str]) -> Arrays:
    """Encode; of all processes one is killed, when three shards are there."""
    (folder / f"{os.getpid()}.worker").touch()
    if len(list((folder / ".index.work").rglob("*.docid"))) >= 3:
        try:
            (folder / "killed").mkdir()
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return {"vectors": encoder.encode_passages(texts)}


def test_a_worker_is_killed_and_the_index_is_that_of_one_process(
    cluster: None, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sharding, "_SHARD", 12)
    whole = encode_corpus(tiny, COLLECTION / "passages.jsonl", tmp_path / "whole")
    capfd.readouterr()
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the workers have not got this file
    monkeypatch.setattr(encoding, "_vectors", partial(dying, tmp_path))
    assert encode_corpus(tiny, COLLECTION / "passages.jsonl", tmp_path / "index", engine="ray") == tmp_path / "index"
    assert (tmp_path / "killed").exists()
    assert not (tmp_path / f"{os.getpid()}.worker").exists()  # all was done by workers
    assert len(list(tmp_path.glob("*.worker"))) >= 2
    assert contents(tmp_path / "index") == contents(whole)
    assert Manifest.load(tmp_path / "index" / "manifest.json") == Manifest.load(whole / "manifest.json")
    out, err = capfd.readouterr()
    assert out == ""
    assert "encoding passages: 168/168" in err
    assert "Traceback" not in err
    assert not (tmp_path / ".index.work").exists()


def deadly(folder: Path, encoder: Encoder, texts: list[str]) -> Arrays:
    """Kill whoever tries."""
    (folder / f"{os.getpid()}.worker").touch()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_passages_that_kill_every_worker_end_the_job(
    cluster: None, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    corpus = write_corpus(tmp_path / "corpus.jsonl", ["the old boat"])
    monkeypatch.setattr(ray_engine, "_RETRIES", 1)
    monkeypatch.setattr(encoding, "_vectors", partial(deadly, tmp_path))
    with pytest.raises(SetupError, match=r"the Ray job failed .*; look at the cluster, and run it again"):
        encode_corpus(tiny, corpus, tmp_path / "index", engine="ray")
    assert len(list(tmp_path.glob("*.worker"))) == 2
    assert not (tmp_path / "index").exists()


def vectors(encoder: Encoder, texts: list[str]) -> Arrays:
    return {"vectors": encoder.encode_passages(texts)}


def no_room(encoder: Encoder, texts: list[str]) -> Arrays:
    raise OSError(28, "No space left on device", "/a/b")


def worker(tiny: Path, tmp_path: Path, read: Any = vectors, **changes: Any) -> ray_engine._Worker:
    corpus = write_corpus(tmp_path / "corpus.jsonl", (f"the old boat {number}" for number in range(10)))
    job: dict[str, Any] = {"encoder": str(tiny), "device": "cpu", "read": read}
    job["fingerprint"] = load_encoder(str(tiny)).document_fingerprint
    return ray_engine._Worker(ray_engine._Job(**job | changes), Shards(tmp_path / "work", corpus, 10, 3), 1)


def test_a_worker_reads_forward_and_again_from_the_beginning(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Shards] = []
    read = Shards.read

    def counted(shards: Shards) -> Any:
        opened.append(shards)
        return read(shards)

    monkeypatch.setattr(Shards, "read", counted)
    work = worker(tiny, tmp_path)
    for numbers, passages, times in (([1, 3], 4, 1), ([0], 3, 2), ([2], 3, 2)):
        row = work({"number": numbers})
        assert {name: values.tolist() for name, values in row.items()} == {
            "passages": [passages],
            "kind": [""],
            "error": [""],
        }
        assert len(opened) == times
    assert [shard.docids[0] for shard in work._shards] == ["0000", "0003", "0006", "0009"]


@pytest.mark.parametrize(
    ("changes", "kind", "problem"),
    [
        ({"fingerprint": "x"}, "CheckpointError", "another encoder on .* than where the job was started; give all"),
        ({"encoder": "nowhere/to-be-found"}, "CheckpointError", "nowhere/to-be-found"),
        ({"read": no_room}, "InputError", "/a/b: No space left on device"),
    ],
)
def test_what_a_worker_meets_is_told(
    changes: dict[str, Any], kind: str, problem: str, tiny: Path, tmp_path: Path
) -> None:
    import re

    row = worker(tiny, tmp_path, **changes)({"number": [0]})
    assert row["kind"].tolist() == [kind]
    assert re.search(problem, row["error"][0])
    short = worker(tiny, tmp_path)({"number": [7]})
    assert "corpus.jsonl: has fewer passages on" in short["error"][0]


def test_how_the_cluster_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="the extra `scale` brings Ray")
    torch = pytest.importorskip("torch")
    nodes = [{"CPU": 16.0}, {"CPU": 8.0, "GPU": 2.0}, {"CPU": 4.0, "GPU": 1.0}, {}]
    found = [{"Alive": True, "Resources": node} for node in nodes] + [{"Alive": False, "Resources": {"CPU": 99.0}}]
    monkeypatch.setattr(ray, "nodes", lambda: found)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert ray_engine._share(None) == (1, 1, 3)
    assert ray_engine._share("cpu") == (0, 8, 3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 32)
    assert ray_engine._share("cpu") == (0, 16, 1)


def test_the_reason_in_a_report_of_rays() -> None:
    report = "\x1b[36mray::MapWorker()\n  File x, line 5\nZeroDivisionError: division by zero\n\nray.exceptions.A: b"
    assert ray_engine._reason(report) == "ZeroDivisionError: division by zero"
    assert ray_engine._reason("The node died.\nLook there.") == "The node died."


def test_without_ray_it_is_said(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", ["the old boat"])
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    assert main(["encode", str(tiny), str(corpus), str(tmp_path / "index"), "--engine", "ray"]) == 1
    expected = "pyserini-optical encode: Ray is not installed; run `pip install 'pyserini-optical[scale]'`\n"
    assert capsys.readouterr().err == expected
    with pytest.raises(SetupError, match="Ray is not installed"):
        encode_corpus(made_up(), corpus, tmp_path / "index", engine="ray")
    assert {path.name for path in tmp_path.iterdir()} == {"corpus.jsonl"}


def test_engines_there_are_not(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", ["the old boat"])
    with pytest.raises(InputError, match="unknown engine 'spark'; choose ray"):
        encode_corpus(made_up(), corpus, tmp_path / "index", engine="spark")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a part and an engine are both given"):
        encode_corpus(made_up(), corpus, tmp_path / "index", engine="ray", part=(1, 2))
