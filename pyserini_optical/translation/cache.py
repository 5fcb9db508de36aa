"""Translations kept on disk, each under what made it: cut off anywhere, the next call goes on."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pyserini_optical.data.fields import shown
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
        """Give what a translator of this version made of these texts, as far as it is there.

        Raises
        ------
        InputError
            The file cannot be used, or a translation is not what was kept.
        """
        found: dict[str, str] = {}
        with self._open() as connection:
            for start in range(0, len(texts), _ASKED):
                asked = texts[start : start + _ASKED]
                places = ",".join("?" * len(asked))
                columns = "text, translation, checksum"
                question = f"SELECT {columns} FROM translations WHERE version = ? AND text IN ({places})"
                for text, translation, checksum in connection.execute(question, (version, *asked)):
                    # Those from before there were checksums have none.
                    kept = isinstance(translation, str) and checksum in (None, _checksum(version, text, translation))
                    if not kept:
                        problem = f"the translation of {shown(text)} is damaged"
                        remedy = "remove the file, and all is translated again"
                        raise InputError(problem, path=self._path, remedy=remedy)
                    found[text] = translation
        return found

    def add(self, version: str, translations: Mapping[str, str]) -> None:
        """Keep translations, all of them or none."""
        with self._open() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO translations (version, text, translation, checksum) VALUES (?, ?, ?, ?)",
                ((version, text, made, _checksum(version, text, made)) for text, made in translations.items()),
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=60)
            with connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS translations"
                    " (version TEXT, text TEXT, translation TEXT, checksum INT, PRIMARY KEY (version, text))"
                    " WITHOUT ROWID"
                )
                columns = connection.execute("SELECT name FROM pragma_table_info('translations')")
                if ("checksum",) not in columns.fetchall():
                    connection.execute("ALTER TABLE translations ADD COLUMN checksum INT")
                yield connection
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            remedy = "remove the file, or choose a directory that can be written to"
            raise InputError(f"cannot keep translations ({error})", path=self._path, remedy=remedy) from None
        finally:
            if connection is not None:
                connection.close()


def _checksum(*texts: str) -> int:
    """SQLite looks whether its pages fit each other, not at the texts in them."""
    return zlib.crc32("\0".join(texts).encode("utf-8", "surrogatepass"))
