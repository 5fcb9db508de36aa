from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_up import contents, count, made_up, write_corpus

from pyserini_optical.data import Manifest, Pair, fingerprint
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.models import load_encoder
from pyserini_optical.retrieve import encode_corpus, encode_tokens, sharding
from pyserini_optical.retrieve.token_encoding import Codes
from pyserini_optical.retrieve.token_store import TokenStore, is_token_store

TEXTS = [f"passage about {number} and {number % 7}" if number % 5 else "-" for number in range(300)]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding, "_SHARD", 64)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus.jsonl", TEXTS)


@pytest.mark.parametrize(("codes", "least"), [("float16", 0.9999), ("4-bit", 0.99), ("2-bit", 0.9)])
def test_every_passage_has_its_tokens(codes: Codes, least: float, corpus: Path, tmp_path: Path) -> None:
    encoder = made_up()
    store = TokenStore.open(encode_tokens(encoder, corpus, tmp_path / "store", codes=codes))
    assert is_token_store(tmp_path / "store")
    assert store.docids == [f"{number:04d}" for number in range(300)]
    assert (store.made_by, store.dimension) == ("a", 16)
    store.check(encoder)
    rows = np.array([7, 299, 0, 8, 7])
    tokens, lengths = store.passages(rows)
    assert lengths.tolist() == [5, 5, 0, 5, 5]
    expected = np.concatenate(encoder.query_tokens([TEXTS[row] for row in rows]))
    assert tokens.dtype == np.float32
    assert (tokens * expected).sum(axis=1).mean() > least
    seen = 0
    for first, block, block_lengths in store.blocks(70):
        again, again_lengths = store.passages(first + np.arange(len(block_lengths)))
        np.testing.assert_array_equal(block, again)
        np.testing.assert_array_equal(block_lengths, again_lengths)
        seen += len(block_lengths)
    assert seen == 300


def test_codes_are_small(corpus: Path, tmp_path: Path) -> None:
    rows = {}
    every: tuple[Codes, ...] = ("float16", "4-bit", "2-bit")
    for codes in every:
        folder = encode_tokens(made_up(dimension=128), corpus, tmp_path / codes, codes=codes)
        tokens = np.load(folder / "tokens.npy", mmap_mode="r")
        rows[codes] = tokens.nbytes // len(tokens)
    assert rows == {"float16": 256, "4-bit": 66, "2-bit": 34}


def test_it_is_kept_and_gone_on_with_as_an_index_is(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = encode_tokens(made_up(), corpus, tmp_path / "whole", codes="4-bit")
    with pytest.raises(KeyboardInterrupt):
        encode_tokens(made_up(fail_after=192), corpus, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    # Shards serve any codes.
    again = made_up()
    encode_tokens(again, corpus, tmp_path / "store", codes="4-bit")
    assert count(again) == 300 - 192
    assert contents(tmp_path / "store") == contents(whole)
    assert {path.name for path in tmp_path.iterdir()} == {"corpus.jsonl", "whole", "store"}
    capsys.readouterr()
    encode_tokens(again, corpus, tmp_path / "store", codes="4-bit")
    assert count(again) == 300 - 192
    assert "is there already" in capsys.readouterr().err
    other = made_up(fingerprint="b")
    encode_tokens(other, corpus, tmp_path / "store")
    assert count(other) == 300
    manifest = Manifest.load(tmp_path / "store" / "manifest.json")
    assert manifest.inputs == {"corpus": fingerprint(corpus), "encoder": "b"}
    assert manifest.parameters == {"codes": "float16"}


def test_shards_of_an_index_are_not_taken_for_a_store(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(made_up(fail_after=192), corpus, tmp_path / "made")
    encoder = made_up()
    encode_tokens(encoder, corpus, tmp_path / "made")
    assert count(encoder) == 300


def test_an_index_is_left_alone(corpus: Path, tmp_path: Path) -> None:
    encode_corpus(made_up(), corpus, tmp_path / "index")
    encode_tokens(made_up(), corpus, tmp_path / "store")
    before = contents(tmp_path / "index")
    with pytest.raises(InputError, match="exists and is not a token store of ours"):
        encode_tokens(made_up(), corpus, tmp_path / "index")
    with pytest.raises(InputError, match="exists and is not an index of ours"):
        encode_corpus(made_up(), corpus, tmp_path / "store")
    assert contents(tmp_path / "index") == before
    with pytest.raises(InputError, match="unknown codes '8-bit'; choose from float16, 4-bit, 2-bit"):
        encode_tokens(made_up(), corpus, tmp_path / "new", codes="8-bit")  # type: ignore[arg-type]


def test_a_corpus_without_a_token(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", ["-", "- -"])
    with pytest.raises(CheckpointError, match="no passage has a token that is scored"):
        encode_tokens(made_up(), corpus, tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("codes", ["float16", "2-bit"])
def test_one_that_is_cut_off_is_made_again(
    codes: Codes, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = encode_tokens(made_up(), corpus, tmp_path / "store", codes=codes)
    before = contents(folder)
    for damage in ("tokens.npy", "offsets.npy"):
        path = folder / damage
        path.write_bytes(path.read_bytes()[:-300])
        encode_tokens(made_up(), corpus, folder, codes=codes)
        assert damage in capsys.readouterr().err
        assert contents(folder) == before
    (folder / "offsets.npy").unlink()
    assert is_token_store(folder)  # and is said to be none that is whole


@pytest.mark.parametrize("damage", ["tokens", "offsets", "docid", "missing", "pickled", "codebook", "manifest"])
def test_a_damaged_store_is_said(damage: str, corpus: Path, tmp_path: Path) -> None:
    folder = encode_tokens(made_up(), corpus, tmp_path / "store", codes="2-bit")
    if damage in ("tokens", "offsets"):
        path = folder / f"{damage}.npy"
        path.write_bytes(path.read_bytes()[:-8])
    elif damage == "docid":
        (folder / "docid").write_text("0000\n")
    elif damage == "missing":
        (folder / "tokens.npy").unlink()
    elif damage == "pickled":
        np.save(folder / "offsets.npy", np.array([{}]), allow_pickle=True)
    elif damage == "codebook":
        (folder / "codebook.npz").unlink()
    else:
        (folder / "manifest.json").write_text("{}")
    with pytest.raises((CheckpointError, InputError), match=r"store") as caught:
        TokenStore.open(folder)
    assert "\n" not in str(caught.value)


def test_other_encoders_are_refused(corpus: Path, tmp_path: Path) -> None:
    store = TokenStore.open(encode_tokens(made_up(), corpus, tmp_path / "store"))
    with pytest.raises(CheckpointError, match="store: token vectors of another document encoder than that of made-up"):
        store.check(made_up(fingerprint="b"))
    with pytest.raises(CheckpointError, match="has token vectors of 16 dimensions, made-up of 8"):
        store.check(made_up(dimension=8))


def test_a_real_encoders_tokens(tiny: Path, toy_pairs: list[Pair], tmp_path: Path) -> None:
    texts = [pair.english for pair in toy_pairs[:70]]
    corpus = write_corpus(tmp_path / "corpus.jsonl", texts)
    store = TokenStore.open(encode_tokens(str(tiny), corpus, tmp_path / "store", device="cpu"))
    expected = load_encoder(str(tiny), "cpu").passage_tokens(texts)
    tokens, lengths = store.passages(np.arange(70))
    assert lengths.tolist() == [len(each) for each in expected]
    np.testing.assert_allclose(tokens, np.concatenate(expected), atol=1e-3)
    assert json.loads((tmp_path / "store" / "manifest.json").read_text())["step"] == "encode tokens"
