"""Training that survives a batch whose gradient is no number: the batch is skipped, counted and said."""

from __future__ import annotations

import math
from typing import Any

import torch

from pyserini_optical.errors import RecipeError
from pyserini_optical.progress import say

# One bad batch is the data's fault; so many in a row are the recipe's.
_MOST_IN_A_ROW = 10


class SkipsBadBatches:
    """A mixin for transformers' trainers: where a gradient is NaN or infinite, the step leaves the weights as they are.

    The optimizer's moments stay too, the learning rate's schedule goes on. The trainer's log, and with it a
    checkpoint's ``training.json``, gets an entry ``{"step": …, "skipped_batches": how many so far}``. The gradient is
    looked at rather than the loss, since several processes have it in common.

    Raises
    ------
    RecipeError
        Ten batches in a row had such gradients, or all of a shorter training.
    """

    _in_a_row = 0

    def training_step(self: Any, model: Any, inputs: Any, *arguments: Any, **options: Any) -> torch.Tensor:
        """Run one batch forwards and backwards."""
        loss: torch.Tensor = super().training_step(model, inputs, *arguments, **options)  # type: ignore[misc]
        # Clipped to infinity: the norm alone is wanted.
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), math.inf)
        if norm.isfinite():
            self._in_a_row = 0
            return loss
        # Without a gradient the optimizer passes a weight by.
        model.zero_grad(set_to_none=True)
        self._in_a_row += 1
        if self._in_a_row >= min(_MOST_IN_A_ROW, self.state.max_steps):
            raise RecipeError(
                f"training diverged: {self._in_a_row} batches in a row with a gradient that is not finite; "
                "lower training.learning_rate"
            )
        skipped = 1 + sum("skipped_batches" in entry for entry in self.state.log_history)
        step = self.state.global_step + 1
        self.state.log_history.append({"step": step, "skipped_batches": skipped})
        say(f"step {step}: the gradient is not finite, so this batch is skipped ({skipped} so far)")
        return torch.zeros_like(loss)
