"""Translation word by word with a table learnt from a bitext."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyserini_optical.data.words import split_words
from pyserini_optical.translation.counting import TableSettings, word_table
from pyserini_optical.translation.translator import Spec, choose


class Learned:
    """``learned:BITEXT`` (or ``learned:BITEXT,BITEXT``): each word's best translation in a counted table.

    Words that the bitext lacks stay as they are.

    Options
    -------
    reverse : {"no", "yes"}
        From English into the other language.
    """

    batch_size = 1000
    slow = False

    def __init__(self, spec: Spec, work: Path) -> None:
        options = choose(spec, {"reverse": ("no", "yes")})
        self.name, self.languages = spec.name, ""
        settings = TableSettings(spec.what.split(","), reverse=options["reverse"] == "yes")
        self.version = f"learned {settings.fingerprint(None)[:16]}"
        self._table = word_table(settings, work)

    def translate(self, texts: Sequence[str], ids: Sequence[str]) -> list[str]:
        """Translate word by word; a text without words stays as it is."""
        return [" ".join(map(self._table.best, split_words(text))) or text for text in texts]
