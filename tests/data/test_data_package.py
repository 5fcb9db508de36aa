"""The package as a whole: its public names, what it loads, and how it writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pyserini_optical import data
from pyserini_optical.data import read_lines, write_text


def test_public_names_exist_and_are_described() -> None:
    for name in data.__all__:
        assert name == "Pathish" or getattr(data, name).__doc__
    assert list(data.__all__) == sorted(data.__all__)


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, pyserini_optical.data as data; data.versions(); "
        "print(sorted({'torch', 'pyserini', 'jnius', 'transformers', 'faiss', 'ot', 'ranx'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "[]"


def test_lines_without_mark_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"\xef\xbb\xbfone \r\n\r\n\xe2\x80\xa8two\x0cthree\n")
    assert list(read_lines(path)) == [(1, "one "), (2, ""), (3, "\u2028two\x0cthree")]


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_text_is_there_whole_or_not_at_all(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"file.txt{suffix}"

    def write(*lines: str, fail: bool = False) -> None:
        with write_text(path) as file:
            file.writelines(line + "\n" for line in lines)
            if fail:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write("half", fail=True)
    assert not list(tmp_path.iterdir())
    write("one", "zwei é")
    first = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write("half", fail=True)
    assert list(read_lines(path)) == [(1, "one"), (2, "zwei é")]
    write("one", "zwei é")
    assert path.read_bytes() == first, "the same text gives the same bytes"
