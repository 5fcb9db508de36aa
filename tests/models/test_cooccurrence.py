from __future__ import annotations

from itertools import combinations
from math import exp, log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from pyserini_optical.data.words import split_words
from pyserini_optical.errors import InputError
from pyserini_optical.models.cooccurrence import Cooccurrence
from pyserini_optical.translation.word_table import Readings

PASSAGES = [
    "The river bank floods",
    "Money in the bank",
    "The bank of money",
    "Money and a loan",
    "The river and its shore",
    "A loan",
    "River",
    *["A cat"] * 20,
]
WORDS = ["bank", "money", "river", "shore", "loan", "the", "never"]


def pmi(passages: list[str], one: str, other: str) -> float:
    sets = [set(split_words(passage)) for passage in passages]
    holds = [[set(phrase.split()) <= words for words in sets] for phrase in (one, other)]
    together = sum(a and b for a, b in zip(*holds, strict=True))
    if one == other or not together:
        return 0.0
    return max(0.0, log((together - 0.5) * len(passages) / (sum(holds[0]) * sum(holds[1]))))


@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1).map(" ".join), min_size=1, max_size=9))
def test_pmi_is_the_formula(passages: list[str]) -> None:
    words = [*WORDS, "river bank", "bank never"]
    found = Cooccurrence.count_texts(passages).pmi(words)
    np.testing.assert_allclose(found, found.T)
    for i, j in combinations(range(len(words)), 2):
        assert found[i, j] == pytest.approx(pmi(passages, words[i], words[j]))


def test_many_passages_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.random.default_rng(0).integers(0, 1 << len(WORDS), 200).tolist()
    passages = [" ".join(word for bit, word in enumerate(WORDS) if number >> bit & 1) for number in numbers]
    whole = Cooccurrence.count_texts(passages).pmi(WORDS)
    monkeypatch.setattr("pyserini_optical.models.cooccurrence._BLOCK", 64)
    assert whole.any()
    np.testing.assert_array_equal(Cooccurrence.count_texts(passages).pmi(WORDS), whole)


def test_a_word_is_read_as_the_others_have_it() -> None:
    passages = Cooccurrence.count_texts(PASSAGES)
    bench = {"bench": 0.6, "bank": 0.4}
    assert list(passages.weigh({"banco": bench, "dinero": {"money": 1.0}})["banco"]) == ["bank", "bench"]
    assert list(passages.weigh({"banco": bench, "gato": {"cat": 1.0}})["banco"]) == ["bench", "bank"]
    # The one helps the other: alone neither is sure.
    both = passages.weigh({"banco": {"shore": 0.5, "bank": 0.5}, "préstamo": {"loan": 0.5, "river": 0.5}})
    assert list(both["banco"]) == ["shore", "bank"]
    assert list(both["préstamo"]) == ["river", "loan"]


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.dictionaries(st.sampled_from([*WORDS, "river bank"]), st.floats(1e-6, 1), min_size=1, max_size=4),
        min_size=1,
    )
)
def test_weights_are_those_of_the_formula(readings: Readings) -> None:
    expected = {f: {e: p / sum(r.values()) for e, p in r.items()} for f, r in readings.items()}
    for _ in range(3):
        new = {}
        for f, r in readings.items():
            fits = {
                e: sum(pmi(PASSAGES, e, o) * q for g, others in expected.items() if g != f for o, q in others.items())
                for e in r
            }
            weights = {e: p * exp(0.6 * fits[e]) for e, p in r.items()}
            new[f] = {e: weight / sum(weights.values()) for e, weight in weights.items()}
        expected = new
    found = Cooccurrence.count_texts(PASSAGES).weigh(readings)
    assert list(found) == list(readings)
    for f, weights in found.items():
        assert weights == pytest.approx(expected[f])
        assert list(weights.values()) == sorted(weights.values(), reverse=True)


def test_without_passages_nothing_changes() -> None:
    readings = {"banco": {"bench": 0.6, "bank": 0.3}, "dinero": {"money": 1.0}}
    assert Cooccurrence().weigh(readings) == readings
    assert Cooccurrence.count_texts([]).weigh(readings) == readings


def test_it_is_saved(tmp_path: Path) -> None:
    for made in (Cooccurrence.count_texts(PASSAGES), Cooccurrence()):
        made.save(tmp_path / "passages.safetensors")
        again = Cooccurrence.load(tmp_path / "passages.safetensors", "fetch it again")
        assert (again.words, again.count) == (made.words, made.count)
        np.testing.assert_array_equal(again.pmi(WORDS), made.pmi(WORDS))


def test_what_is_damaged_is_said(tmp_path: Path) -> None:
    path = tmp_path / "passages.safetensors"
    Cooccurrence.count_texts(PASSAGES).save(path)
    whole, content = path.read_bytes(), load_file(path)
    for damaged in (
        {name: value for name, value in content.items() if name != "count"},
        content | {"count": np.array([2])},
        content | {"starts": content["starts"][:-1]},
        content | {"starts": content["starts"][::-1].copy()},
        content | {"words": content["words"][:9]},
        content | {"words": content["words"] | 128},
        content | {"words": content["words"][:0]},
        content | {"words": np.frombuffer(b"\n".join([b"same"] * 12), np.uint8)},
        content | {"passages": content["passages"] - 1},
        content | {"passages": content["passages"][::-1].copy()},
        content | {"passages": content["passages"].astype(np.float32)},
        content | {"starts": content["starts"].astype(np.float64)},
        content | {"count": np.array([-1])},
        content | {"count": np.array([1 << 40])},
        content | {"count": np.array([np.inf])},
        content | {"count": np.array([[6, 6]])},
        {
            "words": np.zeros(0, np.uint8),
            "starts": np.zeros(1, int),
            "passages": np.zeros(0, int),
            "count": np.array([-1]),
        },
    ):
        save_file(damaged, path)
        with pytest.raises(InputError, match=r"passages\.safetensors: not the words of passages .*; fetch it again"):
            Cooccurrence.load(path, "fetch it again")
    path.write_bytes(whole[:-7])
    with pytest.raises(InputError, match=r"not the words of passages"):
        Cooccurrence.load(path, "fetch it again")
