"""``align``: which words match, on the terminal and in pictures."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pyserini_optical.cli import main
from pyserini_optical.couplings import COUPLINGS
from pyserini_optical.errors import InputError
from pyserini_optical.evaluate.matching import Matching, SentencePair, _merge, align, token_matches, word_matches
from pyserini_optical.evaluate.matching_pictures import to_page, to_svg, to_terminal
from pyserini_optical.models import Encoder, load_encoder
from pyserini_optical.models.encoder import Piece
from pyserini_optical.retrieve.maxsim import maxsim

FOREIGN, ENGLISH = "the old house sees the red boat", "the farmer sees zebras today"
EVIL = '<script>alert("1")</script>&\u0001\x1b[31m\uffff'
SVG = "{http://www.w3.org/2000/svg}"
KNOWN = {"svg", "style", "g", "text", "tspan", "title", "rect", "path"}


@pytest.fixture(scope="module")
def encoder(tiny: Path) -> Encoder:
    return load_encoder(str(tiny), "cpu")


@pytest.fixture(scope="module")
def pair(encoder: Encoder) -> SentencePair:
    return align(encoder, FOREIGN, ENGLISH, [*COUPLINGS, "ipot"])


def made_pair(foreign: tuple[str, ...], english: tuple[str, ...]) -> SentencePair:
    draw = np.random.default_rng(0)
    weights = draw.dirichlet(np.ones(len(english)), size=len(foreign))
    links = frozenset({(0, 0)})
    matchings = Matching("ipot", 0.25, weights, links), Matching("MaxSim", 1.5, weights - 0.3, links)
    return SentencePair(foreign, english, matchings)


def test_subwords_are_merged_to_words_and_markers_stand_behind_them() -> None:
    pieces = [Piece("[Q]", 0, 0), Piece("un", 1, 3), Piece("##seen", 3, 7), Piece("ow", 9, 11), Piece("##l", 11, 12)]
    pieces += [Piece("[MASK]", 0, 0), Piece("[MASK]", 0, 0)]
    numbers, words = _merge(" unseen  owl ", pieces)
    assert words == ["unseen", "owl", "[Q]", "[MASK]"]
    assert numbers.tolist() == [2, 0, 0, 1, 1, 3, 3]


def test_words_without_spaces_between_them_are_words() -> None:
    pieces = [Piece("日", 0, 1), Piece("本", 1, 2), Piece("の", 2, 3), Piece("首", 3, 4), Piece("in", 7, 9)]
    numbers, words = _merge("日本の首都、 in 1877", pieces)
    assert words == ["日本", "の", "首都、", "in", "1877"]
    assert numbers.tolist() == [0, 0, 1, 2, 3]


def test_the_plans_share_out_each_foreign_word(pair: SentencePair) -> None:
    assert pair.foreign == tuple(FOREIGN.split())
    assert pair.english == tuple(ENGLISH.split())
    assert [matching.name for matching in pair.matchings] == [*COUPLINGS, "MaxSim"]
    plans = {matching.name: matching for matching in pair.matchings[:-1]}
    for name, matching in plans.items():
        shares = matching.weights.sum(axis=1)
        assert matching.weights.shape == (7, 5)
        assert (matching.weights >= 0).all(), name
        assert (shares <= 1 + 1e-6).all(), name
        assert 0 <= matching.total <= 2
        assert matching.quantity == "cost"
        if name in ("ipot", "sinkhorn", "exact", "nearest"):
            np.testing.assert_allclose(shares, 1, atol=1e-3, err_msg=name)
    assert plans["exact"].total <= min(plans["ipot"].total, plans["sinkhorn"].total) + 1e-4


def test_a_sentence_matches_itself_word_by_word(encoder: Encoder) -> None:
    itself = align(encoder, FOREIGN, FOREIGN, ["assignment", "exact"])
    for matching in itself.matchings:
        assert matching.links == {(word, word) for word in range(7)}, matching.name
        np.testing.assert_allclose(matching.weights, np.eye(7), atol=1e-5)
    assert itself.matchings[0].total == pytest.approx(0, abs=1e-5)
    assert itself.matchings[-1].total == pytest.approx(7, abs=1e-4)


def test_what_each_token_adds_is_the_score(encoder: Encoder, pair: SentencePair) -> None:
    matches = token_matches(encoder, FOREIGN, ENGLISH)
    tokens = encoder.passage_tokens([ENGLISH])[0]
    [[score]] = maxsim(encoder.query_tokens([FOREIGN]), tokens, np.array([len(tokens)]))
    assert sum(match.similarity for match in matches) == pytest.approx(float(score), abs=1e-4)
    last = pair.matchings[-1]
    assert last.total == pytest.approx(float(score), abs=1e-4)
    assert last.quantity == "score"
    assert last.weights.sum() == pytest.approx(last.total)
    assert [match.query.text for match in matches] == FOREIGN.split()
    for match in matches:
        word = ENGLISH[: match.passage.end].count(" ")
        assert (FOREIGN[: match.query.end].count(" "), word) in last.links
    assert token_matches(encoder, FOREIGN, " ") == []


def test_what_each_word_adds_is_the_score_too(encoder: Encoder) -> None:
    # "zebras" is many pieces, which may meet several words.
    found = word_matches(encoder, "zebras sees zebras", ENGLISH)
    assert list(dict.fromkeys(word for word, _, _ in found)) == ["zebras", "sees"]
    assert {met for _, met, _ in found} <= set(ENGLISH.split())
    tokens = token_matches(encoder, "zebras sees zebras", ENGLISH)
    assert len(found) < len(tokens)
    assert sum(added for *_, added in found) == pytest.approx(sum(match.similarity for match in tokens))
    assert word_matches(encoder, "", ENGLISH) == []


@pytest.mark.parametrize(
    ("foreign", "english", "couplings", "plot", "said"),
    [
        ("", "a boat", ["ipot"], None, "a sentence is empty; give the foreign"),
        ("a boat", " \t", ["ipot"], None, "a sentence is empty"),
        ("\u200b", "a boat", ["ipot"], None, "has no token for '\\u200b'; write words"),
        ("a boat", "a boat", ["ipto"], None, "unknown coupling 'ipto'.*ipot"),
        ("a \udc80", "a boat", ["ipot"], None, "is not valid UTF-8"),
        ("a boat", "a boat", ["ipot"], "plan.png", "plan.png: is no kind of picture .*; let it end in .svg or .html"),
    ],
)
def test_what_cannot_be_aligned(
    encoder: Encoder,
    tmp_path: Path,
    foreign: str,
    english: str,
    couplings: list[str],
    plot: str | None,
    said: str,
) -> None:
    with pytest.raises(InputError, match=said.replace("\\", r"\\")):
        align(encoder, foreign, english, couplings, plot=plot and tmp_path / plot)
    assert not list(tmp_path.iterdir())


def shown(pair: SentencePair) -> str:
    console = Console(file=io.StringIO(), width=160, color_system=None)
    console.print(to_terminal(pair))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_can_be_read_without_colour(pair: SentencePair) -> None:
    text = shown(made_pair(("el", "perro", "el"), ("the", "dog", "the")))
    assert "the₁ dog the₂" in text
    assert "cost 0.250" in text
    assert "score 1.500" in text
    first = next(line for line in text.splitlines() if line.strip().startswith("el "))
    assert "the₁ ." in first  # linked
    assert "(" in first  # not linked, but a tenth goes there
    assert all(name in shown(pair) for name in ("unbalanced", "MaxSim", *FOREIGN.split()))


def test_control_characters_do_not_reach_the_terminal() -> None:
    text = shown(made_pair((EVIL, "x"), ("[red]a[/red]", EVIL)))
    assert "\x1b" not in text
    assert "\u0001" not in text
    assert "[red]a[/red]" in text


@given(
    foreign=st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=4),
    english=st.lists(st.text(min_size=1), min_size=1, max_size=4),
)
def test_the_picture_is_xml_whatever_the_words(foreign: list[str], english: list[str]) -> None:
    words = [[word.encode(errors="ignore").decode() for word in words] for words in (foreign, english)]
    drawn = to_svg(made_pair(tuple(words[0]), tuple(words[1])))
    root = ElementTree.fromstring(drawn)
    assert root.tag == f"{SVG}svg"
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= KNOWN
    # A cell for each pair of words in each of the two matchings.
    assert len([one for one in root.iter(f"{SVG}rect") if one.get("class") == "cell"]) == 2 * len(foreign) * len(
        english
    )


def test_the_page_escapes_texts_and_has_names_for_all() -> None:
    page = to_page(made_pair((EVIL, "كلمة", "शब्द"), ("a", EVIL)))
    assert "<script" not in page
    assert "\x1b" not in page
    assert 'dir="auto"' in page
    assert page.count('role="img" aria-label="') == 2
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_browser_shows_the_pictures(tmp_path: Path) -> None:
    pair = made_pair(("من", "كتب", "النشيد؟", "महासागर"), ("Who", "wrote", "the", "anthem?"))
    (tmp_path / "pair.svg").write_text(to_svg(pair), encoding="utf-8")
    (tmp_path / "pair.html").write_text(to_page(pair), encoding="utf-8")
    papers = set()
    with Browser() as browser:
        for name in ("pair.svg", "pair.html"):
            for dark in (False, True):
                browser.open(tmp_path / name, dark=dark)
                paper = browser.run("getComputedStyle(document.querySelector('.matching')).backgroundColor")
                ink = browser.run("getComputedStyle(document.querySelector('.matching text')).fill")
                assert paper != ink
                papers.add((name, dark, ink))
                # Each word is inside its picture.
                outside = browser.run(
                    "[...document.querySelectorAll('.matching text')].filter(text => {"
                    "const picture = text.ownerSVGElement.getBoundingClientRect(), box = text.getBoundingClientRect();"
                    "return box.left < picture.left || box.right > picture.right || box.top < picture.top; }).length"
                )
                assert outside == 0, name
        assert browser.complaints == []
    assert len({ink for *_, ink in papers}) == 2


def test_the_command(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "new" / "plan.svg"
    arguments = ["align", str(tiny), FOREIGN, ENGLISH, "--coupling", "greedy", "exact", "--plot", str(plot)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("greedy", "exact", "MaxSim", "zebras", str(plot)))
    assert ElementTree.fromstring(plot.read_text(encoding="utf-8")).tag == f"{SVG}svg"
    assert main(["align", str(tiny), FOREIGN, ENGLISH, "--coupling", "gredy"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pyserini-optical align: unknown coupling 'gredy'")
    assert err.count("\n") == 1
