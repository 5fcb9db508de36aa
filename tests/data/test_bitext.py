"""Bitext: three formats, one result; and what the filters leave out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserini_optical.data import FilterReport, Pair, filter_bitext, read_bitext, read_moses, write_text

PAIRS = [
    Pair("Habari za asubuhi", "Good morning", "tatoeba"),
    Pair("क्या हाल है?", "How are you?", "tatoeba"),
    Pair('"Ndiyo", alisema', '"Yes", she said', ""),
]
LONG = "the quick brown fox jumps over the lazy dog"


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_formats_agree(tmp_path: Path, suffix: str) -> None:
    tsv, jsonl = tmp_path / f"pairs.tsv{suffix}", tmp_path / f"pairs.jsonl{suffix}"
    sides = tmp_path / f"pairs.sw{suffix}", tmp_path / f"pairs.en{suffix}"
    with write_text(tsv) as file:
        file.writelines("\t".join(pair) + "\n" for pair in PAIRS)
    with write_text(jsonl) as file:
        file.writelines(json.dumps({**pair._asdict(), "score": 1}) + "\n" for pair in PAIRS)
    for side, path in enumerate(sides):
        with write_text(path) as file:
            file.writelines(pair[side] + "\n" for pair in PAIRS)
    assert read_bitext(tsv) == PAIRS
    assert read_bitext(jsonl) == PAIRS
    assert read_moses(*sides) == [pair._replace(source="") for pair in PAIRS]


def test_source_is_optional_and_white_space_collapses(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(" moja \u00a0 mbili \tone  two\n", encoding="utf-8")
    (tmp_path / "a.jsonl").write_text('{"foreign": "moja\\nmbili", "english": "one\\ttwo", "source": null}', "utf-8")
    assert read_bitext(tmp_path / "a.tsv") == read_bitext(tmp_path / "a.jsonl") == [Pair("moja mbili", "one two")]


def dropped(foreign: str, english: str, exclude: tuple[str, ...] = ()) -> str | None:
    kept, report = filter_bitext([Pair(foreign, english)], exclude=exclude)
    reasons = [reason for reason, count in report.dropped.items() if count]
    assert len(kept) + len(reasons) == 1
    return reasons[0] if reasons else None


@pytest.mark.parametrize(
    ("foreign", "english", "reason"),
    [
        ("New York", "new  york", "identical sides"),
        ("STRASSE", "straße", "identical sides"),
        ("ｱｲｳ", "アイウ", "identical sides"),
        ("New York!", "New York", None),
        ("Ndiyo.", "Yes, I will be there.", None),
        ("Ndiyo.", "x" * 30, None),
        ("Ndiyo.", "x" * 31, "length ratio"),
        ("x" * 100, "y" * 300, None),
        ("x" * 100, "y" * 301, "length ratio"),
        ("y" * 301, "x" * 100, "length ratio"),
        # 12 Han characters for 53 letters is how Chinese is written.
        ("他们昨天在图书馆见面了吗", "Did they meet each other in the library yesterday then", None),
        ("他们昨天在图书馆见面了吗", "y" * 109, "length ratio"),
    ],
)
def test_reasons(foreign: str, english: str, reason: str | None) -> None:
    assert dropped(foreign, english) == reason


def test_evaluation_text_is_left_out_on_either_side() -> None:
    question = "Nani aliandika 'Kusadikika'?"
    assert dropped(question, LONG, ("nani aliandika kusadikika",)) == "evaluation text"
    assert dropped("mbweha mwepesi wa kahawia", LONG, (f"{LONG.title()}!",)) == "evaluation text"
    assert dropped(question, LONG, ("Nani aliandika",)) is None


def test_vowel_signs_are_letters_and_punctuation_alone_is_compared_as_it_is() -> None:
    assert dropped("की", "of the", ("का",)) is None
    assert dropped("की", "of the", ("की।",)) == "evaluation text"
    assert dropped("!!", "?", ("...",)) is None
    assert dropped("!!", "?", ("?",)) == "evaluation text"


def test_first_of_duplicates_stays_and_another_translation_is_none() -> None:
    pairs = [Pair("moja", "one", "a"), Pair("Moja", " ONE", "b"), Pair("moja", "single", "c")]
    kept, report = filter_bitext(pairs)
    assert kept == [pairs[0], pairs[2]]
    assert report == FilterReport(2, {"identical sides": 0, "length ratio": 0, "duplicate": 1, "evaluation text": 0})
    assert str(report) == (
        "kept 2 of 3 pairs; dropped: identical sides 0, length ratio 0, duplicate 1, evaluation text 0"
    )


words = st.text(alphabet="aAbB ß他", max_size=8)


@given(st.lists(st.builds(Pair, words, words)), st.lists(words))
def test_every_pair_is_counted_once_and_filtering_again_drops_nothing(pairs: list[Pair], exclude: list[str]) -> None:
    kept, report = filter_bitext(iter(pairs), exclude=iter(exclude))
    assert report.kept == len(kept)
    assert report.kept + sum(report.dropped.values()) == len(pairs)
    assert filter_bitext(kept, exclude=exclude)[0] == kept
    assert not {pair.foreign.casefold() for pair in kept} & {text.casefold() for text in exclude}
