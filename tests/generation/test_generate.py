from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pyserini_optical.cli import main
from pyserini_optical.data import read_corpus, read_qrels, read_topics
from pyserini_optical.errors import CheckpointError, InputError, RecipeError
from pyserini_optical.generation import Generation, RoundTrip, generate
from pyserini_optical.generation.filters import Generated, filter_questions
from pyserini_optical.generation.language import LanguageGuess
from pyserini_optical.generation.script import in_script
from pyserini_optical.models import load_encoder
from pyserini_optical.models.query_generator import Decoding, QueryGenerator
from pyserini_optical.retrieve import encode_corpus, encode_tokens


def test_topics_and_qrels_fit_each_other(generator: Path, toy_collection: Path, tmp_path: Path) -> None:
    files = tmp_path / "topics.tsv", tmp_path / "qrels.txt"
    report = generate(
        str(generator), toy_collection / "corpus.jsonl", *files, language="sw", setting=Generation(number=2)
    )
    topics, qrels = read_topics(files[0]), read_qrels(files[1])
    assert list(topics) == list(qrels)
    assert report.kept == len(topics)
    assert report.kept + sum(report.dropped.values()) == 60
    known = {passage.id for passage in read_corpus(toy_collection / "corpus.jsonl")}
    for topic, judged in qrels.items():
        (passage,) = judged
        assert passage in known
        assert topic.startswith(f"{passage}-sw-")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["qrels.txt", "topics.tsv"]


def test_cut_off_it_goes_on_to_the_same_questions(
    generator: Path, toy_collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(folder: Path) -> bytes:
        folder.mkdir(exist_ok=True)
        files = folder / "topics.tsv", folder / "qrels.txt"
        corpus = toy_collection / "corpus.jsonl"
        generate(generator, corpus, *files, language="sw", setting=Generation(number=8), seed=3)
        return files[0].read_bytes()

    whole = make(tmp_path / "whole")
    write, batches = QueryGenerator.generate, []

    def dies_in_the_fourth_batch(self: QueryGenerator, texts: Sequence[str], *rest: Any, **more: Any) -> Any:
        batches.append(list(texts))
        if len(batches) == 4:
            raise KeyboardInterrupt
        return write(self, texts, *rest, **more)

    monkeypatch.setattr(QueryGenerator, "generate", dies_in_the_fourth_batch)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "cut")
    assert not (tmp_path / "cut" / "topics.tsv").exists()
    assert make(tmp_path / "cut") == whole
    assert len(batches) == 9  # 30 passages by 4, and the fourth again


def test_passages_are_drawn_with_the_seed(generator: Path, toy_collection: Path, tmp_path: Path) -> None:
    def drawn(seed: int) -> set[str]:
        files = tmp_path / f"t{seed}.tsv", tmp_path / f"q{seed}.txt"
        setting = Generation(5, 1, Decoding("beam"))
        generate(generator, toy_collection / "corpus.jsonl", *files, language="sw", setting=setting, seed=seed)
        return {passage for judged in read_qrels(files[1]).values() for passage in judged}

    assert drawn(0) == drawn(0)
    assert 1 <= len(drawn(0)) <= 5
    assert drawn(0) != drawn(1)


def test_round_trip_keeps_what_the_retriever_finds_again(
    generator: Path, toy_collection: Path, minilm: str, tmp_path: Path
) -> None:
    encoder = load_encoder(minilm, "cpu")
    index = encode_corpus(encoder, toy_collection / "corpus.jsonl", tmp_path / "index")
    kept = {}
    for top in (1, 30):
        files = tmp_path / "topics.tsv", tmp_path / "qrels.txt"
        corpus, trip = toy_collection / "corpus.jsonl", RoundTrip(encoder, index, top)
        report = generate(generator, corpus, *files, language="en", round_trip=trip)
        kept[top] = set(read_topics(files[0]))
        assert (report.dropped["not found again"] == 0) == (top == 30)
    assert kept[1] < kept[30]


def test_a_round_trip_over_another_index_is_told_before_anything_is_written(
    generator: Path, toy_collection: Path, tiny: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"id": "x", "text": "the river"}\n')
    encoder = load_encoder(str(tiny), "cpu")
    index, store = (encode(encoder, other, tmp_path / encode.__name__) for encode in (encode_corpus, encode_tokens))
    before = sorted(tmp_path.iterdir())

    def ask(searcher: str, folder: Path) -> None:
        corpus, trip = toy_collection / "corpus.jsonl", RoundTrip(searcher, folder)
        generate(str(generator), corpus, tmp_path / "t", tmp_path / "q", language="sw", round_trip=trip)

    for folder in (index, store):
        with pytest.raises(InputError, match="holds no passage 'p00'; index this very corpus"):
            ask(str(tiny), folder)
    with pytest.raises(CheckpointError, match="no such model folder"):
        ask(str(tmp_path / "none"), index)
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(InputError, match="among the first 0 asked for"):
        RoundTrip(str(tiny), index, 0)


