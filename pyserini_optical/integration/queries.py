r"""Queries as Lucene takes them: a text, or words with weights, as probabilistic structured queries have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from pyserini_optical.integration.modules import java_class, prepare

# A text, or the weight (above zero) of each of its words.
Query: TypeAlias = str | Mapping[str, float]

# Lucene's limit on the clauses of a query.
_MOST_TERMS = 1024


class QueryBuilder:
    r"""Turns queries into what Anserini's searcher takes; a text stays as it is.

    A query of words w with weights scores a passage d by

    .. math::
        \sum_w \mathrm{weight}(w) \sum_{t \in \mathrm{analyzed}(w)} \mathrm{BM25}(t, d)

    which for weights of one is what the words as a text score. If there are over 1,024 terms, Lucene's limit, the
    heaviest count.

    Parameters
    ----------
    analyzer : Java ``Analyzer``
        The one that the passages were analysed with.
    """

    def __init__(self, analyzer: Any) -> None:
        self._analyzer = analyzer
        self._known: dict[str, list[str]] = {}

    def __call__(self, query: Query) -> Any:
        """Give a text back, or the Lucene query of weighted words; of a text with too many terms too."""
        if isinstance(query, str) and len(query) <= _MOST_TERMS:
            return query
        total: dict[str, float] = {}
        for word, weight in {query: 1.0}.items() if isinstance(query, str) else query.items():
            for term in self._terms(word):
                total[term] = total.get(term, 0.0) + weight
        if isinstance(query, str) and len(total) <= _MOST_TERMS:
            return query
        prepare()
        from pyserini.search.lucene import querybuilder

        builder = querybuilder.get_boolean_query_builder()
        should = querybuilder.JBooleanClauseOccur["should"].value
        for term in sorted(total, key=lambda term: (-total[term], term))[:_MOST_TERMS]:
            # Not `get_term_query`: it would analyse the term once more.
            found = querybuilder.JTermQuery(querybuilder.JTerm("contents", term))
            builder.add(querybuilder.get_boost_query(found, total[term]), should)
        return builder.build()

    def _terms(self, word: str) -> list[str]:
        """Give the terms that the analyzer makes of a word; none of a stop word."""
        if word not in self._known:
            found = java_class("io.anserini.analysis.AnalyzerUtils").analyze(self._analyzer, word)
            self._known[word] = [str(term) for term in found.toArray()]
        return self._known[word]
