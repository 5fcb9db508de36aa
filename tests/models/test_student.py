from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

from pyserini_optical.data import Pair
from pyserini_optical.errors import RecipeError
from pyserini_optical.models.student import extend_student
from pyserini_optical.models.transformer import load_transformer, save_transformer


def embeddings(model: SentenceTransformer) -> NDArray[np.float32]:
    return np.asarray(model[0].auto_model.get_input_embeddings().weight.detach().numpy().copy())


def counts(model: SentenceTransformer, pairs: list[Pair]) -> Counter[int]:
    ids = model.tokenizer([pair.foreign for pair in pairs], add_special_tokens=False)["input_ids"]
    return Counter(number for sentence in ids for number in sentence)


def piece_mean(teacher: SentenceTransformer, piece: str) -> NDArray[np.float32]:
    ids = teacher.tokenizer(piece.removeprefix("##"), add_special_tokens=False)["input_ids"]
    known = [number for number in ids if number != teacher.tokenizer.unk_token_id]
    old = embeddings(teacher)
    return np.asarray(old[known].mean(axis=0) if known else old.mean(axis=0))


@pytest.fixture(scope="module")
def pairs(toy_pairs: list[Pair]) -> list[Pair]:
    """With letters that are seen once, and one that the teacher does not know."""
    return [*toy_pairs, Pair("za ɗuwatu xq mto", "the river")]


@pytest.fixture(scope="module")
def teacher(tiny: Path) -> SentenceTransformer:
    return load_transformer(str(tiny))


@pytest.fixture(scope="module")
def by_table(tiny: Path, pairs: list[Pair]) -> SentenceTransformer:
    student = load_transformer(str(tiny))
    extend_student(student, pairs, vocabulary=300)
    return student


@pytest.fixture(scope="module")
def by_pieces(tiny: Path, pairs: list[Pair]) -> SentenceTransformer:
    student = load_transformer(str(tiny))
    extend_student(student, pairs, vocabulary=300, start="pieces")
    return student


def test_started_from_pieces_only_new_ones_differ_from_the_teacher(
    by_pieces: SentenceTransformer, teacher: SentenceTransformer
) -> None:
    old, new = embeddings(teacher), embeddings(by_pieces)
    known = teacher.tokenizer.get_vocab()
    assert np.array_equal(new[: len(old)], old)
    added = {piece: number for piece, number in by_pieces.tokenizer.get_vocab().items() if piece not in known}
    assert len(added) > 20
    assert len(new) == len(old) + len(added)
    for piece, number in added.items():
        np.testing.assert_allclose(new[number], piece_mean(teacher, piece), atol=1e-6)


def test_started_from_the_table_words_lie_at_their_translations(
    by_table: SentenceTransformer, teacher: SentenceTransformer
) -> None:
    old, new = embeddings(teacher), embeddings(by_table)
    words = {"mto": "river", "nyumba": "house", "soko": "market", "mpya": "new", "leo": "today", "mkulima": "farmer"}
    for foreign, english in words.items():
        f, e = by_table.tokenizer.get_vocab()[foreign], teacher.tokenizer.get_vocab()[english]
        cosine = old @ new[f] / np.linalg.norm(old, axis=1).clip(1e-9) / np.linalg.norm(new[f])
        assert cosine.argmax() == e, foreign
        assert cosine[e] > 0.95


def test_started_from_the_table_norms_are_the_usual_one(
    by_table: SentenceTransformer, teacher: SentenceTransformer, pairs: list[Pair]
) -> None:
    english = teacher.tokenizer([pair.english for pair in pairs], add_special_tokens=False)["input_ids"]
    used = sorted({number for sentence in english for number in sentence})
    usual = np.linalg.norm(embeddings(teacher)[used], axis=1).mean()
    often = [number for number, count in counts(by_table, pairs).items() if count >= 2]
    assert len(often) > 20
    np.testing.assert_allclose(np.linalg.norm(embeddings(by_table)[often], axis=1), usual, rtol=1e-5)


