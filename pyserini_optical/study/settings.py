"""What a study file says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pyserini_optical.data.settings import check
from pyserini_optical.errors import RecipeError
from pyserini_optical.study.run_settings import StudyRun

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
class Study:
    """An experiment on one collection.

    Attributes
    ----------
    name : str
        Name of its report.
    corpus : str
        Its file.
    qrels : str or None
        Their file; None: nothing is compared.
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
    set : list of str
        Settings over every recipe of its runs, below those of the run.
    seeds : list of int
        Each run of a recipe, and each of such runs, is made with every one of these, and their mean on each topic is
        compared; the first seed of all runs comes before the second. Empty: once, with the recipe's own.
    hits : int
        Passages a topic in the runs.
    title : str
        What the report says above the table.
    texts : bool
        Whether the report shows questions and passages; not where their licence forbids to pass them on.
    """

    name: str
    corpus: str
    qrels: str | None
    topics: dict[str, Any]
    runs: dict[str, dict[str, Any]]
    corpora: dict[str, Any] = field(default_factory=dict)
    corpus_language: str = "en"
    bm25_fields: list[Literal["title", "text"]] = field(default_factory=lambda: ["title", "text"])
    reference: str | None = None
    baseline: str | None = None
    set: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
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
        if len(dict.fromkeys(self.seeds)) < len(self.seeds):
            raise RecipeError(f"seeds must differ, got {self.seeds}")
        if not self.each_run():
            raise RecipeError("runs must name at least one run")
        if self.baseline is not None and self.baseline not in self.runs:
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
        """Give the runs by name, in the order in which they are made; that of a seed is ``NAME.seed-N``.

        Raises
        ------
        RecipeError
            As :meth:`each_system`; two runs of one name.
        """
        systems = self.each_system()
        made: dict[str, StudyRun] = {}
        for seed in self.seeds or [0]:
            for name, run in systems.items():
                if not self._drawn(name, systems):
                    made.setdefault(name, run)
                    continue
                if (own := _seeded(name, seed)) in systems:
                    raise RecipeError(f"two runs are named {own!r}")
                runs = [_seeded(each, seed) if self._drawn(each, systems) else each for each in run.runs]
                made[own] = replace(run, runs=runs, set=[*run.set, f"seed={seed}"] if run.distils else run.set)
        return made

    def runs_of(self, name: str) -> list[str]:
        """Give the runs of a system: one, or one a seed."""
        return [_seeded(name, seed) for seed in self.seeds] if self._drawn(name, self.each_system()) else [name]

    def _drawn(self, name: str, systems: Mapping[str, StudyRun]) -> bool:
        """Whether it is made with several seeds."""
        run = systems[name]
        return bool(self.seeds) and (run.distils or any(self._drawn(each, systems) for each in run.runs))

    def each_system(self) -> dict[str, StudyRun]:
        """Give what is compared by name, in the order of the table.

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
            made[name] = replace(run, set=[*self.set, *run.set]) if run.distils else run
        return made


def _seeded(name: str, seed: int) -> str:
    return f"{name}.seed-{seed}"
