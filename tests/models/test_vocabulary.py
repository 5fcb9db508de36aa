from __future__ import annotations

import random
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers import models as tokenizer_models
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from pyserini_optical.errors import RecipeError
from pyserini_optical.models import resolve_model
from pyserini_optical.models.vocabulary import extend_tokenizer, learn_pieces

SCRIPTS = {
    "hi": ["किताबें पढ़ना अच्छा है।", "वह हिन्दी में लिखती है।", "बच्चे नदी के किनारे खेलते हैं।"],
    "ar": ["كِتَابٌ عَرَبِيٌّ قَدِيمٌ", "أُمّي وإخوتي في المدينة", "قرأ الطلاب آية من القرآن"],
    "ha": ["ɗan ƙasa ya ga ɓera", "ƴaƴan ƙauye suna ɗaukar ƙasa", "Ɓangaren Ƙasar Haɗin kai"],
    "th": ["ภาษาไทยไม่มีช่องว่างระหว่างคำ", "น้ำท่วมหมู่บ้านริมแม่น้ำเมื่อวานนี้", "เด็กๆเล่นน้ำ"],
    "ko": ["한국어를 배우는 학생", "강가의 오래된 집"],
}
ENGLISH = [
    "The old café in Zürich sold naïve paintings; 3.5% of them, in 1999, to visitors from São Paulo!",
    "Unbelievably, the researchers' antidisestablishmentarianism wasn't re-examined (see e.g. Smith-Jones).",
    "WHO said that the vaccine's side-effects were mild. https://example.org/a?b=c",
]


@pytest.fixture(scope="module")
def teacher(minilm: str) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(resolve_model(minilm))
    return tokenizer


def extended(teacher: PreTrainedTokenizerBase, texts: list[str], size: int = 400) -> PreTrainedTokenizerFast:
    return extend_tokenizer(teacher, learn_pieces(texts * 3, teacher, size=size))


