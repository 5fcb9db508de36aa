"""The way into the engine and back: what it finds must be what the index and the token store give."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from made_up import made_up, write_corpus

from pyserini_optical import CheckpointError, InputError, SetupError, encode_corpus, export_collection, search
from pyserini_optical.cli import main
from pyserini_optical.data import Passage, order_hits, read_corpus, read_topics
from pyserini_optical.models import Encoder, load_encoder
from pyserini_optical.models.fixed_dimensional import FixedDimensional
from pyserini_optical.models.late_interaction import load_late_interaction, project, weigh_queries
from pyserini_optical.models.provenance import Provenance
from pyserini_optical.models.transformer import load_transformer, save_transformer
from pyserini_optical.quickstart import HOME
from pyserini_optical.retrieve import encode_tokens
from pyserini_optical.retrieve.database import Database, is_database, search_database

lancedb = pytest.importorskip("lancedb", reason="the extra `scale` brings it")

CORPUS = HOME / "passages.jsonl"
TOPICS = dict(list(read_topics(HOME / "topics.en.tsv").items())[:12])
TEXTS = [f"passage about {number} and {number % 7}" for number in range(300)]


@pytest.fixture(scope="module")
def late(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """A late-interaction checkpoint, whose single vectors are fixed-dimensional encodings: no unit vectors."""
    folder = tmp_path_factory.mktemp("late") / "late"
    save_transformer(project(load_transformer(str(tiny), "cpu"), 16), folder)
    Provenance(fixed_dimensional=FixedDimensional(repetitions=5, bits=3, dimension=8)).save(folder)
    return load_encoder(str(folder), "cpu")


@pytest.fixture(scope="module")
def collections(late: Encoder, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Encoder, Path]]:
    """The quickstart's passages as every kind of collection, and who searches them."""
    folder, pooled = tmp_path_factory.mktemp("collections"), load_encoder(str(tiny), "cpu")
    return {
        "flat": (pooled, encode_corpus(pooled, CORPUS, folder / "flat")),
        "hnsw": (pooled, encode_corpus(pooled, CORPUS, folder / "hnsw", kind="hnsw")),
        "fixed-dimensional": (late, encode_corpus(late, CORPUS, folder / "fixed-dimensional")),
        "float16": (late, encode_tokens(late, CORPUS, folder / "float16")),
        "2-bit": (late, encode_tokens(late, CORPUS, folder / "2-bit", codes="2-bit")),
    }


def about(hits: Mapping[str, float]) -> object:
    """Give what equals these scores to 0.001; MaxSim, a sum over some 50 pieces in float16, to a ten-thousandth."""
    return pytest.approx(hits, abs=1e-3, rel=1e-4)


def same(found: Mapping[str, Mapping[str, float]], expected: Mapping[str, Mapping[str, float]]) -> None:
    """Compare two runs: equal scores, and equal orders wherever the scores are apart."""
    assert list(found) == list(expected)
    for topic, hits in expected.items():
        assert found[topic].keys() == hits.keys()
        assert found[topic] == about(hits)
        scores = np.array([hits[passage] for passage, _ in order_hits(found[topic])])
        assert (np.diff(scores) < 1e-3 + 1e-4 * scores[1:]).all()  # none stands behind one that is clearly worse


@pytest.mark.parametrize("kind", ["flat", "hnsw", "fixed-dimensional", "float16", "2-bit"])
def test_the_engine_finds_what_the_collection_gives(
    kind: str, collections: dict[str, tuple[Encoder, Path]], tmp_path: Path
) -> None:
    encoder, collection = collections[kind]
    database = export_collection(collection, tmp_path / "database")
    assert is_database(database)
    assert not is_database(collection)
    # A graph itself finds most, but not all.
    searched = collections["flat"][1] if kind == "hnsw" else collection
    same(search_database(encoder, database, TOPICS, 168), search(encoder, searched, TOPICS, hits=168))
    few = search_database(encoder, database, TOPICS, 5)
    assert {len(hits) for hits in few.values()} == {5}
    table = Database.open(database).table
    assert table.schema.names == ["id", "vector"]
    assert table.count_rows() == 168
    assert {path.name for path in tmp_path.iterdir()} == {"database"}


@pytest.mark.parametrize("kind", ["flat", "float16"])
@pytest.mark.parametrize(("index", "least"), [("ivf-flat", 0.9), ("ivf-rq", 0.5)])  # a bit a dimension of 16
def test_an_index_of_the_engine_gives_true_scores_of_most(
    index: str, least: float, kind: str, collections: dict[str, tuple[Encoder, Path]], tmp_path: Path
) -> None:
    encoder, collection = collections[kind]
    database = export_collection(collection, tmp_path / "database", index=index)  # type: ignore[arg-type]
    assert Database.open(database).indexed
    exact, found = search(encoder, collection, TOPICS, hits=168), search_database(encoder, database, TOPICS, 10)
    for topic, hits in found.items():
        assert hits == about({passage: exact[topic][passage] for passage in hits})
    best = {topic: {passage for passage, _ in order_hits(hits)[:10]} for topic, hits in exact.items()}
    assert np.mean([len(best[topic] & found[topic].keys()) / 10 for topic in TOPICS]) > least


