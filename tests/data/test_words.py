from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserini_optical.data.words import split_words, word_places


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("¿Cuántos puntos?", ["cuántos", "puntos"]),
        ("पैंथर्स डिफ़ेंस ने 3 अंक", ["पैंथर्स", "डिफेंस", "ने", "3", "अंक"]),
        ("क्\u200dया", ["क्या"]),
        ("كم نقطة؟", ["كم", "نقطة"]),
        ("Straße_10", ["strasse", "10"]),
        ("?!", []),
        ("", []),
    ],
)
def test_words_are_letters_marks_and_numbers(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ประเทศไทยมีประชากรกี่คน", ["ประเทศไทย", "มี", "ประชากร", "กี่", "คน"]),
        ("日本で一番高い山は何ですか", ["日本", "で", "一番", "高い", "山", "は", "何", "です", "か"]),
        ("ທ່ານຊື່ຫຍັງ", ["ທ່ານ", "ຊື່", "ຫຍັງ"]),
        ("តើប្រទេសកម្ពុជាមានប្រជាជនប៉ុន្មាននាក់", ["តើ", "ប្រទេស", "កម្ពុជា", "មាន", "ប្រជាជន", "ប៉ុន្មាន", "នាក់"]),
        ("မြန်မာနိုင်ငံ၏မြို့တော်", ["မြန်မာနိုင်ငံ", "မြို့တော်"]),
        ("𠀀 iPhone手机2024年，Straße", ["𠀀", "iphone", "手机", "2024", "年", "strasse"]),
        ("จังหวัดลำปาง", ["จังหวัด", "ลำปาง"]),
        ("12億人、㍿日立 5㎏", ["12", "億", "人", "株式会社", "日立", "5kg"]),
        ("Google™ (谷歌)", ["googletm", "谷", "歌"]),
        ("대한민국의 수도", ["대한민국의", "수도"]),
    ],
)
def test_scripts_without_spaces_have_words_too(text: str, words: list[str]) -> None:
    assert split_words(text) == words
    assert [word for word, _, _ in word_places(text)] == words
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert split_words(unicodedata.normalize(form, text)) == words


def test_words_without_spaces_stand_where_they_are_written() -> None:
    text = "𠀀 ﾄﾞｰﾑ、ทำงาน"
    assert [text[start:end] for _, start, end in word_places(text)] == ["𠀀", "ﾄﾞｰﾑ", "ทำงาน"]
    text = unicodedata.normalize("NFKD", text)
    assert [text[start:end] for _, start, end in word_places(text)] == ["𠀀", "ト\u3099ーム", "ทํางาน"]


@given(st.text(st.sampled_from("กำลังทำงานๆ๒ 日本语のカﾞ、။ကြောင့်ຄຳສັ່ງ a1é\u200d𠀀㎏㍿")))
def test_cutting_loses_nothing(text: str) -> None:
    places = word_places(text)
    assert [word for word, _, _ in places] == split_words(text)
    assert split_words(unicodedata.normalize("NFKC", text)) == split_words(unicodedata.normalize("NFD", text))
    spans = sorted({(start, end) for _, start, end in places})
    inside = {place for start, end in spans for place in range(start, end)}
    assert not any(sign.isalnum() for place, sign in enumerate(text) if place not in inside)


@pytest.mark.parametrize(
    ("written", "also"),
    [
        ("\u0643\u064e\u062a\u064e\u0628\u064e", "\u0643\u062a\u0628"),  # kataba, with its vowels and without
        ("\u0623\u0648\u0644", "\u0627\u0648\u0644"),  # alef with hamza over it
        ("\u0625\u0644\u0649", "\u0627\u0644\u064a"),  # and under it; alef maqsura
        ("\u0622\u0633\u064a\u0627", "\u0627\u0633\u064a\u0627"),  # with madda
        ("\u0633\u0640\u0640\u0645", "\u0633\u0645"),  # the lengthening stroke
        ("\u06a9\u06cc", "\u0643\u064a"),  # Persian's keyboard
        ("\u092b\u093c", "\u092b"),  # Devanagari's dot, one letter or two
        ("\u095e", "\u092b"),
        ("\u0939\u0901", "\u0939\u0902"),
        ("\u05e9\u05bc\u05c1\u05b8\u05dc", "\u05e9\u05dc"),
        ("\u0645\u06cc\u200c\u0631\u0648\u0645", "\u0645\u06cc\u0631\u0648\u0645"),
    ],
)
def test_what_writers_leave_out_or_exchange_makes_no_other_word(written: str, also: str) -> None:
    assert len(split_words(written)) == 1
    assert split_words(written) == split_words(also)


@pytest.mark.parametrize(
    ("one", "other"), [("año", "ano"), ("schön", "schon"), ("\u09af\u09bc", "\u09af"), ("ƙ", "k"), ("ẹ", "e")]
)
def test_letters_of_other_sounds_stay_apart(one: str, other: str) -> None:
    assert split_words(one) != split_words(other)


@given(st.text())
def test_words_stay_the_same_words(text: str) -> None:
    words = split_words(text)
    assert all(words)
    again = split_words(" ".join(words))
    # Case folding may undo the composition of a rare letter; what comes out the second time is stable. Where no space
    # stands between words, one that stands alone may be cut more finely.
    assert "".join(split_words(" ".join(again))) == "".join(again)
    assert len(again) >= len(words)
