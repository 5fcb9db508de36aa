"""Reading through glosses: in a language that is English word by word, the student reads what the teacher reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from pyserini_optical.data import Pair
from pyserini_optical.errors import InputError
from pyserini_optical.models import load_encoder
from pyserini_optical.models.affixes import Affixes
from pyserini_optical.models.cooccurrence import Cooccurrence
from pyserini_optical.models.glosses import add_glosses
from pyserini_optical.models.late_interaction import load_late_interaction
from pyserini_optical.models.spelling import Spelling
from pyserini_optical.models.transformer import load_transformer, save_transformer, weights_fingerprint
from pyserini_optical.translation import count_words, load_glosses

TEXT = "Mkulima ANAJENGA (Paris)"
GLOSSED = "farmer builds paris"


@pytest.fixture(scope="module")
def student(tiny: Path, toy_pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = load_transformer(str(tiny), "cpu")
    add_glosses(model, count_words(toy_pairs).entries)
    folder = tmp_path_factory.mktemp("glosses") / "student"
    save_transformer(model, folder)
    return folder


def test_the_table_of_a_word_by_word_language_is_right(toy_pairs: list[Pair]) -> None:
    best = count_words(toy_pairs).best
    assert (best("mkulima"), best("anajenga"), best("mto")) == ("farmer", "builds", "river")


def test_it_reads_what_the_teacher_reads(student: Path, tiny: Path) -> None:
    teacher, encoder = load_encoder(str(tiny)), load_encoder(str(student))
    assert np.array_equal(encoder.encode_queries([TEXT, "?!"]), teacher.encode_queries([GLOSSED, "?!"]))
    for ours, theirs in zip(encoder.query_tokens([TEXT]), teacher.query_tokens([GLOSSED]), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.usefixtures("in_float32")
def test_nobody_reads_it_without_its_glosses(student: Path) -> None:
    with pytest.raises(ValueError, match="GlossTransformer"):
        SentenceTransformer(str(student), device="cpu")
    trusting = SentenceTransformer(str(student), device="cpu", trust_remote_code=True)
    [ours] = load_encoder(str(student)).encode_queries([TEXT])
    assert np.allclose(trusting.encode(TEXT, normalize_embeddings=True), ours, atol=1e-6)


def test_compounds(tiny: Path) -> None:
    model = load_transformer(str(tiny), "cpu")
    glosses = {
        "frühling": "spring",
        "fest": "festival",
        "lings": "x",
        "bank": "bank",
        "noten": "notes",
        "note": "grade",
    }
    entries = {word: {english: 0.5, "other": 0.2} for word, english in glosses.items()}
    add_glosses(model, entries, spelling=Spelling({}, ["bankfest"]))
    for word, read in {
        "frühlingsfest": "spring festival",  # a letter links
        "Banknoten": "bank notes",  # the shorter part as long as can be
        "banknotenfest": "banknotenfest",  # three
        "bankfest": "bankfest",  # a name
        "festen": "festen",  # a part too short
        "fest": "festival",
    }.items():
        assert model[0].gloss(word) == read, word


def test_affixes_come_before_compounds_and_names_before_both(tiny: Path, tmp_path: Path) -> None:
    model = load_transformer(str(tiny), "cpu")
    entries = {"kitabu": {"book": 0.7, "volume": 0.3}, "kale": {"old": 1.0}, "kalek": {"shop": 1.0}}
    affixes = Affixes({("", "ale"): {("", ""): 0.5}, ("wa", ""): {("", ""): 0.4}})
    add_glosses(model, entries, affixes, Spelling({}, ["wakale"]))
    save_transformer(model, tmp_path / "student")
    again = load_glosses(str(tmp_path / "student"))
    assert again.affixes.changes == affixes.changes
    assert again.table.translations("wakitabu") == pytest.approx({"book": 0.7, "volume": 0.3})
    assert again.gloss("kitabukale kalekale WAKITABU wakale") == "book old shop book wakale"
    (tmp_path / "student" / "affixes.tsv").write_text("wa…\t…\t0.5\nwa\tx…\t1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"affixes\.tsv: wa is not a prefix and an ending with … between; fetch or"):
        load_glosses(str(tmp_path / "student"))


def test_the_other_words_say_which_translation_is_meant(tiny: Path, tmp_path: Path) -> None:
    model = load_transformer(str(tiny), "cpu")
    entries = {"banco": {"bench": 0.6, "bank": 0.4}, "dinero": {"money": 1.0}, "gato": {"cat": 1.0}}
    passages = ["money in the bank", "a bank has money", "a cat on the bench", "the old bench", "a cat", "a dog"]
    add_glosses(model, entries, cooccurrence=Cooccurrence.count_texts(passages))
    save_transformer(model, tmp_path / "student")
    student = load_glosses(str(tmp_path / "student"))
    assert [student.gloss(text) for text in ("Banco", "Dinero, banco", "gato banco")] == [
        "bench",
        "money bank",
        "cat bench",
    ]
    query = student.table.query("dinero banco", translations=5, probability=0.05)
    assert query["bank"] > query["bench"] == pytest.approx(1 - query["bank"])
    # Words that stand far away do not count.
    assert student.gloss("banco" + " gato" * 40 + " dinero").split()[0] == "bench"
    assert student.gloss("gato " * 40 + "dinero banco").split()[-2:] == ["money", "bank"]


def test_pieces_stand_where_their_words_do(student: Path) -> None:
    pieces = load_encoder(str(student)).query_pieces(TEXT)
    # The tiny model has no "paris": letters, or an unknown piece, all of the one word.
    assert [(piece.text, TEXT[piece.start : piece.end]) for piece in pieces[:2]] == [
        ("farmer", "Mkulima"),
        ("builds", "ANAJENGA"),
    ]
    assert {TEXT[piece.start : piece.end] for piece in pieces[2:]} == {"Paris"}


@pytest.mark.parametrize("text", ["mto™ mashua", "℃ mashua", "mto ´ mashua", "½ mto ① mashua"])
def test_signs_do_not_shift_the_places(student: Path, text: str) -> None:
    last = load_encoder(str(student)).query_pieces(text)[-1]
    assert (last.text, text[last.start : last.end]) == ("boat", "mashua")


def test_words_without_spaces_between_them_are_read_one_by_one(tiny: Path) -> None:
    pairs = [
        Pair("日本の山は高い。", "The mountains of Japan are high."),
        Pair("日本の川", "Japan's rivers"),
        Pair("この山には川がない。", "This mountain has no rivers."),
        Pair("高い山", "high mountains"),
        Pair("山", "mountain"),
        Pair("川", "rivers"),
        Pair("日本", "Japan"),
    ]
    model = load_transformer(str(tiny), "cpu")
    add_glosses(model, count_words(pairs).entries)
    assert model[0].gloss("川山") == "rivers mountains"  # a word of ICU's, not of the bitext
    first, _, last = model[0].places("日本の川")
    assert (first, last) == (("japan", 0, 2), ("rivers", 3, 4))


def test_it_can_be_saved_for_late_interaction_too(student: Path, tiny: Path, tmp_path: Path) -> None:
    save_transformer(load_late_interaction(str(student), "cpu"), tmp_path / "late")
    [ours] = load_encoder(str(tmp_path / "late")).query_tokens([TEXT])
    [theirs] = load_encoder(str(tiny)).query_tokens([GLOSSED])
    assert np.array_equal(ours, theirs)


def test_glosses_are_part_of_the_model(student: Path, tiny: Path, tmp_path: Path) -> None:
    assert weights_fingerprint(str(student)) != weights_fingerprint(str(tiny))
    copy = tmp_path / "copy"
    save_transformer(load_transformer(str(student), "cpu"), copy)
    assert weights_fingerprint(str(student)) == weights_fingerprint(str(copy))
    (copy / "glosses.tsv").write_text("mto\triver\t1\nanajenga\tbuilds\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"glosses\.tsv:2: expected two words and a prob.*; fetch or distil the model"):
        load_transformer(str(copy), "cpu")
