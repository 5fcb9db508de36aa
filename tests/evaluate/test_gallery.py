from __future__ import annotations

from html import escape
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser

from pyserini_optical import InputError, compare
from pyserini_optical.data import Manifest
from pyserini_optical.evaluate.gallery import main, write_gallery

QRELS = {"1": {"a": 1}, "2": {"a": 1}}
RUNS = {"bm25": {"1": {"a": 1.0}}, "optical": {"1": {"a": 1.0}, "2": {"x": 2.0, "a": 1.0}}}
TITLE = "<script>alert(1)</script> & more"


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    compare(QRELS, RUNS, report=folder / "afriqa sw")
    Manifest("study", parameters={"study": {"title": TITLE}}).save(folder / "afriqa sw" / "manifest.json")
    compare(QRELS, {"optical": RUNS["optical"]}, measures=["AP", "RR@10"], report=folder / "xquad-hi")
    (folder / "xquad-hi" / "report.html").unlink()
    (folder / "no study").mkdir()
    return folder


def test_it_shows_every_study(studies: Path) -> None:
    page = write_gallery(studies)
    assert page == studies / "index.html"
    text = page.read_text()
    assert "2 studies" in text
    assert escape(TITLE) in text
    assert "<script" not in text
    assert 'href="afriqa%20sw/report.html"' in text
    assert 'href="xquad-hi/report.md"' in text  # the page of the study is not there
    assert "All of them in RR@10" in text
    cells = [part.split("</tr>")[0] for part in text.split('<th scope="row" class="text">')[1:]]
    assert cells == ["bm25</th><td>0.500</td><td>–</td>", "optical</th><td>0.750</td><td>0.750</td>"]
    assert 'aria-label="RR@10: bm25 0.500; optical 0.750"' in text
    before = page.read_bytes()
    assert write_gallery(studies).read_bytes() == before


def test_it_opens_in_a_browser(studies: Path, tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    page = write_gallery(studies)
    with Browser() as browser:
        for width, phone in ((1200, False), (360, True)):
            browser.open(page, width=width, phone=phone, dark=phone)
            assert browser.run("document.documentElement.scrollWidth") <= width
            assert browser.screenshot(tmp_path / "page.png").startswith(b"\x89PNG")
        assert browser.complaints == []


def test_a_folder_without_studies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no study; run one"):
        write_gallery(tmp_path)
    assert not (tmp_path / "index.html").exists()


def test_the_command(studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(studies)]) == 0
    assert capsys.readouterr().out == f"Written: {studies / 'index.html'}\n"
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: ")
    (studies / "benchmark").mkdir()
    (studies / "benchmark" / "report.json").write_text('{"couplings": []}')
    assert main([str(studies)]) == 0
    assert "benchmark" not in (studies / "index.html").read_text()
    capsys.readouterr()
    (studies / "xquad-hi" / "report.json").write_text('{"runs": []}')
    assert main([str(studies)]) == 1
    assert "not a report" in capsys.readouterr().err
