from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyserini_optical.data import Pair
from pyserini_optical.errors import InputError, RecipeError
from pyserini_optical.models import load_encoder
from pyserini_optical.translation import (
    TableSettings,
    count_words,
    counting,
    load_translator,
    translate_texts,
    word_table,
)


def bitext(path: Path, pairs: list[Pair]) -> Path:
    path.write_text("".join(f"{pair.foreign}\t{pair.english}\n" for pair in pairs), encoding="utf-8")
    return path


def test_ibm1_learns_a_toy_language(toy_pairs: list[Pair], tmp_path: Path) -> None:
    paths = [str(bitext(tmp_path / f"{n}.tsv", toy_pairs[n::2])) for n in range(2)]
    table = word_table(TableSettings(paths), tmp_path)
    for foreign, english in (("mto", "river"), ("mwalimu", "teacher"), ("anaona", "sees"), ("kamwe", "never")):
        assert table.best(foreign) == english
    (file,) = (tmp_path / "tables").iterdir()
    time = file.stat().st_mtime_ns
    assert word_table(TableSettings(paths), tmp_path).entries == table.entries
    assert file.stat().st_mtime_ns == time
    back = word_table(TableSettings(paths, reverse=True), tmp_path)
    assert back.best("river") == "mto"
    assert len(list((tmp_path / "tables").iterdir())) == 2


def test_what_is_counted_is_bounded_by_words_times_words(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [Pair(f"neno{number}", f"word{number}") for number in range(300)]
    sentences = [Pair("a b c d e f g h i j", "k l m n o p q r s t")] * 6
    monkeypatch.setattr(counting, "_LINKS", 900)
    assert len(count_words(words + sentences).entries) == 310  # no more than may be
    monkeypatch.setattr(counting, "_LINKS", 899)
    entries = count_words(words + sentences).entries
    assert len(entries) == 160
    assert list(entries)[:2] == ["neno0", "neno2"]


def test_a_bitext_teaches_a_translator(toy_pairs: list[Pair], tmp_path: Path) -> None:
    path = bitext(tmp_path / "toy.tsv", toy_pairs)
    translator = load_translator(f"learned:{path}", tmp_path)
    assert not translator.slow
    found = translate_texts(translator, {"1": "Za mkulima anaona Nairobi!", "2": "?!"}, tmp_path)
    assert found == {"1": "the farmer sees nairobi", "2": "?!"}
    back = load_translator(f"learned:{path}?reverse=yes", tmp_path)
    assert back.version != translator.version
    assert translate_texts(back, {"1": "the farmer"}, tmp_path) == {"1": "za mkulima"}


@pytest.mark.parametrize("coupling", ["ipot", "nearest"])
@pytest.mark.parametrize("layer", ["contextual", "static"])
def test_plans_of_one_model_with_itself_match_words_with_themselves(
    coupling: str, layer: str, tiny: Path, toy_pairs: list[Pair], tmp_path: Path
) -> None:
    same = [Pair(pair.english, pair.english) for pair in toy_pairs[:100]]
    path = bitext(tmp_path / "same.tsv", same)
    settings = TableSettings([str(path)], "plans", encoder=str(tiny), coupling=coupling, layer=layer)  # type: ignore[arg-type]
    table = word_table(settings, tmp_path, load_encoder(str(tiny), "cpu"))
    words = {word for pair in same for word in pair.english.split()}
    assert table.entries.keys() == words
    for word in words:
        assert table.best(word) == word
        assert sum(table.entries[word].values()) <= 1 + 1e-5


def test_a_student_reads_words_for_plans_as_they_are_written(
    monkeypatch: pytest.MonkeyPatch, tiny: Path, tmp_path: Path
) -> None:
    from pyserini_optical.evaluate import alignment

    read: list[list[str]] = []
    vectors = alignment.token_vectors

    def noting(model: Any, sentences: list[list[str]], layer: Any) -> Any:
        read.extend(sentences)
        return vectors(model, sentences, layer)

    monkeypatch.setattr(alignment, "token_vectors", noting)
    written = ["\u0645\u064e\u0646", "River"]  # with a vowel point
    path = bitext(tmp_path / "arabic.tsv", [Pair(", ".join(written), "the river"), Pair("?", "?")])
    table = word_table(TableSettings([str(path)], "plans", encoder=str(tiny)), tmp_path, load_encoder(str(tiny), "cpu"))
    assert written in read
    assert table.entries.keys() <= {"\u0645\u0646", "river"}
    assert table.best("river") == "river"


def test_words_of_several_pieces_are_one_word(tiny: Path, tmp_path: Path) -> None:
    path = bitext(tmp_path / "letters.tsv", [Pair("xyzzy the river", "the plugh river")] * 2)
    settings = TableSettings([str(path)], "plans", encoder=str(tiny), layer="static")
    table = word_table(settings, tmp_path, load_encoder(str(tiny), "cpu"))
    assert set(table.entries) == {"xyzzy", "the", "river"}
    assert table.best("the") == "the"
    assert set(table.entries["xyzzy"]) <= {"the", "plugh", "river"}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"bitext": []}, "bitext must name a file"),
        ({"kind": "glosses", "encoder": "x"}, "bitext must name a file, but for `kind: glosses`"),
        ({"kind": "glosses", "bitext": []}, "encoder must be named for `kind: plans` and `glosses`"),
        ({"rounds": 0}, "rounds must be at least 1"),
        ({"kind": "plans"}, "encoder must be named for `kind: plans`"),
        ({"encoder": "x"}, "encoder must be named for `kind: plans`"),
        ({"kind": "plans", "encoder": "x", "reverse": True}, "reverse is for `kind: ibm1`"),
        ({"kind": "plans", "encoder": "x", "coupling": "iopt"}, "unknown coupling 'iopt'; did you mean 'ipot'"),
    ],
)
def test_impossible_settings_are_said(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        TableSettings(**{"bitext": ["x.tsv"], **settings})  # type: ignore[arg-type]


def test_a_missing_bitext_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tsv: "):
        load_translator("learned:none.tsv", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_bitext_without_words_is_said(tmp_path: Path) -> None:
    path = bitext(tmp_path / "marks.tsv", [Pair("?!", "..."), Pair("mto", "--")])
    with pytest.raises(InputError, match=r"marks\.tsv: holds no sentence pairs with words"):
        load_translator(f"learned:{path}", tmp_path)
    assert not (tmp_path / "tables").exists()
