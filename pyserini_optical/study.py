"""A whole experiment from one file: encoders and baselines on one collection, compared; what is done is kept.

A study file names a corpus, qrels, one or more sets of topics (the foreign ones, their human or machine translations)
and runs, each of which searches one set of topics with ``bm25``, with a model, or with an encoder distilled from a
recipe.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pyserini_optical.data import (
    Manifest,
    Pathish,
    fingerprint,
    fingerprint_texts,
    read_qrels,
    read_run,
    read_topics,
    write_run,
    write_text,
)
from pyserini_optical.data.settings import check, read_settings
from pyserini_optical.errors import InputError, OpticalError, RecipeError
from pyserini_optical.evaluate import Comparison, compare, to_markdown
from pyserini_optical.progress import say

if TYPE_CHECKING:
    from pyserini_optical.distillation import Recipe
    from pyserini_optical.models import Encoder

    Searcher: TypeAlias = Recipe | Encoder | None

MANIFEST = "manifest.json"

# It names files, and the run in its own last column.
_RUN_NAME = re.compile(r"\w[\w.+-]*")


@dataclass(frozen=True)
class StudyRun:
    """One run of a study.

    Attributes
    ----------
    topics : str
        Which set of topics.
    search : str
        ``bm25``, a model (path, hub name, ``package:…``), or a recipe (``.yaml``), which is distilled first.
    set : list of str
        Settings over the recipe.
    """

    topics: str
    search: str
    set: list[str] = field(default_factory=list)

    @property
    def distils(self) -> bool:
        """Whether it searches with an encoder that is made from a recipe."""
        return self.search.endswith((".yaml", ".yml"))


@dataclass(frozen=True)
class Study:
    """An experiment on one collection.

    Attributes
    ----------
    name : str
        Name of its report.
    corpus, qrels : str
        Files.
    topics : dict of str to str
        Topics files by a name for each set.
    runs : dict of str to dict
        See :class:`StudyRun`; in the order of the table.
    corpus_language : str
        Of the passages, for Lucene's analyzer.
    bm25_fields : list of {"title", "text"}
        What BM25 indexes of a passage. Encoders read the text alone.
    baseline : str or None
        The run that all others are tested against; None tests all pairs.
    hits : int
        Passages a topic in the runs.
    title : str
        What the report says above the table.
    """

    name: str
    corpus: str
    qrels: str
    topics: dict[str, str]
    runs: dict[str, dict[str, Any]]
    corpus_language: str = "en"
    bm25_fields: list[Literal["title", "text"]] = field(default_factory=lambda: ["title", "text"])
    baseline: str | None = None
    hits: int = 100
    title: str = ""

    def __post_init__(self) -> None:
        if self.hits < 1:
            raise RecipeError(f"hits must be at least 1, got {self.hits}")
        if not self.bm25_fields:
            raise RecipeError("bm25_fields must name title, text or both")
        for name, path in self.topics.items():
            if not isinstance(name, str) or not isinstance(path, str):
                raise RecipeError(f"topics: {name!r} must be a name and a file, got {path!r}")
        runs = self.each_run()
        if not runs:
            raise RecipeError("runs must name at least one run")
        if self.baseline is not None and self.baseline not in runs:
            raise RecipeError(f"the baseline {self.baseline!r} is not one of its runs")

    def each_run(self) -> dict[str, StudyRun]:
        """Give the runs by name.

        Raises
        ------
        RecipeError
            A run with unknown or missing keys, on topics that the study does not name, or with settings and no recipe.
        """
        made = {}
        for name, entry in self.runs.items():
            if not isinstance(name, str) or not _RUN_NAME.fullmatch(name):
                raise RecipeError(f"the run name {name!r} must be a text of letters, digits and . + - _")
            run: StudyRun = check(entry, StudyRun, f"run {name}")
            if run.topics not in self.topics:
                known = ", ".join(self.topics)
                raise RecipeError(f"run {name}: unknown topics {run.topics!r}; known are {known}")
            if run.set and not run.distils:
                raise RecipeError(f"run {name}: `set` is for recipes (.yaml), not for {run.search}")
            made[name] = run
        return made


@dataclass(frozen=True)
class RunRecord:
    """What is known about a run that is made; ``runs/NAME.json``.

    Attributes
    ----------
    manifest : Manifest
        What it was made from.
    sha256 : str
        Of the run's file.
    seconds : float
        How long searching took, with encoding or indexing the passages where that was still to be done.
    searcher : str
        The analyzer of BM25 and the fields that it indexed, or the encoder.
    documents : str
        The model that encoded the passages; empty for BM25.
    index : str
        Where the index lay.
    without_hits : int
        Topics for which nothing was found.
    """

    manifest: Manifest
    sha256: str
    seconds: float
    searcher: str
    documents: str
    index: str
    without_hits: int


def run_study(
    path: Pathish, output: Pathish | None = None, *, settings: Sequence[str] = (), work: Pathish = "work"
) -> Comparison:
    """Run a study; a second call goes on where the first was cut off, and skips what is done.

    Parameters
    ----------
    path : path-like
        The study's YAML file; variables and ``settings`` as in recipes.
    output : path-like, optional
        Folder for runs, report and manifest; the file's own folder by default.
    settings : sequence of str
        ``key=value`` over what the file says.
    work : path-like
        Folder for encoders and indexes, which several studies share.

    Returns
    -------
    Comparison
        Also written as ``report.md``, ``report.tex`` and ``report.json``, with the runs under ``runs/``.

    Raises
    ------
    OpticalError
        Of any of its parts; mistakes in files, recipes and names of models before the first run.
    """
    study = read_settings(Study, path, settings)
    folder = Path(output) if output is not None else Path(path).parent
    qrels = read_qrels(study.qrels)
    runs = study.each_run()
    topics = {name: _topics(study.topics[name], qrels) for name in sorted({run.topics for run in runs.values()})}
    corpus = fingerprint(study.corpus)
    searchers = {name: _searcher(run) for name, run in runs.items()}
    records: dict[str, RunRecord] = {}
    found: dict[str, Path | dict[str, dict[str, float]]] = {}
    for name, run in runs.items():
        say(f"run {name}: {run.search} on {run.topics} topics")
        # Popped, so that its model is let go with it.
        encoder = _encoder(searchers.pop(name), Path(work))
        making = _Making(study, corpus, name, topics[run.topics], encoder, folder / "runs", Path(work))
        records[name] = making.kept() or making.make()
        found[name] = making.found(records[name].without_hits)
    comparison = compare(qrels, found, baseline=study.baseline, report=folder)
    _describe(study, corpus, records, comparison, folder)
    return comparison


def _topics(path: str, qrels: Mapping[str, object]) -> dict[str, str]:
    topics = read_topics(path)
    if not topics.keys() & qrels.keys():
        raise InputError("shares no topic with the qrels", path=path, remedy="check that the ids are written alike")
    return topics


def _searcher(run: StudyRun) -> Searcher:
    from pyserini_optical.distillation import load_recipe
    from pyserini_optical.models import load_encoder

    if run.search == "bm25":
        return None
    return load_recipe(run.search, run.set) if run.distils else load_encoder(run.search)


def _encoder(searcher: Searcher, work: Path) -> Encoder | None:
    """Distil what is a recipe."""
    from pyserini_optical.distillation import Recipe, distill
    from pyserini_optical.models import load_encoder

    if not isinstance(searcher, Recipe):
        return searcher
    # Named by its settings too: two runs of one recipe are two encoders.
    mark = hashlib.sha256(json.dumps(searcher.as_dict(), sort_keys=True).encode()).hexdigest()[:8]
    folder = work / "encoders" / f"{searcher.name}.{mark}"
    distill(searcher, folder)
    return load_encoder(str(folder))


@dataclass
class _Making:
    """One run being made: of which study, from what, and where it goes."""

    study: Study
    corpus: str
    name: str
    topics: dict[str, str]
    encoder: Encoder | None
    folder: Path
    work: Path

    def __post_init__(self) -> None:
        self.path = self.folder / f"{self.name}.txt.xz"
        self.record = self.folder / f"{self.name}.json"
        texts = fingerprint_texts(part for topic in self.topics.items() for part in topic)
        inputs = {"corpus": self.corpus, "topics": texts}
        parameters: dict[str, Any] = {"hits": self.study.hits}
        if self.encoder is None:
            parameters["bm25"] = {"language": self.study.corpus_language, "fields": self.study.bm25_fields}
        else:
            inputs["encoder"] = self.encoder.fingerprint
            inputs["documents"] = self.encoder.document_fingerprint
        self.manifest = Manifest("run", inputs=inputs, parameters=parameters)

    def kept(self) -> RunRecord | None:
        """Give the record of the run if it is there, made from the same things, and neither file is damaged."""
        try:
            text = self.record.read_text(encoding="utf-8")
            record: RunRecord = check(json.loads(text), RunRecord, str(self.record))
            if not record.manifest.matches(self.manifest) or record.sha256 != fingerprint(self.path):
                return None
        except (OSError, ValueError, OpticalError):
            return None
        say(f"run {self.name}: is there already")
        return record

    def make(self) -> RunRecord:
        """Make the run, then its record."""
        started = time.monotonic()
        searcher, documents, index, found = self._bm25() if self.encoder is None else self._dense(self.encoder)
        if any(found.values()):
            write_run(self.path, found, self.name)
        else:
            with write_text(self.path):
                pass
        seconds = round(time.monotonic() - started, 1)
        without = sum(not found.get(topic) for topic in self.topics)
        record = RunRecord(self.manifest, fingerprint(self.path), seconds, searcher, documents, str(index), without)
        with write_text(self.record) as file:
            json.dump(asdict(record), file, indent=1, sort_keys=True, ensure_ascii=False)
            file.write("\n")
        return record

    def found(self, without_hits: int) -> Path | dict[str, dict[str, float]]:
        """Give the run as it is to be scored: topics without hits leave no line in its file, and count as zero."""
        if not without_hits:
            return self.path
        hits = read_run(self.path) if without_hits < len(self.topics) else {}
        return {topic: hits.get(topic, {}) for topic in self.topics}

    def _dense(self, encoder: Encoder) -> tuple[str, str, Path, dict[str, dict[str, float]]]:
        from pyserini_optical.retrieve import encode_corpus, search

        mark = hashlib.sha256(f"{self.corpus}{encoder.document_fingerprint}".encode()).hexdigest()[:16]
        index = encode_corpus(encoder, self.study.corpus, self.work / "indexes" / f"faiss-{mark}")
        return encoder.name, encoder.document_model, index, search(encoder, index, self.topics, hits=self.study.hits)

    def _bm25(self) -> tuple[str, str, Path, dict[str, dict[str, float]]]:
        from pyserini_optical.integration.lucene import bm25_index, bm25_record, bm25_search

        language, fields = self.study.corpus_language, self.study.bm25_fields
        index = self.work / "indexes" / f"bm25-{language}-{'-'.join(fields)}-{self.corpus[:16]}"
        if not index.exists():
            bm25_index(self.study.corpus, index, language, fields=fields)
        found = bm25_search(index, self.topics, language, self.study.hits)
        record = bm25_record(index)
        return f"{record.analyzer} over {' + '.join(record.fields)}", "", index, found


def _describe(
    study: Study, corpus: str, records: Mapping[str, RunRecord], comparison: Comparison, folder: Path
) -> None:
    """Write the report with a title, what ran, and the study's manifest."""
    head = ["| run | topics | search | documents | seconds |", "|---|---|---|---|---:|"]
    lines = [to_markdown(comparison, title=study.name, lead=study.title), "## What ran", "", *head]
    versions: dict[str, list[str]] = {}
    for name, run in study.each_run().items():
        record = records[name]
        how = " ".join([run.search, *run.set]) if record.documents else f"BM25, {record.searcher}"
        extra = f" ({record.without_hits} topics without a hit)" if record.without_hits else ""
        cells = (name, run.topics, f"`{how}`{extra}", record.documents, f"{record.seconds}")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        for package, version in record.manifest.versions.items():
            versions.setdefault(package, []).append(version)
    # Runs of an earlier call may have had others.
    used = {package: " and ".join(dict.fromkeys(each)) for package, each in versions.items()}
    lines += ["", "Versions: " + ", ".join(f"{package} {version}" for package, version in used.items()) + "."]
    with write_text(folder / "report.md") as file:
        file.write("\n".join(lines) + "\n")
    manifest = Manifest(
        "study",
        inputs={"corpus": corpus, "qrels": fingerprint(study.qrels)},
        parameters={"study": asdict(study), "runs": {name: record.sha256 for name, record in records.items()}},
        versions=used,
    )
    manifest.save(folder / MANIFEST)
