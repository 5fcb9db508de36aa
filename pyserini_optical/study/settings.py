"""What a study file says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from pyserini_optical.data.settings import check
from pyserini_optical.errors import RecipeError
from pyserini_optical.retrieve.fusion import METHODS
from pyserini_optical.translation import TableSettings

# It names files, and the run in its own last column.
_RUN_NAME = re.compile(r"\w[\w.+-]*")


@dataclass(frozen=True)
class TranslatedTopics:
    """A set of topics that the study translates.

    Attributes
    ----------
    translate : str
        The translator, as :func:`pyserini_optical.translation.load_translator` takes it.
    topics : str
        Which set of topics, one with a file.
    """

    translate: str
    topics: str


@dataclass(frozen=True)
class TranslatedCorpus:
    """The corpus in another language, translated by the study.

    Attributes
    ----------
    translate : str
        The translator, as :func:`pyserini_optical.translation.load_translator` takes it.
    language : str
        Two-letter code of the language into which it translates, for Lucene's analyzer.
    """

    translate: str
    language: str


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
        if not self.lexical and self.bm25 != Bm25Settings():
            raise RecipeError("`bm25` is for `search: bm25` and `search: psq`")
        if (self.search in ("fuse", "rerank", "hybrid")) != bool(self.runs):
            raise RecipeError("`runs` is needed for `search: fuse`, `rerank` and `hybrid`, and for those alone")
        wanted = {"rerank": 1, "hybrid": 2}.get(self.search, len(self.runs))
        if len(self.runs) != wanted:
            raise RecipeError(f"`search: {self.search}` wants {wanted} of `runs`, got {len(self.runs)}")
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


@dataclass(frozen=True)
class Study:
    """An experiment on one collection.

    Attributes
    ----------
    name : str
        Name of its report.
    corpus, qrels : str
        Files.
    topics : dict of str to str or dict
        By a name for each set a topics file, or what :class:`TranslatedTopics` says.
    runs : dict of str to dict
        See :class:`StudyRun`; in the order of the table.
    corpora : dict of str to dict
        By a name for each what :class:`TranslatedCorpus` says.
    corpus_language : str
        Of the passages, for Lucene's analyzer.
    bm25_fields : list of {"title", "text"}
        What BM25 indexes of a passage. Encoders read the text alone.
    reference : str or None
        The set of topics, translated by people, against which BLEU and chrF of the others are reported.
    baseline : str or None
        The run that all others are tested against; None tests all pairs.
    hits : int
        Passages a topic in the runs.
    title : str
        What the report says above the table.
    texts : bool
        Whether the report shows questions and passages; not where their licence forbids to pass them on.
    """

    name: str
    corpus: str
    qrels: str
    topics: dict[str, Any]
    runs: dict[str, dict[str, Any]]
    corpora: dict[str, Any] = field(default_factory=dict)
    corpus_language: str = "en"
    bm25_fields: list[Literal["title", "text"]] = field(default_factory=lambda: ["title", "text"])
    reference: str | None = None
    baseline: str | None = None
    hits: int = 100
    title: str = ""
    texts: bool = True

    def __post_init__(self) -> None:
        if self.hits < 1:
            raise RecipeError(f"hits must be at least 1, got {self.hits}")
        if not self.bm25_fields:
            raise RecipeError("bm25_fields must name title, text or both")
        self.each_topics()
        self.each_corpus()
        runs = self.each_run()
        if not runs:
            raise RecipeError("runs must name at least one run")
        if self.baseline is not None and self.baseline not in runs:
            raise RecipeError(f"the baseline {self.baseline!r} is not one of its runs")
        if self.reference is not None and self.reference not in self.topics:
            raise RecipeError(f"the reference {self.reference!r} is not one of its topics")

    def each_topics(self) -> dict[str, str | TranslatedTopics]:
        """Give by name the file of each set of topics, or how it is translated.

        Raises
        ------
        RecipeError
            An entry is neither, or translates what is no set with a file.
        """
        made: dict[str, str | TranslatedTopics] = {}
        for name, entry in self.topics.items():
            if isinstance(name, str) and isinstance(entry, dict):
                translated: TranslatedTopics = check(entry, TranslatedTopics, f"topics {name}")
                if not isinstance(self.topics.get(translated.topics), str):
                    files = ", ".join(name for name, entry in self.topics.items() if isinstance(entry, str))
                    problem = f"{translated.topics!r} is not a set of topics with a file"
                    raise RecipeError(f"topics {name}: {problem}; those are {files or 'none'}")
                made[name] = translated
            elif isinstance(name, str) and isinstance(entry, str):
                made[name] = entry
            else:
                raise RecipeError(f"topics: {name!r} must be a name and a file, got {entry!r}")
        return made

    def each_corpus(self) -> dict[str, TranslatedCorpus]:
        """Give by name how each of the corpora is made.

        Raises
        ------
        RecipeError
            Unknown or missing keys.
        """
        return {str(name): check(entry, TranslatedCorpus, f"corpora {name}") for name, entry in self.corpora.items()}

    def each_run(self) -> dict[str, StudyRun]:
        """Give the runs by name.

        Raises
        ------
        RecipeError
            A run with unknown or missing keys, on topics or a corpus that the study does not name, or with settings
            that do not belong together.
        """
        made = {}
        for name, entry in self.runs.items():
            if not isinstance(name, str) or not _RUN_NAME.fullmatch(name):
                raise RecipeError(f"the run name {name!r} must be a text of letters, digits and . + - _")
            run: StudyRun = check(entry, StudyRun, f"run {name}")
            if run.topics not in self.topics:
                known = ", ".join(self.topics)
                raise RecipeError(f"run {name}: unknown topics {run.topics!r}; known are {known}")
            if run.corpus and run.corpus not in self.corpora:
                known = ", ".join(self.corpora) or "none"
                raise RecipeError(f"run {name}: unknown corpus {run.corpus!r}; known are {known}")
            unknown = next((each for each in run.runs if each not in made), None)
            if unknown is not None:
                raise RecipeError(f"run {name}: {unknown!r} is not an earlier run")
            made[name] = run
        return made
