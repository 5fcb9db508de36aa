"""Translations kept on disk, each under what made it: cut off anywhere, the next call goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pyserini_optical.errors import InputError

# SQLite's oldest limit on the parameters of a question is 999.
_ASKED = 900


class TranslationCache:
    """A file of translations by translator and text.

    Parameters
    ----------
    path : Path
        An SQLite file; made if it is not there. Several processes may use it at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def known(self, version: str, texts: Sequence[str]) -> dict[str, str]:
        """Give what a translator of this version made of these texts, as far as it is there."""
        found: dict[str, str] = {}
        with self._open() as connection:
            for start in range(0, len(texts), _ASKED):
                asked = texts[start : start + _ASKED]
                places = ",".join("?" * len(asked))
                question = f"SELECT text, translation FROM translations WHERE version = ? AND text IN ({places})"
                found.update(connection.execute(question, (version, *asked)).fetchall())
        return found

    def add(self, version: str, translations: Mapping[str, str]) -> None:
        """Keep translations, all of them or none."""
        rows = [(version, text, translation) for text, translation in translations.items()]
        with self._open() as connection:
            connection.executemany("INSERT OR REPLACE INTO translations VALUES (?, ?, ?)", rows)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=60)
            with connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS translations"
                    " (version TEXT, text TEXT, translation TEXT, PRIMARY KEY (version, text)) WITHOUT ROWID"
                )
                yield connection
        except (sqlite3.Error, OSError) as error:
            remedy = "remove the file, or choose a directory that can be written to"
            raise InputError(f"cannot keep translations ({error})", path=self._path, remedy=remedy) from None
        finally:
            if connection is not None:
                connection.close()
