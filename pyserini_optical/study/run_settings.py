"""What a study file says of one run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pyserini_optical.errors import RecipeError
from pyserini_optical.retrieve.fusion import METHODS, Norm
from pyserini_optical.translation import TableSettings


@dataclass(frozen=True)
class Bm25Settings:
    """How BM25 searches.

    Attributes
    ----------
    k1, b : float
        How fast a term's frequency saturates, and how much a passage's length counts; Pyserini's defaults.
    analyzer : str
        Instead of the one that Anserini takes for the language: ``standard`` or ``huggingface:TOKENIZER``
        (see :mod:`pyserini_optical.integration.analyzers`).
    """

    k1: float = 0.9
    b: float = 0.4
    analyzer: str = ""

    def __post_init__(self) -> None:
        from pyserini_optical.integration.analyzers import check_analyzer

        if self.k1 < 0 or not 0 <= self.b <= 1:
            raise RecipeError(f"k1 must be at least 0 and b from 0 to 1, got {self.k1:g} and {self.b:g}")
        check_analyzer(self.analyzer)


@dataclass(frozen=True)
class StudyRun:
    """One run of a study.

    Attributes
    ----------
    topics : str
        Which set of topics.
    search : str
        ``bm25``, ``psq``, ``rerank``, ``fuse``, ``hybrid``, ``run``, a model (path, hub name, ``package:…``), or a
        recipe (``.yaml``), which is distilled first. What was made for late interaction searches by exact MaxSim over
        a token store.
    set : list of str
        Settings over the recipe.
    corpus : str
        Which of the study's ``corpora``; empty for the corpus itself.
    bm25 : Bm25Settings
        For ``bm25`` and ``psq``.
    table : TableSettings, optional
        For ``psq``: the translation table; its encoder may be a recipe too.
    file : str
        For ``run``: a TREC run file from elsewhere, on the same topics and corpus.
    runs : list of str
        Earlier runs of the study: for ``fuse`` two or more, for ``rerank`` the one to re-order, for ``hybrid`` a dense
        and a sparse one.
    fusion : str
        For ``fuse``: the method, one that needs no tuning; or a file (``.json``) that ``fuse --save`` wrote for runs in
        this order.
    norm : str
        For ``fuse`` by a method: how each run's scores are normalised, topic by topic, before that.
    by : {"maxsim", "pooled", "cross-encoder"}
        For ``rerank``: what scores; see :func:`~pyserini_optical.retrieve.rerank`.
    model : str
        For ``rerank``: the model that scores, or a recipe (``.yaml``): of ``fine-tune`` for ``cross-encoder``, of
        ``distill`` for the others.
    depth : int
        For ``rerank``: so many passages a topic are re-ordered.
    alpha : float
        For ``hybrid``: the weight of the sparse scores beside the dense ones, as Pyserini's ``search.hybrid`` has it.
    translations, probability
        For ``psq``: so many translations of a word at most, and those alone that are at least so probable.
    """

    topics: str
    search: str
    set: list[str] = field(default_factory=list)
    corpus: str = ""
    bm25: Bm25Settings = field(default_factory=Bm25Settings)
    table: TableSettings | None = None
    file: str = ""
    runs: list[str] = field(default_factory=list)
    fusion: str = "rrf"
    norm: Norm = "min-max"
    by: Literal["maxsim", "pooled", "cross-encoder"] = "maxsim"
    model: str = ""
    depth: int = 100
    alpha: float = 0.1
    translations: int = 5
    probability: float = 0.05

    def __post_init__(self) -> None:
        if (self.search == "psq") != (self.table is not None):
            raise RecipeError("`table` is needed for `search: psq`, and for that alone")
        if self.fusion not in METHODS and not self.tuned:
            raise RecipeError(
                f"unknown fusion {self.fusion!r}, or one that must be tuned; known are {', '.join(METHODS)}, "
                "and files (.json) that `fuse --save` wrote"
            )
        if self.norm != "min-max" and (self.search != "fuse" or self.tuned):
            raise RecipeError("`norm` is for `search: fuse` by a method; a file says its own")
        if not self.lexical and self.bm25 != Bm25Settings():
            raise RecipeError("`bm25` is for `search: bm25` and `search: psq`")
        if (self.search in ("fuse", "rerank", "hybrid")) != bool(self.runs):
            raise RecipeError("`runs` is needed for `search: fuse`, `rerank` and `hybrid`, and for those alone")
        wanted = {"rerank": 1, "hybrid": 2, "fuse": max(2, len(self.runs))}.get(self.search, 0)
        if len(self.runs) != wanted:
            raise RecipeError(f"`search: {self.search}` wants {wanted} of `runs`, got {len(self.runs)}")
        if len(set(self.runs)) < len(self.runs):
            raise RecipeError(f"`runs` names one twice: {', '.join(self.runs)}")
        if (self.search == "rerank") != bool(self.model):
            raise RecipeError("`model` is needed for `search: rerank`, and for that alone")
        if self.search != "rerank" and (self.by, self.depth) != ("maxsim", 100):
            raise RecipeError("`by` and `depth` are for `search: rerank`")
        if self.search != "hybrid" and self.alpha != 0.1:
            raise RecipeError("`alpha` is for `search: hybrid`")
        if self.depth < 1:
            raise RecipeError(f"depth must be at least 1, got {self.depth}")
        if (self.search == "run") != bool(self.file):
            raise RecipeError("`file` is needed for `search: run`, and for that alone")
        if self.translations < 1 or not 0 <= self.probability <= 1:
            problem = f"got {self.translations} and {self.probability:g}"
            raise RecipeError(f"translations must be at least 1 and probability from 0 to 1, {problem}")
        if self.set and not self.distils:
            raise RecipeError(f"`set` is for recipes (.yaml), not for {self.source or self.search}")

    @property
    def lexical(self) -> bool:
        """Whether Lucene searches."""
        return self.search in ("bm25", "psq")

    @property
    def source(self) -> str:
        """The model or recipe that searches, re-ranks or makes the translation table; empty if there is none."""
        if self.table is not None:
            return self.table.encoder
        if self.search == "rerank":
            return self.model
        return "" if self.lexical or self.search in ("fuse", "hybrid", "run") else self.search

    @property
    def tuned(self) -> bool:
        """Whether its fusion was tuned elsewhere."""
        return self.fusion.endswith(".json")

    @property
    def distils(self) -> bool:
        """Whether its model is made from a recipe."""
        return self.source.endswith((".yaml", ".yml"))
