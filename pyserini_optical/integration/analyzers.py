"""Which Lucene analyzer reads passages and queries: the one Anserini takes for a language, or another on request.

Anserini has an analyzer of its own for some thirty languages, takes ``WhitespaceAnalyzer`` (no lower case, punctuation
stays on the words) for Hausa, Somali, Swahili and Yoruba, and for any other code silently the English one with Porter's
stemmer. For languages that it serves badly there are

- ``standard``: Unicode's word boundaries and lower case, without stemming and stop words;
- ``huggingface:TOKENIZER``: the pieces of a tokeniser (path of a ``tokenizer.json``, or hub name).
"""

from __future__ import annotations

from typing import Any

from pyserini_optical.errors import InputError
from pyserini_optical.integration.modules import java_class

STANDARD = "standard"
_HUGGING_FACE = "huggingface:"
_WHITESPACE_LANGUAGES = ("ha", "so", "sw", "yo")


def check_analyzer(analyzer: str) -> str:
    """Give the name of an analyzer back, if it is one; empty means the one of the language.

    Raises
    ------
    InputError
        It is not.
    """
    if analyzer in ("", STANDARD) or analyzer.removeprefix(_HUGGING_FACE) not in ("", analyzer):
        return analyzer
    remedy = f"take {STANDARD}, {_HUGGING_FACE}TOKENIZER, or none for the language's own"
    raise InputError(f"unknown analyzer {analyzer!r}", remedy=remedy)


def analyzer_for(language: str) -> str:
    """Name the analyzer that Anserini takes for a two-letter language code; starts the JVM.

    Parameters
    ----------
    language : str
        ISO 639-1 code such as ``sw``, in lower case.

    Returns
    -------
    str
        Simple name of the Java class, such as ``SpanishAnalyzer``; ``DefaultEnglishAnalyzer`` (Porter's stemmer) where
        Anserini does not know the code.
    """
    known = java_class("io.anserini.analysis.AnalyzerMap").analyzerMap.get(language)
    if known:
        return str(known).rpartition(".")[2]
    return "WhitespaceAnalyzer" if language in _WHITESPACE_LANGUAGES else "DefaultEnglishAnalyzer"


def index_options(language: str, analyzer: str) -> list[str]:
    """Give the options of ``IndexCollection`` for an analyzer as :func:`check_analyzer` knows it."""
    if analyzer == STANDARD:
        return ["-language", "en", "-stemmer", "none", "-keepStopwords"]
    if analyzer:
        return ["-analyzeWithHuggingFaceTokenizer", analyzer.removeprefix(_HUGGING_FACE)]
    return ["-language", language]


def set_analyzer(searcher: Any, language: str, analyzer: str) -> None:
    """Let a searcher analyse queries as :func:`index_options` had the passages analysed."""
    if analyzer == STANDARD:
        empty = java_class("org.apache.lucene.analysis.CharArraySet").EMPTY_SET
        english = java_class("io.anserini.analysis.DefaultEnglishAnalyzer")
        searcher.set_analyzer(english.newNonStemmingInstance(empty))
    elif analyzer:
        pieces = java_class("io.anserini.analysis.HuggingFaceTokenizerAnalyzer")
        searcher.set_analyzer(pieces(analyzer.removeprefix(_HUGGING_FACE)))
    else:
        # A code that it does not know leaves the analyzer as it is, here the English one.
        searcher.set_language(language)


def analyzer_name(searcher: Any, analyzer: str) -> str:
    """Name the analyzer that a searcher has: its class, and what was asked for besides the language."""
    name = str(searcher.get_analyzer().getClass().getName()).rpartition(".")[2]
    return f"{name} ({analyzer})" if analyzer else name
