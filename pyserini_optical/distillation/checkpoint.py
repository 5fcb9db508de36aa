"""A checkpoint being made: recognised when it is there already, its parts kept in a work folder until it is whole."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyserini_optical.data import Manifest, Pathish, fingerprint_files, write_text
from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.progress import say

if TYPE_CHECKING:
    from pyserini_optical.distillation.training import Model
    from pyserini_optical.models.provenance import Provenance

MANIFEST = "manifest.json"

# What makes checkpoints; an index or a study has a manifest too, and must not be replaced by one.
_STEPS = ("distill", "fine-tune", "train-generator")


class Checkpoint:
    """Where a checkpoint goes, and the work folder ``.NAME.work`` beside it, from which a later process goes on.

    Parameters
    ----------
    output : path-like
        Folder of the checkpoint.

    Raises
    ------
    InputError
        Something else is there.
    """

    def __init__(self, output: Pathish) -> None:
        self.output = Path(output).absolute()
        self.work = self.output.parent / f".{self.output.name}.work"
        if self.output.exists() and not _is_ours(self.output) and not _is_empty(self.output):
            remedy = "choose another --output or remove it"
            raise InputError("exists and is not a checkpoint of ours", path=self.output, remedy=remedy)

    def is_made(self, manifest: Manifest) -> bool:
        """Tell whether it is there, made from the same things."""
        if not (self.output / "model.safetensors").is_file() or not _stands_for(self.output, manifest):
            return False
        try:
            Manifest.load(self.output / MANIFEST).check(self.output, "it is made again")
        except CheckpointError as error:
            say(str(error))
            return False
        say(f"{self.output}: is there already, made from the same recipe and data")
        if self.work.exists():  # of a process that was killed in its last moment
            self._remove_work()
        return True

    def claim(self, manifest: Manifest) -> Path:
        """Give the work folder: that of an earlier process if it was for the same thing, else an empty one.

        Raises
        ------
        InputError
            It cannot be written.
        """
        if self.work.exists() and not _stands_for(self.work, manifest):
            self._remove_work()
        try:
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            remedy = "choose an output directory that can be written to"
            raise InputError(f"cannot be written ({error.strerror})", path=self.work, remedy=remedy) from None
        manifest.save(self.work / MANIFEST)
        return self.work

    def save(
        self, model: Model, manifest: Manifest, provenance: Provenance, card: str, log: list[dict[str, Any]]
    ) -> Path:
        """Write the checkpoint beside, put it in its place, and remove the work folder."""
        from pyserini_optical.models.device import machine
        from pyserini_optical.models.transformer import save_transformer

        beside = self.work / "checkpoint"
        shutil.rmtree(beside, ignore_errors=True)
        save_transformer(model, beside)
        # What decides the vectors; `optical.json` may be changed by hand, and has fingerprints of its own.
        manifest = replace(manifest, outputs=fingerprint_files(beside), machine=machine(str(model.device)))
        provenance.save(beside)
        with write_text(beside / "README.md") as stream:
            stream.write(card)
        with write_text(beside / "training.json") as stream:
            json.dump(log, stream, indent=1, sort_keys=True)  # a log that was read again is sorted
            stream.write("\n")
        manifest.save(beside / MANIFEST)
        if self.output.exists():
            # Moved as a whole: half removed, it would not be known for ours by the next process.
            replaced = self.work / "replaced"
            shutil.rmtree(replaced, ignore_errors=True)
            os.replace(self.output, replaced)
        os.replace(beside, self.output)
        self._remove_work()
        return self.output

    def _remove_work(self) -> None:
        (self.work / MANIFEST).unlink(missing_ok=True)  # first: from a folder that is half removed none goes on
        shutil.rmtree(self.work)


def _stands_for(folder: Path, manifest: Manifest) -> bool:
    return (folder / MANIFEST).is_file() and Manifest.load(folder / MANIFEST).matches(manifest)


def _is_ours(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() and Manifest.load(folder / MANIFEST).step in _STEPS


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