def test_pieces_seen_once_start_from_pieces(
    by_table: SentenceTransformer, teacher: SentenceTransformer, pairs: list[Pair]
) -> None:
    names = {number: piece for piece, number in by_table.tokenizer.get_vocab().items()}
    size = len(teacher.tokenizer)
    once = [number for number, count in counts(by_table, pairs).items() if count == 1 and number >= size]
    assert once
    for number in once:
        np.testing.assert_allclose(embeddings(by_table)[number], piece_mean(teacher, names[number]), atol=1e-6)
    never = set(range(size)) - set(counts(by_table, pairs))
    assert np.array_equal(embeddings(by_table)[sorted(never)], embeddings(teacher)[sorted(never)])


def test_the_same_bitext_gives_the_same_student(by_table: SentenceTransformer, tiny: Path, pairs: list[Pair]) -> None:
    again = load_transformer(str(tiny))
    extend_student(again, pairs, vocabulary=300)
    assert again.tokenizer.get_vocab() == by_table.tokenizer.get_vocab()
    assert np.array_equal(embeddings(again), embeddings(by_table))


def test_the_teacher_and_the_rest_of_the_network_are_untouched(
    by_table: SentenceTransformer, teacher: SentenceTransformer, tiny: Path
) -> None:
    fresh = load_transformer(str(tiny)).state_dict()
    assert all(torch.equal(weight, fresh[name]) for name, weight in teacher.state_dict().items())
    changed = [name for name, weight in by_table.state_dict().items() if not torch.equal(weight, fresh[name])]
    assert [name.rsplit(".", 2)[-2] for name in changed] == ["word_embeddings"]


def test_rows_that_no_piece_of_the_teacher_uses_are_started_too(tiny: Path, pairs: list[Pair]) -> None:
    student = load_transformer(str(tiny))
    size = len(student.tokenizer)
    student[0].auto_model.resize_token_embeddings(size + 8, mean_resizing=False)  # as some models pad theirs
    with torch.no_grad():
        student[0].auto_model.get_input_embeddings().weight[size:] = 1e6
    extend_student(student, pairs, vocabulary=300)
    assert np.abs(embeddings(student)).max() < 1e3


def test_an_english_side_without_pieces_does_no_harm(tiny: Path, toy_pairs: list[Pair]) -> None:
    student = load_transformer(str(tiny))
    extend_student(student, [*toy_pairs[:20], Pair("mto", "\u200b")], vocabulary=100)
    assert np.isfinite(embeddings(student)).all()


def test_a_tokeniser_of_another_kind_is_refused(tiny: Path, toy_pairs: list[Pair]) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    student = load_transformer(str(tiny))
    bpe = Tokenizer(models.BPE(unk_token="[UNK]"))
    student[0].processor = PreTrainedTokenizerFast(tokenizer_object=bpe)  # type: ignore[no-untyped-call]
    with pytest.raises(RecipeError, match="WordPiece"):
        extend_student(student, toy_pairs, vocabulary=100)


def test_stock_transformers_gives_the_same_vectors(minilm: str, tmp_path: Path) -> None:
    """A saved student in AutoModel and AutoTokenizer with mean pooling, as stock Pyserini loads it."""
    texts = ["किताबें पढ़ना अच्छा है।", "ɗan ƙasa", "The old café"]
    student = load_transformer(minilm, "cpu")
    extend_student(student, [Pair(text, "reading books is good") for text in texts] * 3, vocabulary=200)
    save_transformer(student, tmp_path)
    assert (
        '"PreTrainedTokenizerFast"' in (tmp_path / "tokenizer_config.json").read_text()
    )  # known to transformers 4 too
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "config.json").stat().st_mode

    tokenizer, model = AutoTokenizer.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path)
    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        tokens = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"][..., None]
    pooled = torch.nn.functional.normalize((tokens * mask).sum(dim=1) / mask.sum(dim=1), dim=-1)
    ours = load_transformer(str(tmp_path), "cpu").encode(texts, normalize_embeddings=True)
    np.testing.assert_allclose(pooled.numpy(), ours, atol=1e-5)
    np.testing.assert_allclose(pooled.numpy(), student.encode(texts, normalize_embeddings=True), atol=1e-5)
