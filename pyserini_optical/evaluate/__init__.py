"""How good is a run, and is it better than another: measures equal to trec_eval's, significance, tables, a report."""

from __future__ import annotations

from pyserini_optical.evaluate.comparison import Comparison, Inference, compare
from pyserini_optical.evaluate.context import Context, best_and_worst, read_passages, relevant_passages, shown_passages
from pyserini_optical.evaluate.matching import SentencePair, TokenMatch, align, token_matches, word_matches
from pyserini_optical.evaluate.measures import DEFAULT_MEASURES, Scores, evaluate, parse_measure
from pyserini_optical.evaluate.pooling import pool
from pyserini_optical.evaluate.report import to_csv, to_json, write_report
from pyserini_optical.evaluate.significance import Contrast, contrast_runs
from pyserini_optical.evaluate.tables import to_latex, to_markdown, to_terminal

__all__ = [
    "DEFAULT_MEASURES",
    "Comparison",
    "Context",
    "Contrast",
    "Inference",
    "Scores",
    "SentencePair",
    "TokenMatch",
    "align",
    "best_and_worst",
    "compare",
    "contrast_runs",
    "evaluate",
    "parse_measure",
    "pool",
    "read_passages",
    "relevant_passages",
    "shown_passages",
    "to_csv",
    "to_json",
    "to_latex",
    "to_markdown",
    "to_terminal",
    "token_matches",
    "word_matches",
    "write_report",
]
