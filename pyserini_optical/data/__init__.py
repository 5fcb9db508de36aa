"""Bitext, corpora, topics, qrels and runs: read, checked and written, without torch and without the JVM."""

from __future__ import annotations

from pyserini_optical.data.bitext import (
    FilterReport,
    Pair,
    filter_bitext,
    fingerprint_bitext,
    read_bitext,
    read_moses,
)
from pyserini_optical.data.corpora import Passage, read_corpus
from pyserini_optical.data.files import Pathish, check_output, read_lines, write_beside, write_text
from pyserini_optical.data.locks import one_process, only_process, waiting
from pyserini_optical.data.manifest import Manifest, fingerprint, fingerprint_files, fingerprint_texts, versions
from pyserini_optical.data.topics import read_topics, write_topics
from pyserini_optical.data.trec import order_hits, read_qrels, read_run, write_run

__all__ = [
    "FilterReport",
    "Manifest",
    "Pair",
    "Passage",
    "Pathish",
    "check_output",
    "filter_bitext",
    "fingerprint",
    "fingerprint_bitext",
    "fingerprint_files",
    "fingerprint_texts",
    "one_process",
    "only_process",
    "order_hits",
    "read_bitext",
    "read_corpus",
    "read_lines",
    "read_moses",
    "read_qrels",
    "read_run",
    "read_topics",
    "versions",
    "waiting",
    "write_beside",
    "write_run",
    "write_text",
    "write_topics",
]
