from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pyserini_optical.data import Manifest, Pair
from pyserini_optical.models.teacher import TeacherVectors, piece_idf
from pyserini_optical.models.transformer import load_transformer
from pyserini_optical.objectives import Marginals

CPU = torch.device("cpu")
ROWS = [5, 0, 41, 5]
Opened = Callable[..., TeacherVectors]


pytestmark = pytest.mark.usefixtures("in_float32")


@pytest.fixture
def sentences(toy_pairs: list[Pair]) -> list[str]:
    """Of different lengths, more than one batch, one of them empty for the tokeniser."""
    return [pair.english for pair in toy_pairs[:90]] + ["the river", "the " * 100, "\u200b"]


@pytest.fixture
def opened(tiny: Path, sentences: list[str]) -> Opened:
    def make(**options: Any) -> TeacherVectors:
        return TeacherVectors(load_transformer(str(tiny), "cpu"), options.pop("sentences", sentences), **options)

    return make


@pytest.fixture
def cached(opened: Opened, tmp_path: Path) -> Opened:
    def make(**options: Any) -> TeacherVectors:
        return opened(**{"cache": tmp_path / "cache", "fingerprint": "a", **options})

    return make


def same(first: TeacherVectors, second: TeacherVectors, rows: list[int], tolerance: float) -> None:
    one, other = first.rows(rows, CPU), second.rows(rows, CPU)
    assert torch.equal(one.mask, other.mask)
    torch.testing.assert_close(one.masses, other.masses, atol=1e-5, rtol=0)
    torch.testing.assert_close(one.pooled, other.pooled, atol=1e-5, rtol=0)
    torch.testing.assert_close(one.tokens[one.mask], other.tokens[one.mask], atol=tolerance, rtol=1e-3)


def test_the_cache_equals_the_live_teacher(opened: Opened, cached: Opened, sentences: list[str]) -> None:
    live, kept = opened(), cached()
    for start in range(0, len(sentences), 16):
        same(live, kept, list(range(start, min(start + 16, len(sentences)))), 5e-3)
    same(live, kept, ROWS, 5e-3)
    found = kept.rows(ROWS, CPU)
    assert found.pooled is not None
    assert found.tokens.dtype == found.pooled.dtype == torch.float32
    assert (found.tokens[~found.mask & (torch.arange(found.mask.shape[1]) > 20)] == 0).all()
    assert not found.tokens.requires_grad