def test_neither_file_or_both(
    generator: Path, toy_collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, topics, qrels = toy_collection / "corpus.jsonl", tmp_path / "t", tmp_path / "q"
    qrels.mkdir()
    with pytest.raises(InputError, match="is a directory"):
        generate(generator, corpus, topics, qrels, language="sw")
    assert list(tmp_path.iterdir()) == [qrels]  # nothing was generated
    qrels.rmdir()
    write = QueryGenerator.generate

    def while_another_takes_the_name(*arguments: Any, **more: Any) -> Any:
        qrels.mkdir(exist_ok=True)
        return write(*arguments, **more)

    monkeypatch.setattr(QueryGenerator, "generate", while_another_takes_the_name)
    with pytest.raises(IsADirectoryError):
        generate(generator, corpus, topics, qrels, language="sw")
    assert not topics.exists()


def test_filters() -> None:
    def asked(text: str) -> tuple[Generated, str]:
        return Generated("t", text, "p"), "The old farmer sees the river, often."

    guess = LanguageGuess({"sw": ["nani anaona mto mkubwa leo?"] * 3, "en": ["who sees the great river today?"] * 3})
    texts = [
        "Nani anaona?",
        "",
        "?!",
        "кто видит реку?",
        "who sees the river?",
        "Farmer sees the RIVER",
        "nani  ANAONA",
        "nani anajenga (New York)?",
    ]
    kept, dropped = filter_questions([asked(text) for text in texts], "sw", guess)
    assert [question.text for question in kept] == [texts[0], texts[7]]
    assert dropped == {
        "empty": 2,
        "wrong script": 1,
        "wrong language": 2,
        "copy of the passage": 0,
        "duplicate": 1,
        "not found again": 0,
    }
    kept, dropped = filter_questions([asked(text) for text in texts], "sw")
    assert dropped["copy of the passage"] == 1
    # Within a word it is no copy.
    assert filter_questions([asked("armer sees")], "sw")[0]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("नदी कहाँ है?", "hi", True),
        ("where is the river?", "hi", False),
        ("New York में नदी कहाँ है?", "hi", True),
        ("أين النهر؟", "ar", True),
        ("Yaushe aka kafa ƙasar Nijar?", "ha", True),
        ("東京はどこですか", "ja", True),
        ("河在哪裡", "zh-TW", True),
        ("1990?", "sw", False),
    ],
)
def test_scripts(text: str, language: str, expected: bool) -> None:
    assert in_script(text, language) is expected


def test_examples_need_two_languages(generator: Path, toy_collection: Path, tmp_path: Path) -> None:
    corpus, topics = toy_collection / "corpus.jsonl", toy_collection / "topics.sw.tsv"
    for examples, problem in (({"sw": topics}, "examples of sw"), ({"en": topics}, "no examples of sw")):
        with pytest.raises(InputError, match=problem):
            generate(generator, corpus, tmp_path / "t", tmp_path / "q", language="sw", examples=examples)
    assert list(tmp_path.iterdir()) == []


def test_nothing_left_is_told(generator: Path, toy_collection: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no question is left"):
        generate(generator, toy_collection / "corpus.jsonl", tmp_path / "t", tmp_path / "q", language="hi")
    assert not (tmp_path / "t").exists()
    with pytest.raises(RecipeError, match="number must be at least 1"):
        Generation(number=0)


def test_the_command(generator: Path, toy_collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(tmp_path / name) for name in ("topics.tsv", "qrels.txt")]
    command = ["generate", str(generator), str(toy_collection / "corpus.jsonl"), *files, "--language", "sw"]
    examples = [f"{code}={toy_collection / f'topics.{code}.tsv'}" for code in ("sw", "en")]
    assert main([*command, "--beam", "2", "--passages", "4", "--examples", *examples]) == 0
    answer = capsys.readouterr().out.splitlines()
    assert answer[:2] == files
    assert answer[2].startswith("kept ")
    assert main([*command, "--examples", "sw"]) == 1
    assert capsys.readouterr().err.endswith("--examples sw; write CODE=TOPICS, such as sw=topics.sw.tsv\n")
    before = sorted(tmp_path.iterdir())
    for wrong, said in (
        (["--number", "0"], "number must be at least 1"),
        (["--top-p", "2"], "top_p above 0 and up to 1"),
        (["--temperature", "nan"], "temperature must be above 0"),
        (["--temperature", "inf"], "temperature must be above 0"),
        (["--seed", "-1"], "seed -1 asked for; ask for 0 or more"),
        (["--language", "s w"], "no language code"),
        (["--round-trip", "none", "none", "--top", "0"], "among the first 0"),
        (["--round-trip", "none", "none"], "it is not a Faiss index"),
    ):
        assert main([*command, *wrong]) == 1
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
