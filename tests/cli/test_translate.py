from __future__ import annotations

from pathlib import Path

import pytest

from pyserini_optical.cli import main


def test_it_translates_topics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sacrebleu", reason="the extra `translate` brings it")
    words, topics, human, out = (tmp_path / name for name in ("words.tsv", "topics.tsv", "human.tsv", "out.tsv"))
    words.write_text("casa\thouse\n")
    topics.write_text("1\t¿casa?\n")
    human.write_text("1\tHouse\n")
    work = str(tmp_path / "work")
    assert main(["translate", f"dictionary:{words}", str(topics), str(out), "--work", work]) == 0
    assert out.read_text() == "1\thouse\n"
    assert capsys.readouterr().out == f"{out}\n"
    assert main(["translate", f"table:{out}", str(topics), str(out), "--reference", str(human), "--work", work]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("BLEU ")


@pytest.mark.parametrize(
    ("translator", "problem"),
    [
        ("dictionary", "'dictionary' names no translator; write KIND:WHAT"),
        ("dictionary:none.tsv", "none.tsv: no such file; check the path"),
        ("table:{topics}", "has no translation of topic '2'; check that it belongs to these topics"),
    ],
)
def test_mistakes_are_one_sentence(
    translator: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, out = (tmp_path / name for name in ("one.tsv", "two.tsv", "out.tsv"))
    one.write_text("1\tx\n")
    two.write_text("1\tx\n2\ty\n")
    assert main(["translate", translator.format(topics=one), str(two), str(out), "--work", str(tmp_path)]) == 1
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith("pyserini-optical translate: ")
    assert problem in error[-1]
    assert not out.exists()
