from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer

from pyserini_optical.couplings import COUPLINGS, Assignment, Nearest, Plan, uniform_mass
from pyserini_optical.errors import InputError
from pyserini_optical.evaluate.alignment import (
    AlignedPair,
    AlignmentScores,
    align_words,
    read_alignments,
    score_links,
    word_links,
)


@pytest.fixture(scope="module")
def model(tiny: Path) -> SentenceTransformer:
    return SentenceTransformer(str(tiny), device="cpu")


def write(folder: Path, text: str) -> Path:
    path = folder / "xx-en.gold.tsv"
    path.write_text(text, encoding="utf-8")
    return path


def pair(foreign: str, english: str) -> AlignedPair:
    return AlignedPair(tuple(foreign.split()), tuple(english.split()), frozenset())


def test_reading_keeps_words_links_and_counts_what_points_outside(tmp_path: Path) -> None:
    # Two spaces are one gap; a sentence may have no link; a link may stand twice.
    path = write(tmp_path, "la casa  vieja\tthe old house\t0-0 1-2 2-1 2-1 3-0\nsí\tyes\t\n")
    pairs, outside = read_alignments(path)
    links = frozenset({(0, 0), (1, 2), (2, 1)})
    assert pairs[0] == AlignedPair(("la", "casa", "vieja"), ("the", "old", "house"), links)
    assert pairs[1].links == frozenset()
    assert outside == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\n", r":1: expected 3 columns separated by tabs, found 2; "),
        ("a\tb\t0-0\na\tb\t0-0\tmore\n", r":2: expected 3 columns"),
        ("a\tb\t0:0\n", r":1: '0:0' is not a link; "),
        ("a\tb\t-1-0\n", r"'-1-0' is not a link"),
        ("a\tb\t0-99999999999999999999\n", r"is not a link"),
        (" \tb\t\n", r":1: a sentence without words"),
        ("", r"holds no sentence pairs"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_alignments(write(tmp_path, text))


def test_scores_follow_och_and_ney_over_all_sentences() -> None:
    pairs = [
        AlignedPair(("a", "b"), ("c", "d"), frozenset({(0, 0), (1, 1)})),
        AlignedPair(("a",), ("c",), frozenset({(0, 0)})),
    ]
    scores = score_links([{(0, 0), (0, 1), (1, 0)}, set()], pairs)
    assert scores.counts == ((1, 3, 2), (0, 0, 1))
    assert scores.precision == pytest.approx(1 / 3)
    assert scores.recall == pytest.approx(1 / 3)
    # |A ∩ S| + |A ∩ P| = 2, |A| + |S| = 6.
    assert scores.error_rate == pytest.approx(1 - 2 / 6)
    assert score_links([pair.links for pair in pairs], pairs).error_rate == 0
    nothing = score_links([set(), set()], pairs)
    assert (nothing.precision, nothing.recall, nothing.error_rate) == (0, 0, 1)
    with pytest.raises(ValueError, match="zip"):
        score_links([set()], pairs)


def test_the_interval_holds_the_rate_narrows_with_sentences_and_is_seeded() -> None:
    few, many = (AlignmentScores(((3, 4, 5), (1, 4, 4), (2, 2, 3)) * times) for times in (2, 60))
    low, high = few.interval()
    assert low < few.error_rate < high
    narrow = many.interval()
    assert narrow[1] - narrow[0] < (high - low) / 4
    assert few.interval() == (low, high)
    assert many.interval(seed=1) != narrow


def test_words_are_linked_by_any_of_their_pieces_that_move_half_of_the_lesser_mass() -> None:
    # Two English words, the second in two pieces; three foreign words of one piece each.
    english, foreign = torch.tensor([[0, 1, 1]]), torch.tensor([[0, 1, 2]])
    mass = uniform_mass(torch.ones(1, 3)), uniform_mass(torch.ones(1, 3))
    share = torch.tensor([[[0.50, 0.49, 0.01], [0.1, 0.2, 0.7], [0.4, 0.31, 0.29]]]) / 3
    plan = Plan(share, torch.zeros(1), torch.zeros(1), mass[0] > 0, mass[1] > 0)
    assert word_links(plan, mass, (english, foreign)) == [{(0, 0), (2, 1)}]


def test_the_independent_plan_links_nothing_and_a_matching_everything_it_matched() -> None:
    mass = uniform_mass(torch.ones(2, 4)), uniform_mass(torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]]))
    words = torch.arange(4).expand(2, 4), torch.arange(6).expand(2, 6)
    independent = Plan(mass[0][:, :, None] * mass[1][:, None, :], torch.zeros(2), torch.zeros(2), *words)
    assert word_links(independent, mass, words) == [set(), set()]
    cost = torch.rand(2, 4, 6, generator=torch.Generator().manual_seed(0))
    assert [len(links) for links in word_links(Assignment().plan(cost, *mass), mass, words)] == [4, 3]
    assert [len(links) for links in word_links(Nearest().plan(cost, *mass), mass, words)] == [6, 3]


@pytest.mark.parametrize("name", COUPLINGS)
def test_a_sentence_is_aligned_with_itself_word_by_word(name: str, model: SentenceTransformer) -> None:
    # `zqxj` is in no vocabulary: several pieces, one word. Another length beside it makes padding.
    text, other = "the old farmer zqxj sees a river", "red boat today"
    found = align_words(model, model, [pair(text, text), pair(other, other)], {name: COUPLINGS[name]()})[name]
    assert found == [{(k, k) for k in range(7)}, {(k, k) for k in range(3)}]


def test_the_static_layer_does_not_see_the_order_and_links_are_foreign_first(model: SentenceTransformer) -> None:
    words = pair("river a sees farmer old the", "the old farmer sees a river")
    named = {"assignment": Assignment()}
    assert align_words(model, model, [words], named, layer="static")["assignment"] == [{(k, 5 - k) for k in range(6)}]
    three = pair("boat", "the red boat")
    found = align_words(model, model, [three] * 5, named, layer="static", batch_size=2)["assignment"]
    assert found == [{(0, 2)}] * 5


def test_words_beyond_the_greatest_length_have_no_links(model: SentenceTransformer) -> None:
    long = " ".join(["river"] * 100)
    (links,) = align_words(model, model, [pair(long, long)], {"positional": COUPLINGS["positional"]()})["positional"]
    # 64 tokens, of which [CLS] and [SEP] take no part.
    assert links == {(k, k) for k in range(62)}
