"""How anything here is trained."""

from __future__ import annotations

from dataclasses import dataclass

from pyserini_optical.data.fields import is_folder_name
from pyserini_optical.errors import RecipeError


def check_name_and_seed(name: str, seed: int) -> None:
    """Check what every recipe has: a name that is its folder's, and a seed that numpy and torch take.

    Raises
    ------
    RecipeError
        One of them cannot be.
    """
    if not is_folder_name(name):
        raise RecipeError(f"name must be fit for a folder, got {name!r}")
    if not 0 <= seed < 2**32:
        raise RecipeError(f"seed must be from 0 to 2**32 - 1, got {seed}")


@dataclass(frozen=True)
class TrainingRecipe:
    """How the student is trained.

    Attributes
    ----------
    epochs : float
        Passes over the bitext; 0 leaves the student at its start.
    batch_size : int
        Sentence pairs a step.
    learning_rate : float
        Peak of AdamW's learning rate, after a linear warm-up and before a linear decay to zero.
    warmup : float
        Share of the steps that warm up.
    clip : float
        Largest norm of the gradient; 0 for no limit.
    max_length : int
        Sentences are cut after so many pieces.
    checkpoint_steps : int
        Every so many steps the state is saved, for a later process to go on from, and the development set is tried.
    patience : int
        Training ends after so many tries without a better one.
    """

    epochs: float = 3
    batch_size: int = 64
    learning_rate: float = 1e-4
    warmup: float = 0.1
    clip: float = 1.0
    max_length: int = 128
    checkpoint_steps: int = 200
    patience: int = 4

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("max_length", 3), ("checkpoint_steps", 1), ("patience", 1)):
            if getattr(self, name) < least:
                raise RecipeError(f"{name} must be at least {least}, got {getattr(self, name)!r}")
        if self.warmup > 1:
            raise RecipeError(f"warmup must be a share of the steps, from 0 to 1, got {self.warmup!r}")
