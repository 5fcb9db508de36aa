from __future__ import annotations

import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyserini_optical.errors import InputError, OpticalError, SetupError
from pyserini_optical.translation import load_translator, translate_texts

WORDS = """casa\thouse
casa\thome
perro\tdoggy
perro\tdog
can\tdog
hogar\thome
dar a luz\tgive birth
luz\tlight
jugar\tplay
llamar\tcall
"""


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "es-en.tsv"
    path.write_text(WORDS)
    return path


@pytest.mark.parametrize(
    ("text", "best"),
    [
        ("¿Perro?", "dog"),
        ("la CASA", "la home"),
        ("dar a luz", "give birth"),
        ("dar luz", "dar light"),
        ("casas", "home"),
        ("llamas", "call"),
        ("llamaban", "llamaban"),
        ("encasa", "home"),  # no beginning is shared
        ("Nairobi 1990", "nairobi 1990"),
        ("?", "?"),
    ],
)
def test_a_dictionary_takes_the_longest_match_or_a_form(text: str, best: str, words: Path) -> None:
    assert load_translator(f"dictionary:{words}").translate([text], ["1"]) == [best]


def test_a_dictionary_gives_all_senses_and_the_other_direction(words: Path) -> None:
    every, best = (load_translator(f"dictionary:{words}{options}") for options in ("?senses=all", ""))
    assert every.translate(["casa perro"], ["1"]) == ["home house dog doggy"]
    assert every.version != best.version
    assert load_translator(f"dictionary:{words}?reverse=yes").translate(["give birth at home"], ["1"]) == [
        "dar a luz at casa"
    ]


def test_a_table_looks_up_ids(tmp_path: Path) -> None:
    path = tmp_path / "en.tsv"
    path.write_text("1\tone\n01\tanother\n")
    table = load_translator(f"table:{path}")
    assert translate_texts(table, {"01": "moja", "1": "moja"}, tmp_path) == {"01": "another", "1": "one"}
    with pytest.raises(InputError, match=r"en\.tsv: has no translation of topic '2' and 1 others; check"):
        translate_texts(table, {"1": "moja", "2": "mbili", "3": "tatu"}, tmp_path)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("apertium", "'apertium' names no translator; write KIND:WHAT"),
        ("apertium:", "names no translator"),
        (":x", "names no translator"),
        ("dictionery:x.tsv", "unknown kind 'dictionery'; did you mean 'dictionary'?"),
        ("dictionary:none.tsv", "none.tsv: no such file"),
        ("dictionary:x.tsv?sense=all", "unknown option 'sense'; did you mean 'senses'?"),
        ("dictionary:x.tsv?senses=some", "senses must be one of best, all, got 'some'"),
        ("dictionary:x.tsv?senses", "'senses' is not an option; write key=value"),
        ("dictionary:x.tsv?senses=all&senses=best", "'senses=best' is not an option"),
        ("table:x.tsv?a=b", "unknown option 'a'; known are none"),
        ("marian:./no-such-model", "no such model folder"),
    ],
)
def test_wrong_names_are_said(name: str, problem: str) -> None:
    with pytest.raises(OpticalError) as caught:
        load_translator(name)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_apertium_translates() -> None:
    if shutil.which("apertium") is None:
        pytest.skip("Apertium is not installed")
    try:
        translator = load_translator("apertium:spa-eng")
    except SetupError as error:
        pytest.skip(str(error))
    texts = ["¿Dónde está la casa?", "Hola mundo", "^$ [x] \\ @ <b>", "una casa sin punto"]
    found = translator.translate(texts, list("1234"))
    assert len(found) == 4
    assert "house" in found[0]
    assert found[3] == "a house without point"
    assert translator.version.startswith("Apertium ")
    with pytest.raises(
        SetupError, match=r"no pair 'spa-xxx' \(it has .*spa-eng.*run `apt-get install apertium-spa-xxx`"
    ):
        load_translator("apertium:spa-xxx")


def test_missing_apertium_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="run `apt-get install apertium apertium-eng-spa`"):
        load_translator("apertium:spa-eng")


def test_apertium_that_dies_is_said_and_its_work_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A program of that name which translates, until it is asked for the second batch.
    program = tmp_path / "bin" / "apertium"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in -l) echo "  one-two"; exit;; -V) echo "Apertium 0"; exit;; esac\n'
        "while read -r line; do\n"
        f'case "$line" in *700*) if [ ! -e {tmp_path}/mended ]; then echo "no more" >&2; exit 3; fi;; esac\n'
        'echo "t $line"; done\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    translator = load_translator("apertium:one-two")
    texts = {str(n): f"text {n}" for n in range(1000)}
    with pytest.raises(
        OpticalError, match=r"apertium:one-two: Apertium failed \(no more\); what it translated before is kept"
    ):
        translate_texts(translator, texts, tmp_path)
    (tmp_path / "mended").touch()
    asked: list[str] = []
    translate = translator.translate

    def noted(texts: Sequence[str], ids: Sequence[str]) -> list[str]:
        asked.extend(ids)
        return translate(texts, ids)

    monkeypatch.setattr(translator, "translate", noted)
    assert translate_texts(translator, texts, tmp_path) == {n: f"t {text}" for n, text in texts.items()}
    assert asked == [str(n) for n in range(500, 1000)]
    asked.clear()
    translate_texts(translator, texts, tmp_path)
    assert asked == []
