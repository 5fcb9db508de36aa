"""Which ids came before, among more than should stay in memory."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

# Ids that are looked at together: so many, or a quarter of those before, so that the work grows as their number does.
_BLOCK = 2**16


class Repeats:
    """Finds ids that come again, in 8 bytes an id (twice that while they are sorted): by their hashes.

    Two ids may share one, if hardly ever: two of 10 million ids do with a probability of 3 in a
    million. So what is found is to be looked at again.
    """

    def __init__(self) -> None:
        self._block = array("q")
        self._before: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def add(self, one: str) -> set[int]:
        """Take an id; give the hashes that came twice up to here, now and then."""
        self._block.append(hash(one))
        return self.rest() if len(self._block) >= max(_BLOCK, len(self._before) // 4) else set()

    def rest(self) -> set[int]:
        """Give the hashes that came twice, of all ids since the last answer."""
        block = np.sort(np.frombuffer(self._block, dtype=np.int64))
        self._block = array("q")
        twice = block[1:][block[1:] == block[:-1]]
        places = np.searchsorted(self._before, block).clip(max=max(len(self._before) - 1, 0))
        again = block[self._before[places] == block] if len(self._before) else block[:0]
        # Sorted runs, which this sort merges.
        self._before = np.concatenate([self._before, block])
        self._before.sort(kind="stable")
        return set(twice.tolist()) | set(again.tolist())
