"""Translations that are there already: of people, or of a system that ran elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from pyserini_optical.data import fingerprint, read_topics
from pyserini_optical.data.fields import shown
from pyserini_optical.errors import InputError
from pyserini_optical.translation.translator import Spec, choose


class Table:
    """``table:FILE``, lines of ``id⇥translation``; a text is looked up by the id of its topic."""

    batch_size = 1000
    slow = False

    def __init__(self, spec: Spec) -> None:
        choose(spec, {})
        self.name, self.languages, self._path = spec.name, "", spec.what
        self._translations = read_topics(spec.what)
        self.version = f"table {fingerprint(spec.what)[:16]}"

    def translate(self, texts: Sequence[str], ids: Sequence[str]) -> list[str]:
        """Look translations up.

        Raises
        ------
        InputError
            A topic has none.
        """
        missing = [name for name in ids if name not in self._translations]
        if missing:
            others = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
            problem = f"has no translation of topic {shown(missing[0])}{others}"
            raise InputError(problem, path=self._path, remedy="check that it belongs to these topics")
        return [self._translations[name] for name in ids]