def test_a_finished_cache_is_used_without_the_teacher(cached: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    first = cached()
    monkeypatch.setattr(TeacherVectors, "_run", lambda *_: pytest.fail("the teacher ran"))
    second = cached(advance=done.append)
    same(first, second, ROWS, 0)
    assert done == []


def test_filling_says_how_far_it_is(cached: Opened, sentences: list[str]) -> None:
    done: list[int] = []
    cached(advance=done.append)
    assert sum(done) == len(sentences)
    assert len(done) > 1


@pytest.mark.parametrize("other", ["fingerprint", "sentences", "special_tokens", "marginals", "max_length"])
def test_a_cache_of_something_else_is_not_used(
    cached: Opened, opened: Opened, sentences: list[str], tiny: Path, other: str
) -> None:
    cached()
    tokenizer = load_transformer(str(tiny), "cpu").tokenizer
    choices: dict[str, dict[str, Any]] = {
        "fingerprint": {"fingerprint": "b"},
        "sentences": {"sentences": sentences[::-1]},
        "special_tokens": {"marginals": Marginals.of(tokenizer, special_tokens=True)},
        "marginals": {"marginals": Marginals.of(tokenizer, by="norm")},
        "max_length": {"max_length": 4},
    }
    options = choices[other]
    done: list[int] = []
    second = cached(**options, advance=done.append)
    assert sum(done) == len(sentences)
    same(opened(**{key: value for key, value in options.items() if key != "fingerprint"}), second, ROWS, 5e-3)


@pytest.mark.parametrize(
    "file", ["offsets.npy", "tokens.npy", "masks.npy", "masses.npy", "pooled.npy", "manifest.json"]
)
@pytest.mark.parametrize("harm", ["cut", "gone", "noise", "empty"])
def test_a_damaged_or_half_filled_cache_is_filled_anew(
    cached: Opened, opened: Opened, sentences: list[str], tmp_path: Path, file: str, harm: str
) -> None:
    cached()
    path = tmp_path / "cache" / file
    content = path.read_bytes()
    path.unlink()
    if harm != "gone":
        path.write_bytes({"cut": content[: len(content) // 2], "noise": b"\x80\x04noise", "empty": b""}[harm])
    done: list[int] = []
    second = cached(advance=done.append)
    assert sum(done) == len(sentences)
    same(opened(), second, ROWS, 5e-3)


def test_what_a_killed_process_left_is_removed(cached: Opened, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / ".tokens.npy.abc.npy").write_bytes(b"half")
    cached()
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json", "masks.npy", "masses.npy", "offsets.npy", "pooled.npy", "tokens.npy"
    ]  # fmt: skip


def test_pickles_in_the_cache_are_not_loaded(cached: Opened, tmp_path: Path) -> None:
    import numpy as np

    cached()
    np.save(tmp_path / "cache" / "pooled.npy", np.array([{"an": "object"}], dtype=object), allow_pickle=True)
    done: list[int] = []
    cached(advance=done.append)
    assert done


def test_above_the_limit_the_teacher_runs_live(cached: Opened, opened: Opened, tmp_path: Path) -> None:
    vectors = cached(limit=1000)
    assert not (tmp_path / "cache").exists()
    same(opened(), vectors, ROWS, 1e-5)
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    cached()
    size = sum(file.stat().st_size for file in (tmp_path / "cache").glob("*.npy"))
    shutil.rmtree(tmp_path / "cache")
    cached(limit=size - 2000)
    assert not (tmp_path / "cache").exists()
    cached(limit=size)
    assert (tmp_path / "cache").exists()


def test_a_length_beyond_the_teachers_own_is_cut(opened: Opened) -> None:
    assert opened(max_length=1000).rows([91], CPU).mask.shape[1] == 64
    assert opened(max_length=9).rows([91], CPU).mask.shape[1] == 9


def test_special_tokens_take_part_only_if_asked(opened: Opened, tiny: Path) -> None:
    tokenizer = load_transformer(str(tiny), "cpu").tokenizer
    without, with_special = (
        opened(marginals=Marginals.of(tokenizer, special_tokens=special)).rows([0], CPU) for special in (False, True)
    )
    assert with_special.mask.sum() - without.mask.sum() == 2
    assert (with_special.masses > 0).sum() - (without.masses > 0).sum() == 2


def test_rare_pieces_weigh_more_by_idf(opened: Opened, cached: Opened, sentences: list[str], tiny: Path) -> None:
    model = load_transformer(str(tiny), "cpu")
    idf = piece_idf(model, sentences, 64)
    marginals = Marginals.of(model.tokenizer, by="idf", idf=idf)
    live, kept = opened(marginals=marginals), cached(marginals=marginals)
    same(live, kept, ROWS, 5e-3)
    found = kept.rows([0], CPU)
    pieces = model.tokenizer(sentences[0])["input_ids"]
    the = [number for number, piece in enumerate(pieces) if piece == model.tokenizer.convert_tokens_to_ids("the")]
    others = [number for number in range(1, len(pieces) - 1) if number not in the]
    assert the
    assert found.masses[0, the].max() < found.masses[0, others].min()


def test_a_sentence_without_pieces_has_no_tokens(opened: Opened, cached: Opened) -> None:
    for vectors in (opened(), cached()):
        found = vectors.rows([92, 0], CPU)
        assert not found.mask[0].any()
        assert found.pooled is not None
        assert torch.isfinite(found.pooled).all()


def test_a_cache_needs_a_fingerprint(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        opened(cache=tmp_path / "cache")


def test_the_manifest_says_what_it_is(cached: Opened, tmp_path: Path) -> None:
    cached()
    manifest = Manifest.load(tmp_path / "cache" / "manifest.json")
    assert manifest.step == "teacher vectors"
    assert manifest.inputs["teacher"] == "a"


def test_a_prompt_of_queries_is_read_in_training_too(tiny: Path, toy_pairs: list[Pair], tmp_path: Path) -> None:
    model = load_transformer(str(tiny), "cpu")
    sentences = [pair.english for pair in toy_pairs[:40]]
    plain = model.encode_query(sentences, convert_to_tensor=True)
    model.prompts = {"query": "the red river ", "document": ""}
    found = TeacherVectors(model, sentences).rows([*range(40)], CPU).pooled
    assert found is not None
    torch.testing.assert_close(found, model.encode_query(sentences, convert_to_tensor=True).cpu(), atol=1e-5, rtol=0)
    assert not torch.allclose(found, plain.cpu(), atol=1e-2)
