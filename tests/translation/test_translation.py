from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyserini_optical.data import read_corpus, read_topics
from pyserini_optical.errors import InputError
from pyserini_optical.translation import translate, translate_texts


@pytest.fixture
def words(tmp_path: Path) -> str:
    path = tmp_path / "words.tsv"
    path.write_text("casa\thouse\nperro\tdog\n")
    return f"dictionary:{path}"


def test_topics_keep_their_ids_and_order(words: str, tmp_path: Path) -> None:
    topics, out, reference = (tmp_path / name for name in ("topics.tsv.gz", "out.tsv.xz", "reference.tsv"))
    import gzip

    topics.write_bytes(gzip.compress("007\tcasa perro\n7\t  perro\u2028casa \n".encode()))
    assert translate(words, topics, out, work=tmp_path / "work") is None
    assert read_topics(out) == {"007": "house dog", "7": "dog house"}
    pytest.importorskip("sacrebleu", reason="the extra `translate` brings it")
    reference.write_text("7\tdog house\n")
    quality = translate(words, topics, out, reference=reference, work=tmp_path / "work")
    assert quality is not None
    assert quality.texts == 1
    assert quality.chrf == pytest.approx(100)


def test_a_corpus_keeps_ids_and_titles(words: str, tmp_path: Path) -> None:
    corpus, out = tmp_path / "passages.jsonl", tmp_path / "out" / "translated.jsonl.xz"
    passages = [{"id": "1", "title": "Perro", "text": "casa\nperro"}, {"id": "text", "contents": "x"}]
    corpus.write_text("".join(json.dumps(passage) + "\n" for passage in passages))
    translate(words, corpus, out, work=tmp_path / "work")
    assert list(read_corpus(out)) == [("1", "dog", "house dog"), ("text", "", "x")]
    with pytest.raises(InputError, match="a corpus has no reference"):
        translate(words, corpus, out, reference=corpus)


class Silent:
    """A translator that has nothing to say."""

    name, version, languages, batch_size, slow = "silent", "1", "", 2, True

    def translate(self, texts: Sequence[str], ids: Sequence[str]) -> list[str]:
        return [" " if text == "hush" else text.upper() for text in texts]


def test_an_empty_translation_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    topics, out = tmp_path / "topics.tsv", tmp_path / "out.tsv"
    topics.write_text("1\ta\n2\tb\n3\thush\n")
    with pytest.raises(InputError, match="silent: the translation of '3' is empty; remove it, or"):
        translate(Silent(), topics, out, work=tmp_path)
    assert not out.exists()
    with pytest.raises(InputError, match="no such file"):
        translate(Silent(), tmp_path / "none.tsv", out, work=tmp_path)


def test_the_same_text_is_the_same_under_any_id(tmp_path: Path) -> None:
    texts = {"1": "a", "2": " a ", "3": "b"}
    for _ in range(2):
        assert translate_texts(Silent(), texts, tmp_path) == {"1": "A", "2": "A", "3": "B"}
