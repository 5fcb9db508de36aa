from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import faiss
import numpy as np
import pytest
from made_up import contents, count, made_up, write_corpus

from pyserini_optical import CheckpointError, InputError, encode_corpus
from pyserini_optical.cli import main
from pyserini_optical.data import Manifest, Pair
from pyserini_optical.retrieve import sharding
from pyserini_optical.retrieve.faiss_index import IndexType


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding, "_SHARD", 64)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus.jsonl", (f"passage about {number}" for number in range(300)))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_index_holds_every_vector_beside_its_id(corpus: Path, tmp_path: Path) -> None:
    encoder = made_up()
    assert encode_corpus(encoder, corpus, tmp_path / "deep" / "index") == tmp_path / "deep" / "index"
    assert names(tmp_path / "deep") == {"index"}
    assert names(tmp_path / "deep" / "index") == {"index", "docid", "manifest.json"}
    ids = (tmp_path / "deep" / "index" / "docid").read_text().splitlines()
    assert ids == [f"{number:04d}" for number in range(300)]
    expected = faiss.IndexFlatIP(16)
    expected.add(encoder.encode_queries([f"passage about {number}" for number in range(300)]))
    faiss.write_index(expected, str(tmp_path / "theirs"))
    assert (tmp_path / "deep" / "index" / "index").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_a_second_call_does_nothing(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = encode_corpus(made_up(), corpus, tmp_path / "index")
    times = {path: path.stat().st_mtime_ns for path in target.iterdir()}
    (tmp_path / ".index.work").mkdir()  # of a process that was killed between the last two steps
    again = made_up()
    encode_corpus(again, str(corpus), str(target))
    assert count(again) == 0
    assert {path: path.stat().st_mtime_ns for path in target.iterdir()} == times
    assert "is there already" in capsys.readouterr().err
    assert names(tmp_path) == {"corpus.jsonl", "index"}


def test_what_is_finished_is_not_encoded_again(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = encode_corpus(made_up(), corpus, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(made_up(fail_after=192), corpus, tmp_path / "index")
    assert not (tmp_path / "index").exists()
    again = made_up()
    encode_corpus(again, corpus, tmp_path / "index")
    assert count(again) == 300 - 192
    assert contents(tmp_path / "index") == contents(whole)
    err = capsys.readouterr().err
    assert "192 of 300 passages are encoded already" in err
    assert err.count("encoding passages: 300/300") == 2


def test_shards_serve_another_kind_of_index(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(made_up(fail_after=192), corpus, tmp_path / "index")
    again = made_up()
    encode_corpus(again, corpus, tmp_path / "index", kind="hnsw")
    assert count(again) == 300 - 192


@pytest.mark.parametrize("change", ["corpus", "encoder", "kind", "lost"])
def test_what_was_made_from_other_things_is_made_anew(change: str, corpus: Path, tmp_path: Path) -> None:
    target = encode_corpus(made_up(), corpus, tmp_path / "index")
    before = contents(target)
    if change == "corpus":
        write_corpus(corpus, (f"passage about {number}" for number in range(299)))
    if change == "lost":
        (target / "index").unlink()
    kind: IndexType = "hnsw" if change == "kind" else "flat"
    encoder = made_up(fingerprint="b" if change == "encoder" else "a")
    encode_corpus(encoder, corpus, target, kind=kind)
    assert count(encoder) == (299 if change == "corpus" else 300)
    assert (contents(target) == before) == (change in ("encoder", "lost"))
    assert Manifest.load(target / "manifest.json").parameters == {"kind": kind}


@pytest.mark.parametrize("change", ["corpus", "encoder", "damaged"])
def test_shards_of_other_things_are_not_taken(change: str, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(made_up(fail_after=64), corpus, tmp_path / "index")
    if change == "corpus":
        write_corpus(corpus, ("another passage", "and one more"))
    if change == "damaged":
        (tmp_path / ".index.work" / "manifest.json").write_text('{"step": "shards"')
    encoder = made_up(fingerprint="b" if change == "encoder" else "a")
    encode_corpus(encoder, corpus, tmp_path / "index")
    assert count(encoder) == (2 if change == "corpus" else 300)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "missing", "rows", "no names", "pickled"])
@pytest.mark.parametrize("shard", [0, 1])
def test_a_damaged_shard_is_said(damage: str, shard: int, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(made_up(fail_after=192), corpus, tmp_path / "index")
    path = tmp_path / ".index.work" / "000" / f"{shard:06d}.npz"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage in ("empty", "text"):
        path.write_text("" if damage == "empty" else "not an array")
    elif damage == "missing":
        path.unlink()
    elif damage == "rows":
        np.savez(path, vectors=np.load(path)["vectors"][:-1])
    elif damage == "no names":
        with open(path, "wb") as file:
            np.save(file, np.zeros((64, 16)))
    else:
        np.savez(path, vectors=np.array([{"a": 1}] * 64, dtype=object))
    with pytest.raises(CheckpointError) as caught:
        encode_corpus(made_up(), corpus, tmp_path / "index")
    assert f"{shard:06d}.npz: this shard is damaged; remove the folder {tmp_path}/.index.work" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("ids", [b"0000\n", b"", b"\xff"])
def test_a_shard_with_other_ids_is_encoded_again(ids: bytes, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(made_up(fail_after=192), corpus, tmp_path / "index")
    (tmp_path / ".index.work" / "000" / "000001.docid").write_bytes(ids)
    encoder = made_up()
    encode_corpus(encoder, corpus, tmp_path / "index")
    assert count(encoder) == 300 - 192 + 64
    assert contents(tmp_path / "index") == contents(encode_corpus(made_up(), corpus, tmp_path / "whole"))


@pytest.mark.parametrize("kept", ["notes.txt", "manifest.json", "checkpoint"])
def test_a_folder_of_something_else_is_left_alone(kept: str, corpus: Path, tmp_path: Path) -> None:
    target = tmp_path / "index"
    target.mkdir()
    if kept == "checkpoint":
        Manifest("distill").save(target / "manifest.json")
    else:
        (target / kept).write_text("{}")
    before = {path: path.read_bytes() for path in target.iterdir()}
    with pytest.raises(InputError, match="exists and is not an index of ours"):
        encode_corpus(made_up(), corpus, target)
    assert {path: path.read_bytes() for path in target.iterdir()} == before


def test_an_empty_folder_and_a_relative_path_are_taken(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "index").mkdir()
    monkeypatch.chdir(tmp_path / "index")
    encode_corpus(made_up(), corpus, "../index")
    monkeypatch.chdir(tmp_path / "index")
    assert names(tmp_path) == {"corpus.jsonl", "index"}
    assert encode_corpus(made_up(), corpus, ".") == Path()
    assert names(tmp_path) == {"corpus.jsonl", "index"}


def test_wrong_wishes_leave_nothing_behind(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown kind of index 'HNSW'; choose from flat, hnsw, pq"):
        encode_corpus(made_up(), corpus, tmp_path / "index", kind="HNSW")  # type: ignore[arg-type]
    small = write_corpus(tmp_path / "small.jsonl", ["one", "two"])
    with pytest.raises(InputError, match=r"small.jsonl: a pq index needs 256 passages or more .* got 2; use flat"):
        encode_corpus(made_up(), small, tmp_path / "index", kind="pq")
    bad = tmp_path / "bad.jsonl"
    bad.write_text(corpus.read_text() + '{"id": "0001", "text": "twice"}\n')
    with pytest.raises(InputError, match=r"bad.jsonl:301: id '0001' stands twice"):
        encode_corpus(made_up(), bad, tmp_path / "index")
    assert names(tmp_path) == {"corpus.jsonl", "small.jsonl", "bad.jsonl"}


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    def peak(passages: int) -> int:
        corpus = write_corpus(tmp_path / f"{passages}.jsonl", map(str, range(passages)))
        tracemalloc.start()
        encode_corpus(made_up(dimension=256), corpus, tmp_path / f"index-{passages}")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    small, large = peak(500), peak(4500)
    vectors = 4000 * 256 * 4
    assert large - small < vectors / 4  # what grows are the ids


# Slowed down, so that a busy machine kills it in time.
COMMAND = """
import sys, time
from pyserini_optical.cli import main
from pyserini_optical.retrieve import sharding
from pyserini_optical.retrieve.shards import Shards
sharding._SHARD = 64
add = Shards.add
Shards.add = lambda *shard: time.sleep(0.1) or add(*shard)
sys.exit(main(sys.argv[1:]))
"""


def test_killed_in_the_middle_the_same_command_ends_with_the_same_bytes(
    tiny: Path, toy_pairs: list[Pair], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [f"{pair.english} {number}" for number in range(4) for pair in toy_pairs]
    corpus = write_corpus(tmp_path / "corpus.jsonl", texts)
    whole = encode_corpus(tiny, corpus, tmp_path / "whole")
    arguments = ["encode", str(tiny), str(corpus), str(tmp_path / "index")]
    first = subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], stderr=subprocess.DEVNULL)
    work = tmp_path / ".index.work"
    while len(list(work.glob("0*/0*.docid"))) < 3 and first.poll() is None:
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    kept = list(work.glob("0*/0*.docid"))
    assert 3 <= len(kept) < len(texts) // 64
    assert not (tmp_path / "index").exists()
    capsys.readouterr()
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert f"{64 * len(kept)} of {len(texts)} passages are encoded already" in err
    assert out.strip() == str(tmp_path / "index")
    assert contents(tmp_path / "index") == contents(whole)
    manifests = [json.loads((folder / "manifest.json").read_text()) for folder in (tmp_path / "index", whole)]
    assert manifests[0] == manifests[1]
    assert not work.exists()
