from __future__ import annotations

import pytest

from pyserini_optical.data import read_bitext, read_corpus, read_qrels, read_topics
from pyserini_optical.data.settings import read_settings
from pyserini_optical.distillation import load_recipe
from pyserini_optical.quickstart import HOME, LANGUAGES
from pyserini_optical.study import Study

ALL = ("en", *LANGUAGES)


def test_passages() -> None:
    passages = list(read_corpus(HOME / "passages.jsonl"))
    assert len(passages) >= 150
    assert all(40 <= len(passage.text.split()) <= 120 for passage in passages)
    assert any(passage.id.startswith("0") for passage in passages)
    assert len({passage.text for passage in passages}) == len(passages)
    assert all(passage.title for passage in passages)


def test_every_question_has_one_passage_in_every_language() -> None:
    passages = {passage.id for passage in read_corpus(HOME / "passages.jsonl")}
    qrels = read_qrels(HOME / "qrels.txt")
    assert len(qrels) >= 60
    for judged in qrels.values():
        assert list(judged.values()) == [1]
        assert judged.keys() <= passages
    for language in ALL:
        topics = read_topics(HOME / f"topics.{language}.tsv")
        assert topics.keys() == qrels.keys()
        assert len(set(topics.values())) == len(topics)


def words(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentence_pairs(language: str) -> None:
    pairs = read_bitext(HOME / f"bitext.{language}-en.tsv")
    assert len(pairs) >= 800
    for side in ("foreign", "english"):
        assert len({words(getattr(pair, side)) for pair in pairs}) == len(pairs)
    questions = {words(text) for code in ("en", language) for text in read_topics(HOME / f"topics.{code}.tsv").values()}
    assert not questions & {words(text) for pair in pairs for text in (pair.foreign, pair.english)}
    assert all(words(pair.foreign) != words(pair.english) for pair in pairs)
    passages = {words(passage.text) for passage in read_corpus(HOME / "passages.jsonl")}
    assert not passages & {words(pair.english) for pair in pairs}


@pytest.mark.parametrize("language", LANGUAGES)
def test_recipe_and_study_name_these_files(language: str) -> None:
    study = read_settings(Study, HOME / "study.yaml", [f"language={language}"])
    runs = study.each_run()
    assert {"bm25-untranslated", "bm25-human-translated", "table-start", "optical"} <= runs.keys()
    made = [load_recipe(run.search, run.set) for run in runs.values() if run.distils]
    assert {recipe.name for recipe in made} == {f"quickstart-{language}"}
    for recipe in made:
        assert recipe.bitext == [str(HOME / f"bitext.{language}-en.tsv")]
        assert str(HOME / f"topics.{language}.tsv") in recipe.exclude
