from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserini_optical.data import fingerprint_bitext, read_bitext
from pyserini_optical.errors import InputError

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

ENTRIES = {
    "00-database-info": "Swahili-English, version 1\n",
    "adhabu": "adhabu /aðˈabu/ <n> [sg=pl]\n1.\npunishment, penalty {law}\n2.\nreprimand\n",
    "adhuhuri": 'adhuhuri /aðuhˈuri/ <n>\n\nmidday\n period between noon and 2 p.m.\n   see: {mchana}\n "njema"\n',
    "gari": "gari, motokaa /ɡˈari/\n1. car; motor~vehicle (with four wheels)\n",
    "ndefu": "ndefu <adj>\nwhat takes a very long time\n",
}


def number(value: int) -> str:
    digits = _LETTERS[value % 64]
    while value := value // 64:
        digits = _LETTERS[value % 64] + digits
    return digits


def write(path: Path, entries: dict[str, str], *, again: str = "") -> Path:
    """Write a dictionary as dictd has it; the entry of ``again`` is indexed by another headword too."""
    content, index = b"", []
    for word, entry in entries.items():
        raw = entry.encode()
        index += [f"{head}\t{number(len(content))}\t{number(len(raw))}\n" for head in (word, *["zz"] * (word == again))]
        content += raw
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".dz" else content)
    path.with_name(path.name.removesuffix(".dz").removesuffix(".dict") + ".index").write_text("".join(index))
    return path


def test_its_fingerprint_knows_the_index(tmp_path: Path) -> None:
    path = write(tmp_path / "freedict-swh-eng.dict", ENTRIES)
    before = fingerprint_bitext(path)
    assert fingerprint_bitext(path) == before
    index = path.with_suffix(".index")
    index.write_text(index.read_text().splitlines(keepends=True)[0])
    assert fingerprint_bitext(path) != before
    index.unlink()
    with pytest.raises(InputError, match=r"freedict-swh-eng\.index: cannot be read"):
        fingerprint_bitext(path)


@pytest.mark.parametrize("name", ["freedict-swh-eng.dict", "freedict-swh-eng.dict.dz"])
def test_headwords_come_with_their_translations_alone(tmp_path: Path, name: str) -> None:
    pairs = read_bitext(write(tmp_path / name, ENTRIES, again="gari"))
    assert [pair[:2] for pair in pairs] == [
        ("adhabu", "punishment"),
        ("adhabu", "penalty"),
        ("adhabu", "reprimand"),
        ("adhuhuri", "midday"),
        ("gari", "car"),
        ("gari", "motor vehicle"),
        ("motokaa", "car"),
        ("motokaa", "motor vehicle"),
    ]
    assert {pair.source for pair in pairs} == {"freedict"}


def test_from_english_the_sides_are_exchanged(tmp_path: Path) -> None:
    path = write(tmp_path / "freedict-eng-hin.dict.dz", {"abhor": "abhor /ɐbhˈɔː/ <VT>\n1. घृणा~करना\n"})
    assert [pair[:2] for pair in read_bitext(path)] == [("घृणा करना", "abhor")]


@given(st.lists(st.text("ab ", min_size=1).filter(str.strip), min_size=1, max_size=90))
def test_places_of_many_entries_are_found(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    kept = [" ".join(word.split()) for word in words if len(word.split()) <= 4]
    entries = {f"w{place}": f"w{place} /w/\n{' '.join(word.split())}\n" for place, word in enumerate(words)}
    path = write(tmp_path_factory.mktemp("freedict") / "freedict-eng-swh.dict", entries)
    if kept:
        assert [pair.foreign for pair in read_bitext(path)] == kept
    else:
        with pytest.raises(InputError, match="holds no sentence pairs"):
            read_bitext(path)


@pytest.mark.parametrize("name", ["freedict-deu-fra.dict.dz", "words.dict", "freedict-en-de.dict.dz"])
def test_a_name_without_english_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="name it freedict-XXX-eng") as refused:
        read_bitext(write(tmp_path / name, ENTRIES))
    assert refused.value.path == tmp_path / name


def test_a_missing_index_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "freedict-swh-eng.dict.dz", ENTRIES)
    (index := tmp_path / "freedict-swh-eng.index").unlink()
    with pytest.raises(InputError, match=re.escape(f"{index}: no such file")):
        read_bitext(path)


@pytest.mark.parametrize("line", ["gari", "gari\tA", "gari\tA\t", "gari\tA\t////", "gari\t-\tB", "gari\tA\té"])
def test_an_index_of_another_file_is_refused(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "freedict-swh-eng.dict.dz", ENTRIES)
    (index := tmp_path / "freedict-swh-eng.index").write_text(f"00-database-info\tA\tB\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(f"{index}:2: no entry of freedict-swh-eng.dict.dz")):
        read_bitext(path)


def test_a_place_inside_a_letter_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "freedict-eng-hin.dict", {"abhor": "घृणा\nघृणा\n"})
    (tmp_path / "freedict-eng-hin.index").write_text("abhor\tB\tD\n")
    with pytest.raises(InputError, match="no entry of"):
        read_bitext(path)


def test_a_truncated_dictionary_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "freedict-swh-eng.dict.dz", ENTRIES)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged or truncated compressed file"):
        read_bitext(path)
