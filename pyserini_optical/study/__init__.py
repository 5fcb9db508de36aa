"""A whole experiment from one file: encoders and baselines on one collection, compared; what is done is kept.

A study file names a corpus, qrels, one or more sets of topics (the foreign ones, and their translations, made
elsewhere or here) and runs, each of which searches one set of topics with ``bm25``, with a probabilistic structured
query (``psq``), with a model, or with an encoder distilled from a recipe.
"""

from __future__ import annotations

from pyserini_optical.study.experiment import make_study, run_study
from pyserini_optical.study.making import RunRecord
from pyserini_optical.study.run_settings import Bm25Settings, StudyRun
from pyserini_optical.study.settings import Study, TranslatedCorpus, TranslatedTopics

__all__ = [
    "Bm25Settings",
    "RunRecord",
    "Study",
    "StudyRun",
    "TranslatedCorpus",
    "TranslatedTopics",
    "make_study",
    "run_study",
]
