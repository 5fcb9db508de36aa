"""From a recipe to a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyserini_optical.distillation.fine_tuning import FineTuningRecipe as FineTuningRecipe
    from pyserini_optical.distillation.fine_tuning import fine_tune as fine_tune
    from pyserini_optical.distillation.generator_training import GeneratorRecipe as GeneratorRecipe
    from pyserini_optical.distillation.generator_training import train_generator as train_generator
    from pyserini_optical.distillation.pipeline import distill as distill
    from pyserini_optical.distillation.recipe import Recipe as Recipe
    from pyserini_optical.distillation.recipe import load_recipe as load_recipe
    from pyserini_optical.distillation.training_data import make_training_data as make_training_data

__all__ = [
    "FineTuningRecipe",
    "GeneratorRecipe",
    "Recipe",
    "distill",
    "fine_tune",
    "load_recipe",
    "make_training_data",
    "train_generator",
]


def __getattr__(name: str) -> Any:
    if name == "distill":
        from pyserini_optical.distillation.pipeline import distill

        return distill
    if name in ("Recipe", "load_recipe"):
        from pyserini_optical.distillation import recipe

        return getattr(recipe, name)
    if name in ("FineTuningRecipe", "fine_tune"):
        from pyserini_optical.distillation import fine_tuning

        return getattr(fine_tuning, name)
    if name == "make_training_data":
        from pyserini_optical.distillation.training_data import make_training_data

        return make_training_data
    if name in ("GeneratorRecipe", "train_generator"):
        from pyserini_optical.distillation import generator_training

        return getattr(generator_training, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
