"""Token vectors in Lucene's own field for late interaction, and its rescorer over them.

Lucene has both since 10.3, which Pyserini brings since 2.3. A document has the fields ``id`` and ``tokens``, the second
in the bytes that ``LateInteractionField`` writes, so that any program on Lucene can rescore with
``LateInteractionRescorer`` over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import Manifest, Pathish, fingerprint_files, read_lines, write_text
from pyserini_optical.errors import CheckpointError, SetupError
from pyserini_optical.integration.lucene import java_path
from pyserini_optical.integration.modules import java_class

Vectors = NDArray[np.float32]

RECORD = "late-interaction.json"
REMEDY = "remove the folder and export the token store again"
_IDS = "docid"
_ID, _TOKENS = "id", "tokens"
_LUCENE = "org.apache.lucene"


def needs_late_interaction() -> None:
    """Refuse a Pyserini whose Lucene has no late interaction.

    Raises
    ------
    SetupError
        It is older than 2.3; or as :func:`~pyserini_optical.integration.java_class`.
    """
    java_class(f"{_LUCENE}.document.Document")  # before jnius is imported, which would start a JVM without Lucene
    from importlib import metadata

    from jnius import JavaException

    try:
        java_class(f"{_LUCENE}.document.LateInteractionField")
    except JavaException:
        raise SetupError(
            f"Pyserini {metadata.version('pyserini')} has a Lucene without late interaction; install 2.3 or later, "
            "or re-rank from the token store itself"
        ) from None


def write_lucene_tokens(folder: Path, passages: Iterable[tuple[str, Vectors]], manifest: Manifest) -> None:
    """Write a Lucene index of token vectors.

    Parameters
    ----------
    folder : Path
        New directory.
    passages : iterable of (str, ndarray of float32, shape (tokens, dimension))
        Id and token vectors; they are written as they come.
    manifest : Manifest
        What they are; it is saved with the index, as ``late-interaction.json``, and its parameters say ``dimension``.

    Raises
    ------
    CheckpointError
        Lucene cannot write.
    """
    document, field, text, keep, content = (
        java_class(f"{_LUCENE}.{name}")
        for name in (
            "document.Document",
            "document.BinaryDocValuesField",
            "document.StringField",
            "document.Field$Store",
            "util.BytesRef",
        )
    )
    settings = java_class(f"{_LUCENE}.index.IndexWriterConfig")(
        java_class(f"{_LUCENE}.analysis.core.KeywordAnalyzer")()
    )
    # Merged in order, a passage's number in Lucene is its line in the list of ids.
    settings.setMergePolicy(java_class(f"{_LUCENE}.index.LogDocMergePolicy")())
    settings.setMergeScheduler(java_class(f"{_LUCENE}.index.SerialMergeScheduler")())
    settings.setUseCompoundFile(False)
    head = np.int32(manifest.parameters["dimension"]).astype("<i4").tobytes()
    with _java_errors(f"{folder.parent}: cannot be written; look whether the disk is full"):
        writer = java_class(f"{_LUCENE}.index.IndexWriter")(_directory(folder), settings)
        try:
            with write_text(folder / _IDS) as ids:
                for docid, vectors in passages:
                    made = document()
                    made.add(text(_ID, docid, keep.YES))
                    if len(vectors):  # the field takes no passage without tokens
                        made.add(field(_TOKENS, content(head + vectors.astype("<f4").tobytes())))
                    writer.addDocument(made)
                    ids.write(f"{docid}\n")
            writer.forceMerge(1)
            writer.close()
        except BaseException:
            writer.rollback()  # or this process could not write there again
            raise
    # Lucene sees for itself whether the vectors are cut off; to look at all of them would take longer than to re-rank.
    unchecked = ["write.lock", *(file.name for file in folder.glob("*.dvd"))]
    replace(manifest, outputs=fingerprint_files(folder, but=unchecked)).save(folder / RECORD)


def is_lucene_tokens(path: Pathish) -> bool:
    """Tell whether a path is an index of :func:`write_lucene_tokens`."""
    return (Path(path) / RECORD).is_file()


@dataclass(frozen=True)
class LuceneTokens:
    """An index of token vectors, open.

    Attributes
    ----------
    name : str
        Its folder, for messages.
    rows : dict of str to int
        Number of each passage by its id.
    dimension : int
        Length of the token vectors.
    made_by : str
        Fingerprint of the document encoder's token vectors.
    """

    name: str
    rows: dict[str, int]
    dimension: int
    made_by: str
    _searcher: Any

    @classmethod
    def open(cls, folder: Pathish) -> LuceneTokens:
        """Open what :func:`write_lucene_tokens` wrote.

        Raises
        ------
        CheckpointError
            A file is missing, cut off or not as it was written; the vectors are looked at for being cut off alone.
        SetupError
            As :func:`needs_late_interaction`.
        """
        needs_late_interaction()
        folder = Path(folder)
        manifest = Manifest.load(folder / RECORD)
        manifest.check(folder, REMEDY)
        with _java_errors(f"{folder}: damaged or of another Lucene; {REMEDY}"):
            reader = java_class(f"{_LUCENE}.index.DirectoryReader").open(_directory(folder))
        rows = {docid: row for row, (_, docid) in enumerate(read_lines(folder / _IDS))}
        if len(rows) != reader.maxDoc():
            raise CheckpointError(f"{folder}: has {reader.maxDoc()} passages and {len(rows)} ids; {REMEDY}")
        searcher = java_class(f"{_LUCENE}.search.IndexSearcher")(reader.getContext())
        dimension = int(manifest.parameters.get("dimension", 0))
        return cls(str(folder), rows, dimension, manifest.inputs.get("encoder", ""), searcher)

    def scores(self, query: Vectors, rows: Sequence[int]) -> list[float]:
        r"""Score some passages for a query by Lucene's rescorer, :math:`\sum_i \max_j \cos(q_i, d_j)`.

        Lucene sums :math:`(1 + \cos) / 2`, from which this is had back; a passage without tokens has the lowest score
        and a query without tokens gives 0 to all, as in :func:`~pyserini_optical.retrieve.maxsim.maxsim`.

        Parameters
        ----------
        query : ndarray of float32, shape (tokens, dimension)
            Its token vectors, of unit length.
        rows : sequence of int
            Numbers of the passages.

        Raises
        ------
        CheckpointError
            Vectors that Lucene cannot read, or a score that unit vectors cannot have: a passage's are damaged.
        """
        if not len(query) or not rows:
            return [0.0] * len(rows)
        similarity, rescorer, hit, hits, total, relation = (
            java_class(f"{_LUCENE}.{name}")
            for name in (
                "index.VectorSimilarityFunction",
                "search.LateInteractionRescorer",
                "search.ScoreDoc",
                "search.TopDocs",
                "search.TotalHits",
                "search.TotalHits$Relation",
            )
        )
        first = hits(total(len(rows), relation.EQUAL_TO), [hit(row, 0.0) for row in rows])
        rescoring = rescorer.create(_TOKENS, [row.tolist() for row in query], similarity.DOT_PRODUCT)
        damaged = f"{self.name}: the token vectors of a passage are damaged"
        with _java_errors(f"{damaged}; {REMEDY}"):
            found = {one.doc: one.score for one in rescoring.rescore(self._searcher, first, len(rows)).scoreDocs}
        scores = [2 * found[row] - len(query) for row in rows]
        most = 1.001 * float(np.linalg.norm(query, axis=1).sum())
        if not all(score <= most for score in scores):  # NaN is not
            raise CheckpointError(f"{damaged}; {REMEDY}")
        return scores


@contextmanager
def _java_errors(said: str) -> Iterator[None]:
    """Say in a sentence what Java would in many lines."""
    from jnius import JavaException

    try:
        yield
    except JavaException as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{said} ({reason})") from None


def _directory(folder: Path) -> Any:
    return java_class(f"{_LUCENE}.store.FSDirectory").open(java_class("java.io.File")(java_path(folder)).toPath())
