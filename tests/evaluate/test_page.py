"""The report's page: what is in it, and, in a real browser, whether it works."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser

from pyserini_optical.data import Manifest
from pyserini_optical.evaluate import Comparison, Context, compare, write_report
from pyserini_optical.evaluate.page import embedded, to_html

EVIL = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">{{data}} & \u2028"

TOPICS = [f"{number:02d}" for number in range(40)]
QRELS = {topic: {f"gold-{topic}": 1} for topic in TOPICS}


def made_run(rank: int, step: int) -> dict[str, dict[str, float]]:
    """Put the relevant document at a rank, and at the eighth for every so many topics."""
    run = {}
    for index, topic in enumerate(TOPICS):
        place = 8 if index % step == 0 else rank
        run[topic] = {f"gold-{topic}" if at == place else f"other-{at}": -float(at) for at in range(1, 12)}
    return run


RUNS = {"bm25": made_run(3, 3), "table-start": made_run(2, 5), "optical <b>": made_run(1, 4)}


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare(QRELS, RUNS, baseline="bm25", measures=["RR@10", "nDCG@10", "RankDistance@10"])


@pytest.fixture(scope="module")
def context() -> Context:
    relevant = {topic: [f"gold-{topic}"] for topic in TOPICS}
    return Context(
        title=f"Ten passages {EVIL}",
        lead=EVIL,
        topics={
            f"Swahili {EVIL}": {topic: f"swali {topic} {EVIL}" for topic in TOPICS},
            "Arabic": {topic: f"سؤال {topic}" for topic in TOPICS[:30]},
        },
        relevant=relevant,
        passages={f"gold-{topic}": (f"Title {topic}", f"the answer {EVIL} {'long ' * 400}") for topic in TOPICS}
        | {"other-1": ("Elsewhere", f"wrong {EVIL}")},
        quantities={"seconds": {"bm25": 1, "optical <b>": 900.5}, "sentence pairs": {"optical <b>": 38_900}},
        details=[{"run": "bm25", "search": EVIL}, {"run": "optical <b>", "topics": "untranslated"}],
        manifest=Manifest("study", inputs={"corpus": "abc"}, parameters={"title": EVIL}, versions={"python": "3.11"}),
    )


@pytest.fixture(scope="module")
def page(comparison: Comparison, context: Context, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    paths = write_report(comparison, folder, context)
    assert {path.name for path in paths} == {path.name for path in folder.iterdir()}
    return folder / "report.html"


class Reader(HTMLParser):
    """Checks that elements close in order, and collects names, text and everything that a browser would fetch."""

    EMPTY = frozenset({"meta", "line", "circle", "path", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.text: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        if tag not in self.EMPTY:
            self.open.append(tag)
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_is_whole_and_fetches_nothing(page: Path) -> None:
    text = page.read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.fetched == []
    assert reader.names.count("script") == 2  # the data and the program; none that a text brought
    assert not {"img", "link", "iframe", "b>"} & set(reader.names)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert "default-src 'none'" in text


def test_every_text_stands_as_it_is(page: Path) -> None:
    reader = Reader()
    reader.feed(page.read_text())
    shown = "".join(reader.text)
    assert f"Ten passages {EVIL}" in shown
    assert "optical <b>" in shown
    assert "{{data}}" in shown
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[0])
    assert data["texts"][0]["text"][3] == f"swali 03 {EVIL}"
    assert data["texts"][1]["text"][35] is None
    assert data["passages"][data["relevant"][3][0]][:2] == ["gold-03", "Title 03"]
    assert data["runs"][2]["ranks"][0][:5] == [8, 1, 1, 1, 8]
    assert data["passages"][data["runs"][0]["first"][0]][1] == "Elsewhere"
    assert embedded("</script>&<!--") == r'"\u003c/script\u003e\u0026\u003c!--"'


def test_the_page_says_topics_and_test(page: Path) -> None:
    text = page.read_text()
    assert "<b>40</b> topics" in text
    assert "randomisation test, Holm’s correction, p ≤ 0.05" in text
    assert "Mean over 40 topics of a run minus the baseline bm25" in text
    assert "What ran" in text
    assert "Fingerprints and settings" in text


def test_of_very_many_relevant_passages_a_few_are_read(comparison: Comparison) -> None:
    many = [f"p{number}" for number in range(50)]
    text = "word " * 300
    context = Context(relevant={"00": many}, passages=dict.fromkeys(many, ("", text)))
    data = json.loads(re.findall(r'id="data">(.*?)</script>', to_html(comparison, context), re.DOTALL)[0])
    assert len(data["relevant"][0]) == 50
    assert [len(passage[2]) > 1_000 for passage in data["passages"]] == [True] * 3 + [False] * 47


def test_a_page_of_one_run_and_no_context() -> None:
    text = to_html(compare(QRELS, {"bm25": RUNS["bm25"]}))
    assert "Differences" not in text
    assert "significantly" not in text


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with Browser() as made:
        yield made


def column(browser: Browser, place: int) -> list[str]:
    script = (
        f"[...document.querySelectorAll('.results tbody tr')].map(row => row.cells[{place}].firstChild.textContent)"
    )
    found: list[str] = browser.run(script)
    return found


def test_the_table_sorts(browser: Browser, page: Path) -> None:
    browser.open(page)
    before = column(browser, 1)
    browser.click(".results th:nth-child(2) button")
    assert column(browser, 1) == sorted(before, reverse=True)
    assert browser.run("document.querySelector('.results th:nth-child(2)').getAttribute('aria-sort')") == "descending"
    browser.click(".results th:nth-child(2) button")
    assert column(browser, 1) == sorted(before)
    browser.click(".results th:nth-child(1) button")
    assert column(browser, 0) == ["a", "b", "c"]
    assert browser.complaints == []


def test_another_measure_redraws_everything(browser: Browser, page: Path) -> None:
    browser.open(page)
    label = "document.querySelector('#means svg').getAttribute('aria-label')"
    assert browser.run(label).startswith("Means of RR@10 ")
    before = browser.run("document.querySelector('#difference path').getAttribute('d')")
    browser.click("#measures label:nth-of-type(2) input")
    assert browser.run(label).startswith("Means of nDCG@10 ")
    assert browser.run("document.querySelector('#difference path').getAttribute('d')") != before
    shown = "[...document.querySelectorAll('.measure')].filter(part => !part.hidden).map(part => part.dataset.measure)"
    assert browser.run(shown) == ["nDCG@10"]
    assert browser.complaints == []


def test_topics_are_read_by_mouse_and_by_keys(browser: Browser, page: Path) -> None:
    browser.open(page)
    detail = "document.getElementById('detail').innerText"
    # From 1/3 to 1 wherever the optical run is at the first rank and the baseline at the third; 1/8 to 1 is more.
    assert "1 of 40" in browser.run(detail)
    assert browser.run(detail).startswith("+0.8750")
    for said in ("swali", "سؤال", "Title", "the answer <script>", "✓ relevant", "Elsewhere"):
        assert said in browser.run(detail)
    browser.run("document.querySelector('#difference svg').focus()")
    browser.press("ArrowRight")
    assert "2 of 40" in browser.run(detail)
    browser.press("End")
    assert "40 of 40" in browser.run(detail)
    spoken = "document.querySelector('#difference svg').getAttribute('aria-valuetext')"
    assert browser.run(spoken).startswith("−0.2083 swali")
    x, y = browser.run(
        "(() => { const node = document.querySelector('#difference svg'); node.scrollIntoView({block: 'center'});"
        "const box = node.getBoundingClientRect(); return [box.x + 44 + (box.width - 44) * 4.5 / 40, box.y + 50]; })()"
    )
    browser.point(x, y)
    assert "5 of 40" in browser.run(detail)
    browser.click("#losses summary")
    # What is in it is written when the browser says that it was opened, a moment later.
    browser.run("new Promise(done => setTimeout(done, 100))")
    assert "the answer" in browser.run("document.querySelector('#losses details').innerText")
    browser.run(
        "(() => { const s = document.getElementById('against'); s.value = 1; s.dispatchEvent(new Event('change')) })()"
    )
    assert "minus table-start" in browser.run("document.querySelector('#difference svg').getAttribute('aria-label')")
    assert browser.run("document.title").startswith("Ten passages <script>")
    assert browser.complaints == []


def test_everything_has_an_accessible_name(browser: Browser, page: Path) -> None:
    browser.open(page)
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"image", "button", "radio", "combobox", "slider", "region", "table"}
    seen = {node["role"]["value"] for node in nodes if not node["ignored"]}
    assert {"button", "radio", "combobox", "slider", "region"} <= seen
    for node in nodes:
        if not node["ignored"] and node["role"]["value"] in roles - {"table"}:
            assert node["name"]["value"], node


@pytest.mark.parametrize(("width", "dark", "phone"), [(1200, False, False), (1200, True, False), (360, False, True)])
def test_it_fits_and_is_legible(
    width: int, dark: bool, phone: bool, browser: Browser, page: Path, tmp_path: Path
) -> None:
    browser.open(page, width=width, dark=dark, phone=phone)
    assert browser.run("document.documentElement.scrollWidth") <= width
    image = browser.screenshot(tmp_path / "page.png")
    assert image.startswith(b"\x89PNG")
    # WCAG's contrast between text and what is behind it.
    contrast = """
    (() => {
      const light = colour => {
        const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
        const [r, g, b] = colour.match(/[\\d.]+/g).map(v => linear(v / 255));
        return .2126 * r + .7152 * g + .0722 * b;
      };
      const behind = getComputedStyle(document.querySelector("section")).backgroundColor;
      return ["section", ".hint", "td", "td small", "sup", ".gain", ".loss"].map(name => {
        const pair = [light(getComputedStyle(document.querySelector(name)).color), light(behind)].sort((a, b) => b - a);
        return [name, (pair[0] + .05) / (pair[1] + .05)];
      });
    })()"""
    for name, ratio in browser.run(contrast):
        assert ratio >= 4.5, name
    assert browser.complaints == []


def test_a_pooled_comparison_has_a_panel_for_each_language(
    browser: Browser, comparison: Comparison, tmp_path: Path
) -> None:
    pooled = replace(comparison, languages={"sw": comparison, "ha": comparison})
    (tmp_path / "report.html").write_text(to_html(pooled))
    browser.open(tmp_path / "report.html")
    assert browser.run("[...document.querySelectorAll('#languages h3')].map(head => head.textContent)") == [
        "sw · 40 topics",
        "ha · 40 topics",
    ]
    assert browser.run("document.querySelectorAll('#languages svg').length") == 2
    assert browser.complaints == []


def test_without_scripts_the_tables_are_there(page: Path, tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    plain = re.sub(r"<script>.*?</script>\n</body>", "</body>", page.read_text(), flags=re.DOTALL)
    (tmp_path / "plain.html").write_text(plain)
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--dump-dom", (tmp_path / "plain.html").as_uri()]
    dumped = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert dumped.count('<div class="measure"') == 3
    assert "table-start" in dumped
