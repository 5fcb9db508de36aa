"""One run of a study: made, or found as it was made before."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pyserini_optical.data import (
    Manifest,
    fingerprint,
    fingerprint_texts,
    order_hits,
    read_lines,
    read_run,
    write_run,
    write_text,
)
from pyserini_optical.data.settings import check
from pyserini_optical.errors import InputError, OpticalError
from pyserini_optical.progress import say
from pyserini_optical.retrieve.names import index_name
from pyserini_optical.study.collection import Corpus
from pyserini_optical.study.run_settings import Bm25Settings, StudyRun
from pyserini_optical.study.settings import Study
from pyserini_optical.translation import word_table

if TYPE_CHECKING:
    from pyserini_optical.models import CrossEncoder, Encoder

# What searched, the model of the documents, the index, the hits.
_Found: TypeAlias = tuple[str, str, Path, dict[str, dict[str, float]]]


def run_file(folder: Path, name: str) -> Path:
    """Name the file of a run in the folder of a study's runs."""
    return folder / f"{name}.txt.xz"


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


@dataclass
class Making:
    """One run being made: of which study, from what, and where it goes."""

    study: Study
    corpus: Corpus
    name: str
    run: StudyRun
    topics: dict[str, str]
    model: Encoder | CrossEncoder | None
    earlier: Mapping[str, RunRecord]
    folder: Path
    work: Path

    def __post_init__(self) -> None:
        self.path = run_file(self.folder, self.name)
        self.record = self.folder / f"{self.name}.json"
        texts = fingerprint_texts(part for topic in self.topics.items() for part in topic)
        inputs = {"corpus": self.corpus.fingerprint, "topics": texts}
        parameters: dict[str, Any] = {"hits": self.study.hits}
        if self.run.lexical:
            # What is as ever is left out: runs from before it could be set stay what they are.
            usual = asdict(Bm25Settings())
            changed = {key: value for key, value in asdict(self.run.bm25).items() if value != usual[key]}
            parameters["bm25"] = {"language": self.corpus.language, "fields": self.study.bm25_fields, **changed}
        elif self.model is not None:
            inputs["encoder"] = self.model.fingerprint
            if self.run.by != "cross-encoder":
                inputs["documents"] = self._documents
                if self._encoder.late_interaction:  # weights alone do not say so
                    parameters["scores"] = "maxsim"
        if self.run.file:
            inputs["file"] = fingerprint(self.run.file)
        for name in self.run.runs:  # in no order: where it matters, it is a parameter
            inputs[f"run {name}"] = self.earlier[name].sha256
        if self.run.search == "rerank":
            parameters["rerank"] = {"by": self.run.by, "depth": self.run.depth}
        elif self.run.search == "hybrid":
            parameters["hybrid"] = {"runs": self.run.runs, "alpha": self.run.alpha}
        elif self.run.tuned:
            inputs["fusion"] = fingerprint(self.run.fusion)
            parameters["fused"] = self.run.runs
        elif self.run.runs:
            parameters["fusion"] = self.run.fusion
            if self.run.norm != "min-max":
                parameters["norm"] = self.run.norm
        if self.run.table is not None:
            inputs["table"] = self.run.table.fingerprint(self._encoder if self.model else None)
            parameters["psq"] = {"translations": self.run.translations, "probability": self.run.probability}
        self.manifest = Manifest("run", inputs=inputs, parameters=parameters, machine=self._machine())

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
        searcher, documents, index, found = self._search()
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

    @property
    def _encoder(self) -> Encoder:
        from pyserini_optical.models import Encoder

        assert isinstance(self.model, Encoder)
        return self.model

    @property
    def _by_tokens(self) -> bool:
        """Whether it scores by token vectors."""
        return self.run.by == "maxsim" if self.run.search == "rerank" else self._encoder.late_interaction

    @property
    def _documents(self) -> str:
        return self._encoder.token_fingerprint if self._by_tokens else self._encoder.document_fingerprint

    def _machine(self) -> dict[str, str]:
        if self.model is None:
            return {}
        from pyserini_optical.models.device import machine

        return machine(self.model.device)

    def _search(self) -> _Found:
        if self.run.search == "rerank":
            return self._rerank()
        if self.run.search == "hybrid":
            return self._hybrid()
        if self.run.runs:
            return self._fuse()
        if self.run.file:
            return self._read()
        return self._lexical() if self.run.lexical else self._dense()

    def _fuse(self) -> _Found:
        from pyserini_optical.retrieve.fusion import Fusion, fuse

        fusion = Fusion.load(self.run.fusion) if self.run.tuned else Fusion(self.run.fusion, self.run.norm)
        parts = [self._hits_of(name) for name in self.run.runs]
        how = fusion.method + (f", {fusion.norm}" if self.run.norm != "min-max" else "")
        how += f" (tuned, {fusion.tuned})" if fusion.tuned else ""
        return how, "", Path(), fuse(parts, fusion=fusion, hits=self.study.hits)

    def _hybrid(self) -> _Found:
        from pyserini_optical.integration.hybrid import hybrid_hits

        dense, sparse = (self._hits_of(name) for name in self.run.runs)
        found = {
            topic: hybrid_hits(dense.get(topic, {}), sparse.get(topic, {}), self.run.alpha, self.study.hits)
            for topic in self.topics
        }
        return "hybrid", "", Path(), found

    def _rerank(self) -> _Found:
        from pyserini_optical.retrieve import rerank

        assert self.model is not None
        first = self._hits_of(self.run.runs[0])
        corpus, documents = Path(self.corpus.path), ""
        if self.run.by != "cross-encoder":
            documents = self._document_model
            # If an earlier run left the vectors of all passages; otherwise those of the first hits are made now.
            corpus = self._index if (self._index / "docid").is_file() else corpus
        # Written here too, since what a cross-encoder has finished lies beside.
        output = self.path if any(first.values()) else None
        by, depth = self.run.by, self.run.depth
        found = rerank(self.model, corpus, self.topics, first, output, by=by, depth=depth, tag=self.name)
        return self.model.name, documents, corpus, found

    def _read(self) -> _Found:
        """Take over a run from elsewhere: the study's topics, and as many hits as its other runs have."""
        there = read_run(self.run.file)
        if not there.keys() & self.topics.keys():
            remedy = "check that ids are the same"
            raise InputError(f"shares no topic with {self.run.topics}", path=self.run.file, remedy=remedy)
        found = {topic: dict(order_hits(there.get(topic, {}))[: self.study.hits]) for topic in self.topics}
        return self.run.file, "", Path(), found

    def _hits_of(self, name: str) -> dict[str, dict[str, float]]:
        """Read an earlier run, which may be of other topics too and may have found nothing."""
        path = run_file(self.folder, name)
        found = read_run(path) if any(read_lines(path)) else {}
        return {topic: hits for topic, hits in found.items() if topic in self.topics}

    def _dense(self) -> _Found:
        from pyserini_optical.retrieve import encode_corpus, encode_tokens, search

        encoder, index = self._encoder, self._index
        (encode_tokens if self._by_tokens else encode_corpus)(encoder, self.corpus.path, index)
        return encoder.name, self._document_model, index, search(encoder, index, self.topics, hits=self.study.hits)

    @property
    def _index(self) -> Path:
        """Where the vectors of all passages lie, or would."""
        name = index_name(self.corpus.fingerprint, self._documents, tokens=self._by_tokens)
        return self.work / "indexes" / name

    @property
    def _document_model(self) -> str:
        """The model of the documents as a reader of the report would name it: not by where this machine keeps it."""
        return self._encoder.document_model.removeprefix(f"{Path.cwd()}/")

    def _lexical(self) -> _Found:
        from pyserini_optical.integration.lucene import bm25_index, bm25_record, bm25_search
        from pyserini_optical.integration.queries import Query

        bm25, language, fields = self.run.bm25, self.corpus.language, self.study.bm25_fields
        analyzer = f"-{fingerprint_texts([bm25.analyzer])[:8]}" if bm25.analyzer else ""
        name = f"bm25-{language}{analyzer}-{'-'.join(fields)}-{self.corpus.fingerprint[:16]}"
        index = self.work / "indexes" / name
        if not index.exists():
            bm25_index(self.corpus.path, index, language, fields=fields, analyzer=bm25.analyzer)
        queries: dict[str, Query] = dict(self.topics)
        if self.run.table is not None:
            table = word_table(self.run.table, self.work, self._encoder if self.model else None)
            queries = {
                topic: table.query(text, translations=self.run.translations, probability=self.run.probability)
                for topic, text in self.topics.items()
            }
        found = bm25_search(index, queries, language, self.study.hits, k1=bm25.k1, b=bm25.b)
        record = bm25_record(index)
        return f"{record.analyzer} over {' + '.join(record.fields)}", "", index, found
