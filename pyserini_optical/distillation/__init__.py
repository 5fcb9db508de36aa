"""From a recipe to a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyserini_optical.distillation.pipeline import distill as distill
    from pyserini_optical.distillation.recipe import Recipe as Recipe
    from pyserini_optical.distillation.recipe import load_recipe as load_recipe

__all__ = ["Recipe", "distill", "load_recipe"]


def __getattr__(name: str) -> Any:
    if name == "distill":
        from pyserini_optical.distillation.pipeline import distill

        return distill
    if name in ("Recipe", "load_recipe"):
        from pyserini_optical.distillation import recipe

        return getattr(recipe, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
