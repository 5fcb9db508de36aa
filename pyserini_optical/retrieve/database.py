r"""Collections in LanceDB, an engine without a server that retrieves by inner product and by MaxSim.

A database is a folder with one table, ``passages``: ``id`` and ``vector`` of each passage, which is one vector, or one
a token. The manifest of what is in it stands in the table's metadata, so that it goes wherever the table goes.

For a query of M vectors the engine's distance is :math:`\sum_{i=1}^M \min_j (1 - \cos(q_i, d_j))`, which is M less
MaxSim. Without a vector index it is computed for every passage. With one, passages are found by the nearest vectors of
each query vector, and the distance of those is computed anew.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyserini_optical.data import Manifest, Pathish
from pyserini_optical.errors import CheckpointError, SetupError
from pyserini_optical.progress import progress

if TYPE_CHECKING:
    from pyserini_optical.models import Encoder
    from pyserini_optical.retrieve.maxsim import Vectors

Run = dict[str, dict[str, float]]

TABLE, ID, VECTOR = "passages", "id", "vector"

# The manifest's place among the table's metadata.
METADATA = b"pyserini-optical"

# With an index, so many times the hits are found by it, of which the true scores decide.
_REFINED = 4

_BATCH = 64


def engine() -> Any:
    """Give the module ``lancedb``.

    Raises
    ------
    SetupError
        It is not installed.
    """
    try:
        return importlib.import_module("lancedb")
    except ImportError:
        raise SetupError("LanceDB is not installed; run `pip install 'pyserini-optical[scale]'`") from None


def is_database(path: Pathish) -> bool:
    """Tell whether a path is a database rather than an index, a token store or a corpus."""
    return (Path(path) / f"{TABLE}.lance").is_dir()


@dataclass(frozen=True)
class Database:
    """What :func:`~pyserini_optical.retrieve.export.export_collection` made.

    Attributes
    ----------
    name : str
        Where it lies, for messages.
    table : lancedb.table.Table
        The passages.
    manifest : Manifest
        What they were made from.
    multi_vector : bool
        Whether a passage has one vector a token.
    dimension : int
        Length of the vectors.
    """

    name: str
    table: Any
    manifest: Manifest
    multi_vector: bool
    dimension: int

    @classmethod
    def open(cls, folder: Pathish) -> Database:
        """Open a database; nothing of the vectors is read.

        Raises
        ------
        CheckpointError
            It cannot be opened, or is not one of ours.
        SetupError
            LanceDB is not installed.
        """
        lancedb = engine()
        if not is_database(folder):  # the engine would make an empty one
            raise CheckpointError(f"{folder}: not a database; make one with `export`")
        with _engine_errors(folder):
            table = lancedb.connect(folder).open_table(TABLE)
            schema = table.schema
        try:
            manifest = Manifest(**json.loads(schema.metadata[METADATA]))
            of_tokens, dimension = manifest.parameters["multi-vector"], manifest.parameters["dimension"]
        except (KeyError, TypeError, ValueError):
            raise CheckpointError(f"{folder}: a database that is not ours; make one with `export`") from None
        return cls(str(folder), table, manifest, of_tokens, dimension)

    @cached_property
    def indexed(self) -> bool:
        """Whether the engine has an index of the vectors, ours or one that was built since."""
        with _engine_errors(self.name):
            return any(VECTOR in index.columns for index in self.table.list_indices())

    def check(self, encoder: Encoder) -> None:
        """Refuse an encoder with other documents than these.

        Raises
        ------
        CheckpointError
            The vectors were made by another document encoder than the encoder's, or have another length.
        """
        made_by = self.manifest.inputs.get("encoder")
        fingerprint = encoder.token_fingerprint if self.multi_vector else encoder.document_fingerprint
        remedy = f"export what `encode {encoder.name}` makes"
        if made_by and made_by != fingerprint:  # an index of Pyserini's does not say what made it
            problem = f"made by another document encoder than {encoder.name} searches with"
            raise CheckpointError(f"{self.name}: {problem}; {remedy}")
        if self.multi_vector and encoder.weighs_queries:
            raise CheckpointError(
                f"{self.name}: compares token vectors by their cosine, and {encoder.name} weighs those of queries; "
                "search its token store"
            )
        length = encoder.token_dimension if self.multi_vector else encoder.dimension
        if self.dimension != length:
            problem = f"has vectors of {self.dimension} dimensions, {encoder.name} of {length}"
            raise CheckpointError(f"{self.name}: {problem}; {remedy}")

    def best(self, query: Vectors, hits: int) -> dict[str, float]:
        """Score the best passages for a query: by inner product, or by MaxSim if they have one vector a token.

        Parameters
        ----------
        query : ndarray of float32, shape (dimension,) or (tokens of the query, dimension)
            The query's vector, or its token vectors.
        hits : int
            Passages, at most. A passage without tokens is not found, and a query without tokens finds nothing.
        """
        if not len(query):
            return {}
        request = self.table.search(query, vector_column_name=VECTOR)
        request = request.distance_type("cosine" if self.multi_vector else "dot").limit(hits)
        if self.indexed:
            request = request.refine_factor(_REFINED)
        with _engine_errors(self.name):
            found = request.select([ID, "_distance"]).to_arrow()
        most = len(query) if self.multi_vector else 1
        scores = most - found["_distance"].to_numpy()
        return dict(zip(found[ID].to_pylist(), scores.tolist(), strict=True))


def search_database(encoder: Encoder, folder: Pathish, texts: Mapping[str, str], hits: int) -> Run:
    """Search a database for every topic.

    Parameters
    ----------
    encoder : Encoder
        It encodes the topics.
    folder : path-like
        The database.
    texts : mapping of str to str
        Text by topic id.
    hits : int
        Passages a topic.

    Returns
    -------
    dict of str to dict of str to float
        Inner product, or MaxSim, by passage id by topic id.

    Raises
    ------
    CheckpointError
        The database is broken, or was made by another document encoder than this encoder's.
    SetupError
        LanceDB is not installed.
    """
    database = Database.open(folder)
    database.check(encoder)
    encode = encoder.query_tokens if database.multi_vector else encoder.encode_queries
    found: Run = {}
    names = list(texts)
    with progress("searching topics", len(names)) as advance:
        for start in range(0, len(names), _BATCH):
            some = names[start : start + _BATCH]
            for name, query in zip(some, encode([texts[name] for name in some]), strict=True):
                found[name] = database.best(query, hits)
                advance(1)
    return found


@contextmanager
def _engine_errors(folder: Pathish) -> Iterator[None]:
    """Say in one sentence that the engine cannot read a database.

    Raises
    ------
    CheckpointError
        Whatever the engine raised.
    """
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        problem = f"the engine cannot read it ({reason})"
        raise CheckpointError(f"{folder}: {problem}; remove the folder and export the collection again") from None