def letters(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    return "".join(piece.removeprefix("##") for piece in tokenizer.tokenize(text))


def written(text: str) -> str:
    """What the student should see: lower case, composed, white space apart."""
    return unicodedata.normalize("NFC", text.lower()).replace(" ", "")


@pytest.mark.parametrize("language", SCRIPTS)
def test_every_letter_and_mark_survives(teacher: PreTrainedTokenizerBase, language: str) -> None:
    tokenizer = extended(teacher, SCRIPTS[language])
    for text in SCRIPTS[language]:
        assert letters(tokenizer, text) == written(text)
        assert len(tokenizer.tokenize(text)) < len(written(text))


@pytest.mark.parametrize("language", ["hi", "ar"])
def test_the_teacher_alone_loses_them(teacher: PreTrainedTokenizerBase, language: str) -> None:
    assert all(letters(teacher, text) != written(text) for text in SCRIPTS[language])


def test_a_long_word_without_spaces_is_not_unknown(teacher: PreTrainedTokenizerBase) -> None:
    clause = "".join(SCRIPTS["th"]).replace(" ", "") * 4
    assert len(clause) > 250
    assert teacher.tokenize(clause) == ["[UNK]"]
    assert letters(extended(teacher, SCRIPTS["th"]), clause) == written(clause)


@pytest.mark.parametrize(
    "text", ["El niño comió café en Malmö", "Đà Nẵng, thành phố biển", "İstanbul'da güneş", "e\u0301te\u0301"]
)
def test_latin_letters_lose_their_accents_as_with_the_teacher(teacher: PreTrainedTokenizerBase, text: str) -> None:
    tokenizer = extended(teacher, SCRIPTS["hi"])
    assert tokenizer.tokenize(text) == teacher.tokenize(text)


def test_english_keeps_its_pieces_beside_another_script(teacher: PreTrainedTokenizerBase) -> None:
    tokenizer = extended(teacher, SCRIPTS["hi"])
    assert tokenizer(ENGLISH)["input_ids"] == teacher(ENGLISH)["input_ids"]


def test_english_keeps_its_pieces_where_no_learnt_one_is_longer(teacher: PreTrainedTokenizerBase) -> None:
    swahili = ["wanafunzi walikwenda shuleni kusoma vitabu", "mkulima alipanda mahindi shambani karibu na mto"]
    tokenizer = extended(teacher, swahili)
    for word in " ".join([*ENGLISH, "book shuttle mahogany"]).split():
        if all(number < len(teacher) for number in tokenizer(word)["input_ids"]):
            assert tokenizer.tokenize(word) == teacher.tokenize(word)
    assert len(tokenizer.tokenize("wanafunzi")) < len(teacher.tokenize("wanafunzi"))


def test_the_teachers_ids_stay_and_new_ones_follow(teacher: PreTrainedTokenizerBase) -> None:
    before, after = teacher.get_vocab(), extended(teacher, SCRIPTS["hi"]).get_vocab()
    assert before.items() <= after.items()
    assert sorted(after.values()) == list(range(len(after)))
    assert len(after) > len(before)


def test_what_a_tokeniser_is_used_with_stays(teacher: PreTrainedTokenizerBase, minilm: str) -> None:
    other = AutoTokenizer.from_pretrained(resolve_model(minilm))
    other.model_max_length = 77
    other.model_input_names = ["input_ids", "attention_mask"]  # as of MPNet and DistilBERT
    tokenizer = extended(other, SCRIPTS["ha"])
    assert tokenizer.model_max_length == 77
    assert set(tokenizer("habari")) == {"input_ids", "attention_mask"}
    assert tokenizer.special_tokens_map == other.special_tokens_map
    assert tokenizer.all_special_ids == other.all_special_ids


def test_markers_stay_special(minilm: str, tmp_path: Path) -> None:
    other = AutoTokenizer.from_pretrained(resolve_model(minilm))
    other.add_special_tokens({"additional_special_tokens": ["[unused0]", "[unused1]"]})
    tokenizer = extended(other, SCRIPTS["ha"])
    tokenizer.save_pretrained(str(tmp_path))
    for made in (tokenizer, AutoTokenizer.from_pretrained(str(tmp_path))):
        assert made.all_special_ids == other.all_special_ids
        assert len(made) == len(tokenizer)


@pytest.mark.parametrize("language", SCRIPTS)
def test_saved_and_loaded_it_reads_the_same(teacher: PreTrainedTokenizerBase, language: str, tmp_path: Path) -> None:
    tokenizer = extended(teacher, SCRIPTS[language])
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    texts = [*SCRIPTS[language], *ENGLISH]
    assert loaded(texts)["input_ids"] == tokenizer(texts)["input_ids"]
    assert letters(loaded, SCRIPTS[language][0]) == written(SCRIPTS[language][0])


def test_extending_twice_keeps_the_first_extension(teacher: PreTrainedTokenizerBase) -> None:
    twice = extended(extended(teacher, SCRIPTS["hi"]), SCRIPTS["ha"])
    for text in (SCRIPTS["hi"][0], SCRIPTS["ha"][0]):
        assert letters(twice, text) == written(text)


def test_only_wordpiece_can_be_extended() -> None:
    unigram = Tokenizer(tokenizer_models.Unigram([("<unk>", 0.0), ("a", -1.0)], 0, False))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=unigram)  # type: ignore[no-untyped-call]
    with pytest.raises(RecipeError, match="vocabulary: null"):
        learn_pieces(["habari"], tokenizer, size=10)
    with pytest.raises(RecipeError, match="WordPiece"):
        extend_tokenizer(tokenizer, ["habari"])


_SCRIPT = """
import sys
from transformers import AutoTokenizer
from pyserini_optical.models.vocabulary import learn_pieces
texts = open(sys.argv[2], encoding="utf-8").read().splitlines()
sys.stdout.buffer.write("\\n".join(learn_pieces(texts, AutoTokenizer.from_pretrained(sys.argv[1]), size=500)).encode())
"""


def test_the_same_texts_give_the_same_pieces_in_every_process(
    teacher: PreTrainedTokenizerBase, minilm: str, tmp_path: Path
) -> None:
    draw = random.Random(1)
    syllables = [a + b for a in "bcdfghjklmnpqrstvwz" for b in "aeiou"]
    words = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(900)]
    texts = [" ".join(draw.choices(words, k=8)) for _ in range(400)]
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(texts), encoding="utf-8")
    here = learn_pieces(texts, teacher, size=500)
    assert len(here) == len(set(here)) == 500
    command = [sys.executable, "-c", _SCRIPT, resolve_model(minilm), str(file)]
    assert subprocess.run(command, capture_output=True, check=True).stdout.decode().splitlines() == here
