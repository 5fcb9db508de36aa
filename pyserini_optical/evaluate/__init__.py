"""How good is a run, and is it better than another: measures equal to trec_eval's, significance, tables."""

from __future__ import annotations

from pyserini_optical.evaluate.comparison import Comparison, compare
from pyserini_optical.evaluate.measures import DEFAULT_MEASURES, Scores, evaluate, parse_measure
from pyserini_optical.evaluate.significance import Contrast, contrast_runs
from pyserini_optical.evaluate.tables import to_json, to_latex, to_markdown, to_terminal, write_report

__all__ = [
    "DEFAULT_MEASURES",
    "Comparison",
    "Contrast",
    "Scores",
    "compare",
    "contrast_runs",
    "evaluate",
    "parse_measure",
    "to_json",
    "to_latex",
    "to_markdown",
    "to_terminal",
    "write_report",
]
