"""In which script a language is written, and whether a text is."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# As Unicode's names of letters begin, with codes of ISO 639-1, and of ISO 639-3 for languages without one. A language
# that is not here is taken to be written in Latin letters.
_SCRIPTS = {
    "ARABIC": "ar arz ckb fa ks ps sd ug ur",
    "DEVANAGARI": "awa bho hi hne kok mag mai mr ne sa",
    "CYRILLIC": "ba be bg kk ky mk mn ru sr tg tt uk",
    "BENGALI": "as bn mni",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "ORIYA": "or",
    "SINHALA": "si",
    "THAI": "th",
    "LAO": "lo",
    "KHMER": "km",
    "MYANMAR": "my shn",
    "TIBETAN": "bo dz",
    "ETHIOPIC": "am ti",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
    "GREEK": "el",
    "HEBREW": "he yi",
    "OL": "sat",
    "TIFINAGH": "ber taq zgh",
    "HANGUL": "ko",
    "CJK": "zh yue",
    "HIRAGANA KATAKANA CJK": "ja",
}
_OF_LANGUAGE = {code: scripts.split() for scripts, codes in _SCRIPTS.items() for code in codes.split()}


def in_script(text: str, language: str) -> bool:
    """Tell whether half of a text's letters or more are of its language's script.

    Not all: names from elsewhere keep their letters. A text without letters is in no script.

    Parameters
    ----------
    text : str
        The text.
    language : str
        Code of ISO 639-1, or of ISO 639-3 where there is none (``ckb``), perhaps with a region (``zh-TW``).
    """
    scripts = _OF_LANGUAGE.get(language.replace("_", "-").split("-")[0].lower(), ["LATIN"])
    # Vowel signs are marks to Unicode.
    letters = [_script(each) for each in unicodedata.normalize("NFC", text) if unicodedata.category(each)[0] in "LM"]
    return bool(letters) and 2 * sum(script in scripts for script in letters) >= len(letters)


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]
