"""Lucene's BM25 as Pyserini runs it, naming the analyzer that really ran; and trec_eval.

An index made here carries a record, ``bm25.json``, and is searched with the analyzer that made it
(:mod:`pyserini_optical.integration.analyzers` has why that needs a record).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pyserini_optical.data import (
    Manifest,
    Pathish,
    fingerprint_files,
    only_process,
    read_corpus,
    read_lines,
    write_text,
)
from pyserini_optical.data.manifest import is_inside
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.integration.analyzers import analyzer_for as analyzer_for
from pyserini_optical.integration.analyzers import analyzer_name, check_analyzer, index_options, set_analyzer
from pyserini_optical.integration.java import ensure_java
from pyserini_optical.integration.modules import java_class, pyserini_home
from pyserini_optical.integration.queries import Query, QueryBuilder

RECORD = "bm25.json"
FIELDS = ("title", "text")


@dataclass(frozen=True)
class Bm25Index:
    """What a BM25 index was made with.

    Attributes
    ----------
    language : str
        Code that was asked for.
    analyzer : str
        Name of the Lucene analyzer that really ran, and in parentheses the one asked for instead of the language's.
    fields : tuple of str
        What was indexed of each passage.
    passages : int
        How many passages are in it.
    asked : str
        The analyzer asked for; empty for the language's own.
    files : dict of str to str
        Fingerprints of the index's files, by their names; Lucene looks at few of its own checksums when it searches.
    """

    language: str
    analyzer: str
    fields: tuple[str, ...]
    passages: int
    asked: str = ""
    files: dict[str, str] = field(default_factory=dict)


def bm25_index(
    corpus: Pathish,
    index_dir: Pathish,
    language: str = "en",
    *,
    fields: Sequence[str] = ("text",),
    analyzer: str = "",
) -> Bm25Index:
    """Index a corpus for BM25 with Anserini's ``IndexCollection``, as ``pyserini.index.lucene`` does.

    Parameters
    ----------
    corpus : path-like
        JSONL file or directory as :func:`pyserini_optical.data.read_corpus` reads it.
    index_dir : path-like
        New directory; it appears when the index is complete.
    language : str
        Two-letter code of the passages' language.
    fields : sequence of str
        What of a passage is indexed, joined by line ends: ``text`` or ``title`` or both.
    analyzer : str
        Instead of the one that Anserini takes for the language: ``standard`` or ``huggingface:TOKENIZER``.

    Returns
    -------
    Bm25Index
        The record, also written to ``bm25.json`` in the index.

    Raises
    ------
    InputError
        The corpus cannot be read, a field or the analyzer is not known, or the directory is there already.
    CheckpointError
        Anserini did not index every passage.
    """
    fields = tuple(fields)
    check_analyzer(analyzer)
    if not fields or set(fields) - set(FIELDS):
        raise InputError(f"fields {', '.join(fields) or '(none)'} cannot be indexed", remedy="take text, title or both")
    target = Path(index_dir)
    if target.exists():
        raise InputError("is there already", path=target, remedy="remove it or name another directory")
    with work_beside(target) as work:
        documents, index = work / "documents", work / "index"
        count = _write_documents(corpus, documents, fields)
        # fmt: off
        java_class("io.anserini.index.IndexCollection").main([
            "-collection", "JsonCollection", "-input", java_path(documents), "-index", java_path(index),
            *index_options(language, analyzer),
            "-generator", "DefaultLuceneDocumentGenerator", "-threads", str(len(os.listdir(documents))),
            "-memoryBuffer", "256", "-quiet",
        ])
        # fmt: on
        searcher = _open(index, language, analyzer)
        name = analyzer_name(searcher, analyzer)
        found = Bm25Index(language, name, fields, int(searcher.get_total_num_docs()), analyzer)
        searcher.close()
        if found.passages != count:
            raise CheckpointError(f"{target}: Anserini indexed {found.passages} of {count} passages; index them again")
        found = replace(found, files=fingerprint_files(index))
        with write_text(index / RECORD) as file:
            file.write(json.dumps(asdict(found), indent=2) + "\n")
        index.replace(target)
    return found


def bm25_record(index_dir: Pathish) -> Bm25Index:
    """Read the record of an index that :func:`bm25_index` made.

    Raises
    ------
    CheckpointError
        It has none, or a damaged one.
    """
    path = Path(index_dir) / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        files = record.get("files", {})
        if not isinstance(files, dict) or not all(map(is_inside, files)):
            raise ValueError
        return Bm25Index(**{**record, "fields": tuple(record["fields"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{path}: missing or damaged; make the index again with `bm25_index`") from None


def bm25_search(
    index_dir: Pathish,
    topics: Mapping[str, Query],
    language: str | None = None,
    k: int = 1000,
    *,
    k1: float = 0.9,
    b: float = 0.4,
) -> dict[str, dict[str, float]]:
    """Search an index of :func:`bm25_index` by BM25.

    Parameters
    ----------
    index_dir : path-like
        The index.
    topics : mapping of str to str, or to mapping of str to float
        Query by topic id: a text, or words with weights as
        :class:`~pyserini_optical.integration.queries.QueryBuilder` has them.
    language : str, optional
        The language that the index was made for; it is checked. Queries are always analysed as the passages were.
    k : int
        Hits for each topic, at most.
    k1, b : float
        How fast a term's frequency saturates, and how much a passage's length counts; Pyserini's defaults.

    Returns
    -------
    dict of str to dict of str to float
        Score by passage id by topic id; topics without hits have an empty one.

    Raises
    ------
    CheckpointError
        The index is broken, a file of it is not as it was written, or it was made for another language.
    InputError
        No hits are asked for.
    """
    if k < 1:
        raise InputError(f"{k} hits asked for", remedy="ask for one or more")
    record = bm25_record(index_dir)
    Manifest("bm25", outputs=record.files).check(index_dir, "remove the folder and index the passages again")
    if language not in (None, record.language):
        raise CheckpointError(
            f"{os.fspath(index_dir)}: made for language {record.language!r} ({record.analyzer}), not {language!r}; "
            f"search it as {record.language!r} or index the passages again"
        )
    searcher = _open(Path(index_dir), record.language, record.asked)
    name = analyzer_name(searcher, record.asked)
    if name != record.analyzer:
        raise CheckpointError(
            f"{os.fspath(index_dir)}: indexed with {record.analyzer}, but this Pyserini has {name} for "
            f"{record.language!r}; index the passages again"
        )
    searcher.set_bm25(k1, b)
    build = QueryBuilder(searcher.get_analyzer())
    try:
        return {
            topic: {str(hit.docid): float(hit.score) for hit in searcher.search(build(query), k)}
            for topic, query in topics.items()
        }
    finally:
        searcher.close()


def trec_eval(
    qrels: Pathish, run: Pathish, measures: Iterable[str], *, depth: int | None = None
) -> dict[str, dict[str, float]]:
    """Evaluate a run with the trec_eval in Pyserini's jar (``-c -q``), to four decimals.

    Parameters
    ----------
    qrels, run : path-like
        TREC files, plain, ``.gz`` or ``.xz``.
    measures : iterable of str
        trec_eval's names, such as ``recip_rank`` or ``ndcg_cut.10``.
    depth : int, optional
        How many hits of a topic count (``-M``); 10 with ``recip_rank`` is MRR@10.

    Returns
    -------
    dict of str to dict of str to float
        Value by topic id by measure (as trec_eval prints it: ``ndcg_cut_10``). Under ``all`` the mean over all judged
        topics, where a topic that the run lacks counts as zero.

    Raises
    ------
    InputError
        A file cannot be read or trec_eval refuses a measure.
    SetupError
        No usable Java or no Pyserini.
    """
    java = ensure_java()
    jar = next(iter(sorted((pyserini_home() / "resources" / "jars").glob("anserini-*-fatjar.jar"))))
    options = ["-c", "-q", *(["-M", str(depth)] if depth else []), *(part for m in measures for part in ("-m", m))]
    with ExitStack() as stack:
        files = [_plain(path, stack) for path in (qrels, run)]
        command = [str(java.home / "bin" / "java"), "-cp", str(jar), "trec_eval", *options, *files]
        answer = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    values: dict[str, dict[str, float]] = {}
    complaints = answer.stderr.splitlines()
    for line in answer.stdout.splitlines():
        measure, *rest = line.split("\t")
        if len(rest) == 2:
            with suppress(ValueError):  # the run's name is no value
                values.setdefault(measure.strip(), {})[rest[0]] = float(rest[1])
        else:
            complaints.append(line)
    if not values:
        # The status is 0 even then.
        reason = (complaints or ["no output"])[-1].strip()
        raise InputError(f"trec_eval gave no values ({reason})", path=run, remedy="check the measures and both files")
    return values


def _plain(path: Pathish, stack: ExitStack) -> str:
    """Give the path of an uncompressed copy, kept until the stack closes, or of the file itself."""
    if Path(path).suffix not in (".gz", ".xz"):
        return os.fspath(path)
    copy = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "plain.txt"
    copy.write_text("".join(f"{line}\n" for _, line in read_lines(path)), encoding="utf-8")
    return str(copy)


@contextmanager
def work_beside(target: Path) -> Iterator[Path]:
    """Give an empty directory on the same disk, removed at the end, to one process at a time."""
    work = target.with_name(f".{target.name}.work")
    with only_process(target):
        try:
            shutil.rmtree(work, ignore_errors=True)  # of a process that was killed
            work.mkdir()
        except OSError as error:
            remedy = "choose a directory that can be written to"
            raise InputError(f"cannot be written ({error.strerror})", path=target, remedy=remedy) from None
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _write_documents(corpus: Pathish, folder: Path, fields: tuple[str, ...]) -> int:
    """Write passages as Anserini reads them, over as many files as threads shall read; return their number."""
    folder.mkdir()
    count = 0
    with ExitStack() as stack:
        files = [
            stack.enter_context(open(folder / f"{part}.jsonl", "w", encoding="utf-8"))
            for part in range(min(4, os.cpu_count() or 1))
        ]
        for count, passage in enumerate(read_corpus(corpus), 1):
            contents = "\n".join(filter(None, (getattr(passage, field) for field in fields)))
            if not contents:
                # Anserini would pass it over without a word.
                remedy = "index the text too"
                raise InputError(f"passage {passage.id} has no {' and no '.join(fields)}", path=corpus, remedy=remedy)
            files[count % len(files)].write(json.dumps({"id": passage.id, "contents": contents}) + "\n")
    return count


def java_path(path: Path) -> str:
    """Name a file for Java, which goes on in the directory in which it was started when Python leaves that."""
    return str(path.absolute())


def _open(index: Path, language: str, analyzer: str) -> Any:
    """Open an index with Anserini's searcher itself: Pyserini's wrapper would import torch first."""
    searcher = java_class("io.anserini.search.SimpleSearcher")(java_path(index))
    set_analyzer(searcher, language, analyzer)
    return searcher