def test_titles_and_texts(collections: dict[str, tuple[Encoder, Path]], tmp_path: Path) -> None:
    database = export_collection(collections["2-bit"][1], tmp_path / "database", corpus=CORPUS)
    rows = Database.open(database).table.to_arrow().select(["id", "title", "text"]).to_pylist()
    assert [Passage(**row) for row in rows] == list(read_corpus(CORPUS))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lines: lines[:-1], "ends where the collection has passage '"),
        (lambda lines: [*lines, '{"id": "more", "text": "x"}'], "has passage 'more' where the collection has nothing"),
        (lambda lines: lines[::-1], "has passage '.*' where the collection has passage"),
        (lambda lines: [*lines[:100], "{"], "corpus.jsonl:101: "),
    ],
)
def test_another_corpus(
    change: Callable[[list[str]], list[str]], problem: str, collections: dict[str, tuple[Encoder, Path]], tmp_path: Path
) -> None:
    (tmp_path / "corpus.jsonl").write_text("\n".join(change(CORPUS.read_text(encoding="utf-8").splitlines())))
    with pytest.raises(InputError, match=problem):
        export_collection(collections["flat"][1], tmp_path / "database", corpus=tmp_path / "corpus.jsonl")
    assert {path.name for path in tmp_path.iterdir()} == {"corpus.jsonl"}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus.jsonl", TEXTS)


