"""A whole experiment from one file: encoders and baselines on one collection, compared; what is done is kept.

A study file names a corpus, qrels, one or more sets of topics (the foreign ones, their human or machine translations)
and runs, each of which searches one set of topics with ``bm25``, with a model, or with an encoder distilled from a recipe.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pyserini_optical.data import Manifest, Pathish, fingerprint, read_qrels, read_topics, write_run, write_text
from pyserini_optical.data.settings import read_settings
from pyserini_optical.errors import RecipeError
from pyserini_optical.evaluate import Comparison, compare, to_markdown
from pyserini_optical.progress import say

MANIFEST = "manifest.json"


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
    bm25_fields : list of str
        What BM25 indexes of a passage: ``title``, ``text`` or both. Encoders read the text alone.
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
    bm25_fields: list[str] = field(default_factory=lambda: ["title", "text"])
    baseline: str | None = None
    hits: int = 100
    title: str = ""

    def each_run(self) -> dict[str, StudyRun]:
        """Give the runs by name.

        Raises
        ------
        RecipeError
            A run with unknown or missing keys, or on topics that the study does not name.
        """
        made = {}
        for name, entry in self.runs.items():
            if not isinstance(entry, dict) or not {"topics", "search"} <= entry.keys() <= {"topics", "search", "set"}:
                raise RecipeError(f"study {self.name}: run {name} needs `topics` and `search`, and may have `set`")
            made[name] = StudyRun(str(entry["topics"]), str(entry["search"]), [str(s) for s in entry.get("set", [])])
            if made[name].topics not in self.topics:
                raise RecipeError(f"study {self.name}: run {name} names unknown topics {made[name].topics!r}")
        return made


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
        Of any of its parts.
    """
    study = read_settings(Study, path, settings)
    runs = study.each_run()
    if study.baseline is not None and study.baseline not in runs:
        raise RecipeError(f"{path}: the baseline {study.baseline!r} is not one of its runs")
    folder = Path(output) if output is not None else Path(path).parent
    work = Path(work)
    qrels = read_qrels(study.qrels)
    notes: dict[str, dict[str, Any]] = {}
    paths: dict[str, Path] = {}
    for name, run in runs.items():
        paths[name] = folder / "runs" / f"{name}.txt.xz"
        say(f"run {name}: {run.search} on {run.topics} topics")
        notes[name] = _make_run(study, name, run, paths[name], work)
    comparison = compare(qrels, paths, baseline=study.baseline, report=folder)
    _describe(study, notes, comparison, folder)
    return comparison


def _make_run(study: Study, name: str, run: StudyRun, path: Path, work: Path) -> dict[str, Any]:
    """Make one run unless it is there, made from the same things; give what there is to say about it."""
    topics = study.topics[run.topics]
    if run.search == "bm25":
        inputs = {"corpus": fingerprint(study.corpus), "topics": fingerprint(topics)}
        parameters = {"search": "bm25", "language": study.corpus_language, "fields": study.bm25_fields, "hits": study.hits}
    else:
        encoder = _encoder(run, work)
        inputs = {
            "corpus": fingerprint(study.corpus),
            "topics": fingerprint(topics),
            "encoder": encoder.fingerprint,
            "documents": encoder.document_fingerprint,
        }
        parameters = {"search": run.search, "set": run.set, "hits": study.hits}
    manifest = Manifest("run", inputs=inputs, parameters=parameters)
    record = path.with_name(f"{name}.json")
    if path.is_file() and record.is_file():
        kept = json.loads(record.read_text(encoding="utf-8"))
        if Manifest(**kept["manifest"]).matches(manifest) and kept["sha256"] == fingerprint(path):
            say(f"run {name}: is there already")
            return dict(kept)
    started = time.monotonic()
    if run.search == "bm25":
        said = _bm25(study, read_topics(topics), path, work)
    else:
        said = _dense(study, encoder, topics, path, work, name)
    notes = {
        "manifest": asdict(manifest),
        "sha256": fingerprint(path),
        "seconds": round(time.monotonic() - started, 1),
        **said,
    }
    with write_text(record) as file:
        json.dump(notes, file, indent=1, sort_keys=True, ensure_ascii=False)
        file.write("\n")
    return notes


def _encoder(run: StudyRun, work: Path) -> Any:
    from pyserini_optical.distillation import distill, load_recipe
    from pyserini_optical.models import load_encoder

    if not run.search.endswith((".yaml", ".yml")):
        return load_encoder(run.search)
    recipe = load_recipe(run.search, run.set)
    # Named by its settings too: two runs of one recipe are two encoders.
    mark = hashlib.sha256(json.dumps(recipe.as_dict(), sort_keys=True).encode()).hexdigest()[:8]
    return load_encoder(str(distill(recipe, work / "encoders" / f"{recipe.name}.{mark}")))


def _dense(study: Study, encoder: Any, topics: str, path: Path, work: Path, tag: str) -> dict[str, Any]:
    from pyserini_optical.retrieve import encode_corpus, search

    mark = hashlib.sha256(f"{fingerprint(study.corpus)}{encoder.document_fingerprint}".encode()).hexdigest()[:16]
    index = encode_corpus(encoder, study.corpus, work / "indexes" / f"faiss-{mark}")
    search(encoder, index, topics, path, hits=study.hits, tag=tag)
    return {"encoder": encoder.name, "documents": encoder.document_model}


def _bm25(study: Study, topics: Mapping[str, str], path: Path, work: Path) -> dict[str, Any]:
    from pyserini_optical.integration.lucene import bm25_index, bm25_record, bm25_search

    mark = f"{study.corpus_language}-{'-'.join(study.bm25_fields)}-{fingerprint(study.corpus)[:16]}"
    index = work / "indexes" / f"bm25-{mark}"
    if not index.exists():
        bm25_index(study.corpus, index, study.corpus_language, fields=study.bm25_fields)
    found = bm25_search(index, topics, study.corpus_language, study.hits)
    write_run(path, found, path.name.partition(".")[0])
    record = bm25_record(index)
    how = f"{record.analyzer} over {' + '.join(record.fields)}"
    return {"analyzer": how, "without_hits": sum(not hits for hits in found.values())}


def _describe(study: Study, notes: Mapping[str, Mapping[str, Any]], comparison: Comparison, folder: Path) -> None:
    """Write the report with a title, what ran, and the study's manifest."""
    lines = [f"# {study.name}", ""]
    if study.title:
        lines += [study.title, ""]
    lines += [to_markdown(comparison), "", "## What ran", "", "| run | topics | search | documents | seconds |", "|---|---|---|---|---:|"]
    for name, run in study.each_run().items():
        note = notes[name]
        how = f"BM25, {note['analyzer']}" if run.search == "bm25" else " ".join([run.search, *run.set])
        extra = f" ({note['without_hits']} topics without a hit)" if note.get("without_hits") else ""
        lines.append(f"| {name} | {run.topics} | `{how}`{extra} | {note.get('documents', '')} | {note['seconds']} |")
    versions = next(iter(notes.values()))["manifest"]["versions"]
    lines += ["", "Versions: " + ", ".join(f"{package} {version}" for package, version in versions.items()) + "."]
    with write_text(folder / "report.md") as file:
        file.write("\n".join(lines) + "\n")
    manifest = Manifest(
        "study",
        inputs={"corpus": fingerprint(study.corpus), "qrels": fingerprint(study.qrels)},
        parameters={"study": asdict(study), "runs": {name: note["sha256"] for name, note in notes.items()}},
        versions=dict(versions),
    )
    manifest.save(folder / MANIFEST)
