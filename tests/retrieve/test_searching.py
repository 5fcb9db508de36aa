from __future__ import annotations

from pathlib import Path

import pytest
from made_up import made_up, write_corpus

from pyserini_optical import CheckpointError, InputError, OpticalQueryEncoder, encode_corpus, prepare, search
from pyserini_optical.data import Pair, order_hits, read_run
from pyserini_optical.errors import SetupError
from pyserini_optical.models import Encoder, load_encoder
from pyserini_optical.models.fixed_dimensional import FixedDimensional
from pyserini_optical.models.late_interaction import project
from pyserini_optical.models.provenance import Provenance
from pyserini_optical.models.transformer import load_transformer, save_transformer
from pyserini_optical.retrieve import encode_tokens, rerank

TEXTS = [f"passage about {number}" for number in range(40)]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return encode_corpus(made_up(), write_corpus(tmp_path / "corpus.jsonl", TEXTS), tmp_path / "index")


def test_ids_stay_text_and_more_hits_than_passages_give_all(index: Path, tmp_path: Path) -> None:
    topics = tmp_path / "topics.tsv"
    topics.write_text("007\tpassage about 7\n7\tpassage about 8\n")
    found = search(made_up(), index, topics, tmp_path / "run.txt.gz", hits=1000, tag="mine")
    assert list(found) == ["007", "7"]
    assert max(found["007"], key=found["007"].__getitem__) == "0007"
    assert max(found["7"], key=found["7"].__getitem__) == "0008"
    assert [len(hits) for hits in found.values()] == [40, 40]
    written = read_run(tmp_path / "run.txt.gz")
    assert {topic: order_hits(hits) for topic, hits in written.items()} == {
        topic: order_hits(hits) for topic, hits in found.items()
    }


def test_fewer_hits_are_the_best_ones(index: Path) -> None:
    few, all_of_them = (search(made_up(), index, {"1": TEXTS[3]}, hits=hits)["1"] for hits in (5, 40))
    assert order_hits(few) == order_hits(all_of_them)[:5]


def test_ties_are_written_as_trec_eval_orders_them(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", ["the same", "another", "the same", "the same"])
    encode_corpus(made_up(), corpus, tmp_path / "index")
    search(made_up(), tmp_path / "index", {"q": "the same"}, tmp_path / "run.txt")
    lines = [line.split() for line in (tmp_path / "run.txt").read_text().splitlines()]
    assert [line[2] for line in lines] == ["0003", "0002", "0000", "0001"]
    assert [line[3] for line in lines] == ["1", "2", "3", "4"]
    assert {line[5] for line in lines} == {"made-up"}


def test_a_graph_that_reaches_few_gives_few(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", TEXTS)
    encode_corpus(made_up(), corpus, tmp_path / "hnsw", kind="hnsw")
    found = search(made_up(), tmp_path / "hnsw", {"1": TEXTS[0]}, hits=40)["1"]
    assert set(found) <= {f"{number:04d}" for number in range(40)}
    assert len(found) == 40


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"topics": ""}, "topics.tsv: holds no topics"),
        ({"topics": "1 no tab\n"}, "topics.tsv:1: expected 2 columns"),
        ({"hits": 0}, "0 hits asked for; ask for one or more"),
        ({"tag": "two words"}, "run tag 'two words' holds white space"),
        ({"tag": ""}, "empty run tag"),
        ({"run": "."}, "is a directory, cannot be written as a file"),
        ({"run": "topics.tsv/run.txt"}, "run.txt: cannot be written"),
        ({"device": "cuda:99"}, "no device 'cuda:99' here; leave the device out, or name cpu"),
        ({"device": "meta"}, "no device 'meta' here"),
    ],
)
def test_bad_wishes(options: dict[str, object], problem: str, index: Path, tmp_path: Path) -> None:
    topics = tmp_path / "topics.tsv"
    topics.write_text(str(options.pop("topics", "1\ttext\n")))
    run = tmp_path / str(options.pop("run", "run.txt"))
    encoder = "encoder" if "device" in options else made_up()
    with pytest.raises(InputError, match=problem):
        search(encoder, index, topics, run, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "run.txt").exists()


def test_no_topics_at_all(index: Path, tmp_path: Path) -> None:
    assert search(made_up(), index, {}) == {}
    with pytest.raises(InputError, match="no hits to write"):
        search(made_up(), index, {}, tmp_path / "run.txt")


