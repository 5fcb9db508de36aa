from __future__ import annotations

from pathlib import Path

import pytest

from pyserini_optical.cli import main
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.models import load_encoder
from pyserini_optical.models.glosses import add_glosses
from pyserini_optical.models.transformer import load_transformer, save_transformer
from pyserini_optical.translation import load_translator


def student(tiny: Path, folder: Path, **glosses: str) -> str:
    model = load_transformer(str(tiny), "cpu")
    add_glosses(model, {word: {english: 1.0} for word, english in glosses.items()})
    save_transformer(model, folder)
    return str(folder)


def test_it_translates_as_the_student_reads(tiny: Path, tmp_path: Path) -> None:
    name = student(tiny, tmp_path / "student", mashua="boat", mkulima="farmer")
    translator = load_translator(f"glosses:{name}")
    assert translator.translate(["Mkulima, MASHUA!", "mkulimamashua", "?"], ["1", "2", "3"]) == [
        "farmer boat",
        "farmer boat",
        "?",
    ]
    (tmp_path / "topics.tsv").write_text("01\tmashua\n")
    assert main(["translate", f"glosses:{name}", str(tmp_path / "topics.tsv"), str(tmp_path / "english.tsv")]) == 0
    assert (tmp_path / "english.tsv").read_text() == "01\tboat\n"


def test_other_glosses_are_another_version(tiny: Path, tmp_path: Path) -> None:
    first = load_translator(f"glosses:{student(tiny, tmp_path / 'first', mashua='boat')}")
    second = load_translator(f"glosses:{student(tiny, tmp_path / 'second', mashua='ship')}")
    assert first.version != second.version


def test_glosses_that_are_read_otherwise_are_another_version(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = student(tiny, tmp_path / "student", mashua="boat")
    before = load_encoder(name).fingerprint, load_translator(f"glosses:{name}").version
    monkeypatch.setattr("pyserini_optical.models.glosses.READING", "0")
    after = load_encoder(name).fingerprint, load_translator(f"glosses:{name}").version
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_what_it_cannot_use_is_said(tiny: Path) -> None:
    with pytest.raises(CheckpointError, match="has no glosses; distil it from"):
        load_translator(f"glosses:{tiny}")
    with pytest.raises(InputError, match="senses"):
        load_translator(f"glosses:{tiny}?senses=all")
