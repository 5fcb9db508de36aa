"""What ``optical.json`` of a checkpoint says: how it is used, and what made it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pyserini_optical.data import write_text
from pyserini_optical.errors import CheckpointError
from pyserini_optical.models.fixed_dimensional import FixedDimensional

OPTICAL_JSON = "optical.json"


@dataclass(frozen=True)
class Provenance:
    """What ``optical.json`` says: how the checkpoint is used, and what made it.

    Attributes
    ----------
    documents : str
        ``self``, or the name of the model that encodes the documents.
    documents_fingerprint : str or None
        Fingerprint of that model's weights, checked when it is loaded.
    recipe : dict
        The recipe that made the checkpoint, as it ran.
    inputs : dict
        Fingerprints of the bitext and of the teacher.
    versions : dict
        Versions of the packages that were used.
    fixed_dimensional : FixedDimensional or None
        Shape of the fixed-dimensional encodings, for a checkpoint made for late interaction; None for that of its
        document encoder, or else 20 repetitions of 4 bits and 8 dimensions: 2,560 numbers, one of the paper's shapes
        on the Pareto front that Lucene's indexes, of 4,096 at most, hold too.
    """

    documents: str = "self"
    documents_fingerprint: str | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    fixed_dimensional: FixedDimensional | None = None

    def save(self, folder: Path) -> None:
        """Write ``optical.json`` into a checkpoint."""
        with write_text(folder / OPTICAL_JSON) as stream:
            json.dump(asdict(self), stream, indent=2, ensure_ascii=False, sort_keys=True)
            stream.write("\n")

    @classmethod
    def load(cls, folder: str) -> Provenance:
        """Read ``optical.json`` of a checkpoint; a folder or hub model without one encodes its own documents.

        Raises
        ------
        CheckpointError
            The file is damaged or has an unknown form.
        """
        path = Path(folder) / OPTICAL_JSON
        if not path.is_file():
            return cls()
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(read, dict) and read.get("fixed_dimensional") is not None:
                read["fixed_dimensional"] = FixedDimensional(**read["fixed_dimensional"])
            found = cls(**read)
            if not isinstance(found.documents, str) or not isinstance(found.documents_fingerprint, str | None):
                raise ValueError("documents and its fingerprint must be texts")
            if not all(isinstance(part, dict) for part in (found.recipe, found.inputs, found.versions)):
                raise ValueError("recipe, inputs and versions must be keys and values")
            json.dumps(read, ensure_ascii=False, default=str).encode()  # no half of a surrogate pair
        except (OSError, ValueError, TypeError, RecursionError, CheckpointError) as error:
            raise CheckpointError(f"{path}: damaged ({error}); distil or copy the checkpoint again") from None
        return found
