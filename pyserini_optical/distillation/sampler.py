"""Batches of sentences of about the same length, in random order, the same for the same seed and epoch.

Several processes share each batch; then too the batches are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from typing import Any

import torch
from sentence_transformers.base.sampler import DefaultBatchSampler
from torch.utils.data import Sampler

# Sentences are sorted within random pools of so many batches: little padding, and yet other batches in each epoch.
_POOL = 50


class LengthGroupedBatchSampler(DefaultBatchSampler):  # type: ignore[misc]
    """Sorts by length within random pools, cuts into batches, and shuffles the batches.

    Parameters
    ----------
    dataset, batch_size, drop_last, valid_label_columns, generator, seed
        As sentence-transformers passes them.
    lengths : sequence of int
        Length of each row's text, in any unit.
    """

    def __init__(self, dataset: Any, *, lengths: Sequence[int], **arguments: Any) -> None:
        super().__init__(dataset, **arguments)
        if len(lengths) != len(dataset):
            raise ValueError(f"{len(lengths)} lengths for {len(dataset)} rows")
        self._lengths = torch.tensor(lengths)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self._lengths), generator=generator)
        batches: list[torch.Tensor] = []
        for pool in torch.split(order, _POOL * self.batch_size):
            ranked = pool[self._lengths[pool].argsort(descending=True, stable=True)]
            batches += torch.split(ranked, self.batch_size)
        if self.drop_last:
            batches = [batch for batch in batches if len(batch) == self.batch_size]
        for number in torch.randperm(len(batches), generator=generator).tolist():
            yield batches[number].tolist()

    def __len__(self) -> int:
        full, rest = divmod(len(self._lengths), int(self.batch_size))
        return full + (rest > 0 and not self.drop_last)


class SharedBatches(Sampler[list[int]]):
    """Cuts each batch into as many shares as there are processes, one after the other, for Accelerate to deal out.

    All shares of a batch are of the same length: the last ones are filled up with rows of the same batch, which
    :class:`~pyserini_optical.objectives.shares.Shares` leaves out. (Accelerate's own ``split_batches`` drops a short
    batch that is not the last one. Without an attribute ``batch_size`` it takes the shares as they are.)

    Parameters
    ----------
    batches : DefaultBatchSampler
        The whole batches.
    processes : int
        How many share them.
    """

    def __init__(self, batches: DefaultBatchSampler, processes: int) -> None:
        self._batches = batches
        self._processes = processes

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._batches:
            size = -(-len(batch) // self._processes)
            rows = list(islice(cycle(batch), size * self._processes))
            yield from (rows[start : start + size] for start in range(0, len(rows), size))

    def __len__(self) -> int:
        return self._processes * len(self._batches)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch's batches are wanted."""
        self._batches.set_epoch(epoch)


def by_length(lengths: Sequence[int]) -> Callable[..., LengthGroupedBatchSampler]:
    """Give what ``SentenceTransformerTrainingArguments(batch_sampler=…)`` takes, for rows of these lengths."""
    return partial(LengthGroupedBatchSampler, lengths=lengths)
