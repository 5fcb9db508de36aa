"""Query and document translation behind one interface, translation tables of words, and how good translations are."""

from __future__ import annotations

from pyserini_optical.data.words import split_words
from pyserini_optical.translation.counting import TableSettings, count_words, load_glosses, word_table
from pyserini_optical.translation.quality import Quality, translation_quality
from pyserini_optical.translation.translation import TRANSLATORS, load_translator, translate, translate_texts
from pyserini_optical.translation.translator import Translator
from pyserini_optical.translation.word_table import WordTable

__all__ = [
    "TRANSLATORS",
    "Quality",
    "TableSettings",
    "Translator",
    "WordTable",
    "count_words",
    "load_glosses",
    "load_translator",
    "split_words",
    "translate",
    "translate_texts",
    "translation_quality",
    "word_table",
]