def test_a_folder_of_several_indexes(tmp_path: Path) -> None:
    for part in (0, 1):
        lines = CORPUS.read_text(encoding="utf-8").splitlines()[part::2]
        (tmp_path / f"{part}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        encode_corpus(made_up(), tmp_path / f"{part}.jsonl", tmp_path / "parts" / str(part))
    database = export_collection(tmp_path / "parts", tmp_path / "database")
    index = encode_corpus(made_up(), CORPUS, tmp_path / "index")
    same(search_database(made_up(), database, TOPICS, 168), search(made_up(), index, TOPICS, hits=168))


def test_a_passage_and_a_query_without_tokens(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", ["one two", "-", "three"])
    database = export_collection(encode_tokens(made_up(), corpus, tmp_path / "store"), tmp_path / "database")
    found = search_database(made_up(), database, {"1": "three", "2": "-"}, 10)
    assert {topic: list(hits) for topic, hits in found.items()} == {"1": ["0002", "0000"], "2": []}


def test_it_is_kept_and_replaced(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index, store = (
        encode_corpus(made_up(), corpus, tmp_path / "index"),
        encode_tokens(made_up(), corpus, tmp_path / "s"),
    )
    (tmp_path / ".database.export" / "made").mkdir(parents=True)  # as a killed process leaves it
    database = export_collection(index, tmp_path / "database")
    first = Database.open(database).table.list_versions()
    capsys.readouterr()
    export_collection(index, database)
    assert "is there already" in capsys.readouterr().err
    assert Database.open(database).table.list_versions() == first
    export_collection(store, database)
    assert Database.open(database).multi_vector
    manifest = Database.open(database).manifest
    assert manifest.inputs["encoder"] == "a"
    assert manifest.parameters == {"multi-vector": True, "dimension": 16, "index": None, "passages": 300}
    assert {path.name for path in tmp_path.iterdir()} == {"corpus.jsonl", "index", "s", "database"}


def test_what_is_not_ours_is_left_alone(corpus: Path, tmp_path: Path) -> None:
    index = encode_corpus(made_up(), corpus, tmp_path / "index")
    kept = tmp_path / "kept"
    kept.mkdir()
    export_collection(index, kept)  # an empty folder is none
    lancedb.connect(kept).create_table("theirs", [{"id": "x"}])
    foreign = tmp_path / "foreign"
    lancedb.connect(foreign).create_table("passages", [{"id": "x", "vector": [0.0] * 16}])
    for folder in (kept, foreign, index):
        before = sorted(path.name for path in folder.rglob("*"))
        with pytest.raises(InputError, match="exists and is not a database of ours alone; choose another directory"):
            export_collection(encode_tokens(made_up(), corpus, tmp_path / "store"), folder)
        assert sorted(path.name for path in folder.rglob("*")) == before
    with pytest.raises(CheckpointError, match="foreign: a database that is not ours"):
        search_database(made_up(), foreign, {"1": "x"}, 10)


def test_other_encoders_are_refused(corpus: Path, tmp_path: Path) -> None:
    makers: list[Callable[..., Path]] = [encode_corpus, encode_tokens]
    for number, make in enumerate(makers):
        database = export_collection(make(made_up(), corpus, tmp_path / f"{number}"), tmp_path / f"database{number}")
        with pytest.raises(
            CheckpointError, match=r"database\d: made by another document encoder than made-up searches"
        ):
            search_database(made_up(fingerprint="b"), database, {"1": "x"}, 10)
        with pytest.raises(CheckpointError, match="has vectors of 16 dimensions, made-up of 8"):
            search_database(made_up(dimension=8), database, {"1": "x"}, 10)
    (tmp_path / "0" / "manifest.json").unlink()  # as Pyserini's own indexes are
    database = export_collection(tmp_path / "0", tmp_path / "pyserinis")
    same(
        search_database(made_up(fingerprint="b"), database, {"1": "x"}, 10),
        search(made_up(fingerprint="b"), tmp_path / "0", {"1": "x"}, hits=10),
    )


def test_weighted_queries_are_refused(
    collections: dict[str, tuple[Encoder, Path]], late: Encoder, tmp_path: Path
) -> None:
    export_collection(collections["float16"][1], tmp_path / "lance")
    model = load_late_interaction(late.name, "cpu")
    weigh_queries(model, ["the river", "the"])
    save_transformer(model, tmp_path / "weighed")
    Provenance(documents=late.name).save(tmp_path / "weighed")
    encoder = load_encoder(str(tmp_path / "weighed"), "cpu")
    with pytest.raises(CheckpointError, match=r"cosine, and .*weighed weighs those of queries; search its token store"):
        search(encoder, tmp_path / "lance", TOPICS)
    assert search(encoder, collections["float16"][1], TOPICS) != search(late, collections["float16"][1], TOPICS)


@pytest.mark.parametrize(
    ("file", "damage", "problem"),
    [
        ("store/tokens.npy", lambda data: data[:-32] + bytes(32), "the token vectors of passage '0299' are damaged"),
        ("store/tokens.npy", lambda data: data[:-32], "store/tokens.npy: damaged or truncated"),
        ("index/index", lambda data: data[:-1] + b"x", "index/index: damaged or truncated, its checksum"),
        ("index/index", None, "no file 'index' in it, so it is not a Faiss index"),
        ("index/docid", lambda data: data[:-5], "index/docid: damaged or truncated"),
    ],
)
def test_damaged_collections(
    file: str, damage: Callable[[bytes], bytes] | None, problem: str, corpus: Path, tmp_path: Path
) -> None:
    encode_corpus(made_up(), corpus, tmp_path / "index")
    encode_tokens(made_up(), corpus, tmp_path / "store")
    path = tmp_path / file
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=problem) as caught:
        export_collection(path.parent, tmp_path / "database")
    assert "\n" not in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == {"corpus.jsonl", "index", "store"}


def test_damaged_databases(corpus: Path, tmp_path: Path) -> None:
    database = export_collection(encode_tokens(made_up(), corpus, tmp_path / "store"), tmp_path / "database")
    data = next(database.rglob("data/*.lance"))
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="database: the engine cannot read it") as caught:
        search_database(made_up(), database, {"1": "x"}, 10)
    assert "\n" not in str(caught.value)
    shutil.rmtree(database / "passages.lance" / "_versions")
    with pytest.raises(CheckpointError, match="database: the engine cannot read it"):
        search_database(made_up(), database, {"1": "x"}, 10)
    with pytest.raises(CheckpointError, match="nowhere: not a database"):
        search_database(made_up(), tmp_path / "nowhere", {"1": "x"}, 10)
    assert not (tmp_path / "nowhere").exists()


def test_what_keeps_no_vectors(corpus: Path, tmp_path: Path) -> None:
    index = encode_corpus(made_up(), corpus, tmp_path / "index", kind="pq")
    with pytest.raises(CheckpointError, match="this kind of index keeps no vectors"):
        export_collection(index, tmp_path / "database")
    with pytest.raises(InputError, match="unknown kind of index 'hnsw'; choose from ivf-flat, ivf-rq"):
        export_collection(index, tmp_path / "database", index="hnsw")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="nowhere: "):
        export_collection(tmp_path / "nowhere", tmp_path / "database")


def test_without_the_engine(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = encode_corpus(made_up(), corpus, tmp_path / "index")
    database = export_collection(index, tmp_path / "database")
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(SetupError, match=r"LanceDB is not installed; run `pip install 'pyserini-optical\[scale\]'`"):
        export_collection(index, tmp_path / "other")
    with pytest.raises(SetupError, match="LanceDB is not installed"):
        search_database(made_up(), database, {"1": "x"}, 10)
    assert not (tmp_path / "other").exists()


def test_the_command(
    collections: dict[str, tuple[Encoder, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", str(collections["flat"][1]), str(tmp_path / "database"), "--corpus", str(CORPUS)]
    assert main([*command, "--index", "ivf-flat"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'database'}\n"
    metadata = Database.open(tmp_path / "database").table.schema.metadata[b"pyserini-optical"]
    assert json.loads(metadata)["parameters"]["index"] == "ivf-flat"
    assert main(["export", str(tmp_path), str(tmp_path / "new")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