def test_the_index_must_be_of_this_encoders_documents(index: Path) -> None:
    with pytest.raises(CheckpointError, match="made by another document encoder than made-up searches with"):
        search(made_up(fingerprint="b"), index, {"1": "x"})
    (index / "manifest.json").unlink()  # as Pyserini's own indexes are
    search(made_up(fingerprint="b"), index, {"1": "x"})
    with pytest.raises(CheckpointError, match="vectors of 16 dimensions, made-up of 8"):
        search(made_up(dimension=8), index, {"1": "x"})


@pytest.fixture(scope="module")
def sentences(toy_pairs: list[Pair]) -> list[str]:
    return [pair.english for pair in toy_pairs]


@pytest.mark.parametrize("kind", ["flat", "hnsw", "pq"])
def test_the_same_ranking_as_pyserinis_searcher(kind: str, tiny: Path, sentences: list[str], tmp_path: Path) -> None:
    try:
        prepare()
    except SetupError as error:
        pytest.skip(str(error))
    from pyserini.search.faiss import FaissSearcher

    corpus = write_corpus(tmp_path / "corpus.jsonl", sentences)
    index = encode_corpus(tiny, corpus, tmp_path / kind, kind=kind)  # type: ignore[arg-type]
    topics = {f"{number:03d}": text.replace("the", "a") for number, text in enumerate(sentences[:20])}
    ours = search(tiny, index, topics, hits=10)
    searcher = FaissSearcher(str(index), OpticalQueryEncoder(str(tiny)))
    found = searcher.batch_search(list(topics.values()), list(topics), k=10)
    for topic, hits in found.items():
        assert [hit.docid for hit in hits] == list(ours[topic])
        assert [hit.score for hit in hits] == pytest.approx(list(ours[topic].values()), abs=1e-6)


def test_pyserinis_searcher_does_late_interaction(tiny: Path, sentences: list[str], tmp_path: Path) -> None:
    """By fixed-dimensional encodings, from an index that Pyserini opens; MaxSim then puts the best first."""
    try:
        prepare()
    except SetupError as error:
        pytest.skip(str(error))
    from pyserini.search.faiss import FaissSearcher

    late = tmp_path / "late"
    save_transformer(project(load_transformer(str(tiny), "cpu"), 16), late)
    Provenance(fixed_dimensional=FixedDimensional(repetitions=20, bits=3, dimension=8)).save(late)
    corpus = write_corpus(tmp_path / "corpus.jsonl", sentences)
    index = encode_corpus(late, corpus, tmp_path / "index")
    topics = {f"{number:03d}": text.replace("the", "a") for number, text in enumerate(sentences[:20])}
    ours = search(late, index, topics, hits=30)
    encoder = OpticalQueryEncoder(str(late))
    assert encoder.encode("the old boat").shape == (1280,)
    found = FaissSearcher(str(index), encoder).batch_search(list(topics.values()), list(topics), k=30)
    for topic, hits in found.items():
        assert [hit.docid for hit in hits] == list(ours[topic])
    exact = search(late, encode_tokens(late, corpus, tmp_path / "store"), topics, hits=1)
    again = rerank(late, tmp_path / "store", topics, ours, depth=30)
    agreed = sum(next(iter(exact[topic])) == next(iter(again[topic])) for topic in topics)
    assert agreed >= 10  # by chance 2; all tokens of a random model are alike
    Provenance(fixed_dimensional=FixedDimensional(repetitions=20, bits=3, dimension=8, seed=1)).save(late)
    with pytest.raises(CheckpointError, match="made by another document encoder"):
        search(late, index, topics)
    rerank(late, tmp_path / "store", topics, ours)


def test_names_paths_and_encoders_are_the_same(tiny: Path, sentences: list[str], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", sentences[:20])
    encoders: list[Encoder | str | Path] = [tiny, str(tiny), load_encoder(str(tiny))]
    found = []
    for number, encoder in enumerate(encoders):
        encode_corpus(encoder, corpus, tmp_path / str(number))
        found.append(search(encoder, tmp_path / str(number), {"1": "the old boat"}, tmp_path / f"{number}.txt"))
    assert found[0] == found[1] == found[2]
    assert (tmp_path / "0.txt").read_text().splitlines()[0].split()[-1] == tiny.name


def test_the_default_tag_has_no_white_space(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "my model").symlink_to(tiny)
    corpus = write_corpus(tmp_path / "corpus.jsonl", ["the old boat"])
    encode_corpus(tmp_path / "my model", corpus, tmp_path / "index")
    search(tmp_path / "my model", tmp_path / "index", {"1": "the old boat"}, tmp_path / "run.txt")
    assert (tmp_path / "run.txt").read_text().split()[-1] == "my-model"
