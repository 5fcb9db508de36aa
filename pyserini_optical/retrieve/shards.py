"""Shards of a corpus on disk: consecutive passages, whose ids lie in one file with what was made of them beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.data import Passage, read_corpus, read_lines, write_beside, write_text
from pyserini_optical.errors import CheckpointError, InputError

Arrays = dict[str, NDArray[Any]]

# Shards a folder: every writer looks through its folder for what killed ones left, which must not grow with the corpus.
_FOLDER = 1000


class Shard(NamedTuple):
    """Consecutive passages: their ids, and what was made of them."""

    docids: list[str]
    arrays: Arrays


@dataclass(frozen=True)
class Shards:
    """The shards of a corpus, each written once and by any process, in any order.

    Attributes
    ----------
    folder : Path
        Where they lie, as ``000/000012.docid`` and ``000/000012.npz``.
    corpus : Path
        The corpus.
    passages : int
        How many it has.
    size : int
        Passages a shard; the last may have fewer.
    """

    folder: Path
    corpus: Path
    passages: int
    size: int

    def __len__(self) -> int:
        return -(-self.passages // self.size)

    def __iter__(self) -> Iterator[Shard]:
        """Load one after the other; they must all be there."""
        return map(self._load, range(len(self)))

    def written(self) -> set[int]:
        """Give the numbers of those that are there."""
        found = (ids.stem for ids in self.folder.glob("[0-9]*/[0-9]*.docid"))
        return {int(stem) for stem in found if stem.isdecimal()} & set(range(len(self)))

    def read(self) -> Iterator[tuple[int, list[Passage]]]:
        """Yield number and passages of every shard, from the corpus."""
        passages = read_corpus(self.corpus)
        for number in count():
            shard = list(islice(passages, self.size))
            if not shard:
                return
            yield number, shard

    def count(self, number: int) -> int:
        """Give how many passages a shard has."""
        return min(self.size, self.passages - number * self.size)

    def add(self, number: int, passages: list[Passage], encode: Callable[[list[str]], Arrays]) -> bool:
        """Encode a shard and write it, unless it is there; say which.

        The arrays have checksums of their own in the file, the ids are compared.
        """
        ids = self._ids(number)
        if ids.is_file():
            try:
                if [docid for _, docid in read_lines(ids)] == [passage.id for passage in passages]:
                    return False
            except InputError:
                pass
        arrays = encode([passage.text for passage in passages])
        with write_beside(ids.with_suffix(".npz")) as temporary:
            np.savez(temporary, **arrays)  # type: ignore[arg-type]
        # The ids come last: where they are, the shard is complete.
        with write_text(ids) as file:
            file.writelines(f"{passage.id}\n" for passage in passages)
        return True

    def _ids(self, number: int) -> Path:
        return self.folder / f"{number // _FOLDER:03d}" / f"{number:06d}.docid"

    def _load(self, number: int) -> Shard:
        docids = [docid for _, docid in read_lines(self._ids(number))]
        path, passages = self._ids(number).with_suffix(".npz"), self.count(number)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            lengths = arrays.get("lengths")
            rows = passages if lengths is None else int(lengths.sum())
            whole = len(docids) == passages == len(arrays.get("lengths", docids)) and all(
                len(array) == rows for name, array in arrays.items() if name != "lengths"
            )
        except Exception:  # NumPy's readers raise many kinds
            whole = False
        if not whole:
            remedy = f"remove the folder {self.folder} and encode again"
            raise CheckpointError(f"{path}: this shard is damaged; {remedy}")
        return Shard(docids, arrays)
