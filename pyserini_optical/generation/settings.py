"""How many questions are generated, and how."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyserini_optical.errors import RecipeError
from pyserini_optical.models.query_generator import Decoding


@dataclass(frozen=True)
class Generation:
    """How many questions are generated, and how.

    Attributes
    ----------
    passages : int or None
        Of so many passages, drawn with the seed; None for all.
    number : int
        Questions a passage, before filtering.
    decoding : Decoding
        How they are written.
    """

    passages: int | None = None
    number: int = 1
    decoding: Decoding = field(default_factory=Decoding)

    def __post_init__(self) -> None:
        for name in ("passages", "number"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RecipeError(f"{name} must be at least 1, got {value}")
