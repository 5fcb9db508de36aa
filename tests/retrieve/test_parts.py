"""Parts of a corpus, encoded by several processes into one folder."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from made_up import contents, count, made_up, write_corpus

from pyserini_optical import InputError, encode_corpus, encode_tokens
from pyserini_optical.cli import main
from pyserini_optical.data import Manifest, only_process
from pyserini_optical.models import Encoder
from pyserini_optical.retrieve import sharding, shards
from pyserini_optical.retrieve.faiss_index import open_index


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding, "_SHARD", 64)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus.jsonl", (f"passage about {number}" for number in range(300)))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("encode", [encode_corpus, encode_tokens])
def test_parts_in_any_order_make_what_one_process_makes(
    encode: Callable[..., Path], corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = encode(made_up(), corpus, tmp_path / "whole")
    work = tmp_path / ".index.work"
    for number, passages, there in ((3, 64, 1), (1, 128, 3), (2, 108, 5)):
        encoder = made_up()
        assert encode(encoder, corpus, tmp_path / "index", part=(number, 3)) == work
        assert count(encoder) == passages
        assert f".index.work: {there} of 5 shards are there" in capsys.readouterr().err
        assert names(tmp_path) == {"corpus.jsonl", "whole", ".index.work"}
    last = made_up()
    assert encode(last, corpus, tmp_path / "index") == tmp_path / "index"
    assert count(last) == 0
    assert contents(tmp_path / "index") == contents(whole)
    assert Manifest.load(tmp_path / "index" / "manifest.json") == Manifest.load(whole / "manifest.json")
    assert encode(last, corpus, tmp_path / "index", part=(1, 3)) == tmp_path / "index"  # made already: nothing is done
    assert names(tmp_path) == {"corpus.jsonl", "whole", "index"}


def test_what_parts_left_out_the_whole_encodes(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(made_up(fail_after=64), corpus, tmp_path / "index", part=(1, 2))
    again = made_up()
    encode_corpus(again, corpus, tmp_path / "index", part=(1, 2))
    assert count(again) == 64 + 44
    encode_corpus(again, corpus, tmp_path / "index", part=(6, 6))  # there are five shards
    assert count(again) == 64 + 44
    last = made_up()
    encode_corpus(last, corpus, tmp_path / "index", kind="hnsw")
    assert count(last) == 128


def test_parts_at_the_same_time(corpus: Path, tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def encode(number: int) -> None:
        encoder: Any = made_up()
        read = encoder.encode_passages
        encoder.encode_passages = lambda texts: (together.wait(20), read(texts))[1]
        encode_corpus(encoder, corpus, tmp_path / "index", part=(number, 5))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(encode, (1, 2, 3, 4)))
    assert names(tmp_path) == {"corpus.jsonl", ".index.work"}
    last = made_up()
    encode_corpus(last, corpus, tmp_path / "index")
    assert count(last) == 300 - 4 * 64
    assert contents(tmp_path / "index") == contents(encode_corpus(made_up(), corpus, tmp_path / "whole"))


def test_neither_the_same_part_twice_nor_the_whole_beside_a_part(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyserini_optical.data.locks._PATIENCE", 0.1)
    index = tmp_path / "index"

    def refused(problem: str, encoder: Encoder, part: tuple[int, int] | None) -> None:
        with pytest.raises(InputError, match=problem) as caught:
            encode_corpus(encoder, corpus, index, part=part)
        assert "\n" not in str(caught.value)
        assert count(encoder) == 0

    with only_process(index, (1, 2)):
        refused(r"index, part 1/2: is being made by process \d+; wait", made_up(), (1, 2))
        refused(r"index: is being made by another process; wait", made_up(), None)
        encode_corpus(made_up(), corpus, index, part=(2, 2))
        refused(r"index: is being made by another process; wait", made_up(), None)  # the other has left
    with only_process(index):
        refused(r"index: is being made by process \d+; wait", made_up(), (1, 2))
    assert names(tmp_path) == {"corpus.jsonl", ".index.work"}


def test_a_part_waits_where_another_is_just_leaving(corpus: Path, tmp_path: Path) -> None:
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with only_process(tmp_path / "index"):
            held.set()
            leave.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(20)
    threading.Timer(0.2, leave.set).start()
    encode_corpus(made_up(), corpus, tmp_path / "index", part=(1, 2))
    holder.join()


def test_a_part_takes_away_nothing_of_others(corpus: Path, tmp_path: Path) -> None:
    encode_corpus(made_up(), corpus, tmp_path / "index", part=(1, 2))
    before = {path: path.read_bytes() for path in (tmp_path / ".index.work").rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"\.index\.work: holds shards of another corpus or encoder; when no process"):
        encode_corpus(made_up(fingerprint="b"), corpus, tmp_path / "index", part=(2, 2))
    assert {path: path.read_bytes() for path in (tmp_path / ".index.work").rglob("*") if path.is_file()} == before
    assert names(tmp_path) == {"corpus.jsonl", ".index.work"}


def test_of_several_that_begin_at_once_one_makes_the_folder(tmp_path: Path) -> None:
    together, said = threading.Barrier(8), []

    def join(number: int) -> None:
        together.wait(20)
        try:
            sharding._join(tmp_path / f".{number // 8}.work", Manifest("shards", inputs={"encoder": str(number % 2)}))
            said.append("")
        except InputError as error:
            said.append(str(error))

    for attempt in range(0, 80, 8):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(join, range(attempt, attempt + 8)))
    assert len([problem for problem in said if not problem]) == 40  # four of each eight are of the first's encoder
    assert all("another corpus or encoder" in problem for problem in said if problem)
    assert names(tmp_path) == {f".{number}.work" for number in range(10)}


def test_shards_copied_from_another_machine_serve(corpus: Path, tmp_path: Path) -> None:
    import shutil

    for machine, number in (("here", 1), ("there", 2)):
        encode_corpus(made_up(), corpus, tmp_path / machine / "index", part=(number, 2))
    here, there = (tmp_path / machine / ".index.work" for machine in ("here", "there"))
    shutil.copytree(there, here, dirs_exist_ok=True)
    last = made_up()
    encode_corpus(last, corpus, tmp_path / "here" / "index")
    assert count(last) == 0
    assert contents(tmp_path / "here" / "index") == contents(encode_corpus(made_up(), corpus, tmp_path / "whole"))


def test_no_folder_grows_with_the_corpus(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_FOLDER", 2)
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(made_up(fail_after=256), corpus, tmp_path / "index")
    assert names(tmp_path / ".index.work") == {"manifest.json", "000", "001"}
    assert names(tmp_path / ".index.work" / "001") == {f"{n:06d}.{kind}" for n in (2, 3) for kind in ("docid", "npz")}
    last = made_up()
    encode_corpus(last, corpus, tmp_path / "index")
    assert count(last) == 44
    index, _ = open_index(tmp_path / "index")
    assert index.reconstruct(299).tolist() == last.encode_queries(["passage about 299"])[0].tolist()


@pytest.mark.parametrize("part", [(0, 2), (3, 2), (1, 0)])
def test_a_part_that_is_none(part: tuple[int, int], corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"there is no part {part[0]}/{part[1]}; number N parts from 1/N to N/N"):
        encode_corpus(made_up(), corpus, tmp_path / "index", part=part)
    assert names(tmp_path) == {"corpus.jsonl"}


def test_the_command(tiny: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["encode", str(tiny), str(corpus), str(tmp_path / "index")]
    assert main([*command, "--part", "2/2"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / '.index.work'}\n"
    assert err.splitlines()[-1] == f"{tmp_path / '.index.work'}: 2 of 5 shards are there"
    assert main([*command, "--part", "1/2"]) == main(command) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "index")


@pytest.mark.parametrize("part", ["0/2", "3/2", "2", "a/b", "1/2/3", "-1/2"])
def test_wrong_use(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["encode", "encoder", "corpus", "index", f"--part={part}"])
    assert stop.value.code == 2
    assert f"expected K/N from 1/N to N/N, got '{part}'" in capsys.readouterr().err
