"""Sentence pairs: read in four formats, without those that would teach nothing or spoil an evaluation."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from pyserini_optical.data.fields import checked_text, one_line, shown
from pyserini_optical.data.files import Pathish, plain_suffix, read_lines
from pyserini_optical.data.freedict import index_of, is_freedict, read_freedict
from pyserini_optical.data.jsonl import read_objects, string
from pyserini_optical.data.manifest import fingerprint, fingerprint_texts
from pyserini_optical.errors import InputError

_MAX_RATIO = 3
# Below this many characters a side counts as this long: "Ndiyo." may well be "Yes, that is how it is."
_SHORT = 10
# A Han character, kana or Hangul syllable says about as much as three letters.
_WIDE = 3


class Pair(NamedTuple):
    """A sentence, its English translation, and where the pair comes from (may be empty)."""

    foreign: str
    english: str
    source: str = ""


@dataclass(frozen=True)
class FilterReport:
    """What :func:`filter_bitext` kept and dropped.

    Attributes
    ----------
    kept : int
        Pairs that stay.
    dropped : dict of str to int
        Pairs left out, by reason (every reason is a key): ``identical sides``, ``length ratio``, ``duplicate``,
        ``evaluation text``. A pair counts under the first that holds.
    """

    kept: int
    dropped: dict[str, int]

    def __str__(self) -> str:
        """Say it in one line."""
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.dropped.items())
        return f"kept {self.kept:,} of {self.kept + sum(self.dropped.values()):,} pairs; dropped: {reasons}"


def read_bitext(path: Pathish) -> list[Pair]:
    """Read sentence pairs from one file; its suffix says the format.

    ``.tsv``: ``foreign⇥english[⇥source]``, no quoting. ``.jsonl``: objects with ``foreign``, ``english`` and perhaps
    ``source``; other keys are passed over. Either may end in ``.gz`` or ``.xz``. White space is collapsed.
    ``.dict`` and ``.dict.dz``: a word list of FreeDict (:mod:`~pyserini_optical.data.freedict`).

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    list of Pair
        In the order of the file.

    Raises
    ------
    InputError
        Another suffix, a line that is not as above, an empty side, or no pair at all.
    """
    suffix = plain_suffix(path)
    if is_freedict(path):
        pairs = [Pair(foreign, english, "freedict") for foreign, english in read_freedict(path)]
    elif suffix == ".tsv":
        pairs = list(_tab_separated(path))
    elif suffix == ".jsonl":
        pairs = list(_json_lines(path))
    else:
        problem = (
            f"the suffix {shown(suffix)} names no bitext format" if suffix else "no suffix, so no known bitext format"
        )
        raise InputError(problem, path=path, remedy="use .tsv or .jsonl, plain or followed by .gz or .xz, or .dict.dz")
    return _some(pairs, path)


def fingerprint_bitext(path: Pathish) -> str:
    """Give the fingerprint of what :func:`read_bitext` reads: the file's, and of FreeDict's word lists the index's too.

    Raises
    ------
    InputError
        A file is missing or may not be read.
    """
    own = fingerprint(path)
    return fingerprint_texts([own, fingerprint(index_of(path))]) if is_freedict(path) else own


def read_moses(foreign_path: Pathish, english_path: Pathish) -> list[Pair]:
    """Read sentence pairs from two parallel files, one sentence a line (Moses and OPUS name them so).

    Parameters
    ----------
    foreign_path, english_path : path-like
        The two sides, plain, ``.gz`` or ``.xz``, with the same number of lines.

    Returns
    -------
    list of Pair
        In the order of the files, white space collapsed, without a source.

    Raises
    ------
    InputError
        The files differ in length (the message names both), a line is empty, or there is none.
    """
    pairs = []
    foreign_lines = english_lines = 0
    for foreign, english in zip_longest(read_lines(foreign_path), read_lines(english_path)):
        if foreign is not None:
            foreign_lines = foreign[0]
        if english is not None:
            english_lines = english[0]
        if foreign is not None and english is not None:
            left = checked_text(foreign[1], "foreign sentence", path=foreign_path, line=foreign[0])
            right = checked_text(english[1], "English sentence", path=english_path, line=english[0])
            pairs.append(Pair(one_line(left), one_line(right)))
    if foreign_lines != english_lines:
        raise InputError(
            f"{foreign_lines} lines, but {Path(english_path)} has {english_lines}",
            path=foreign_path,
            line=min(foreign_lines, english_lines) + 1,
            remedy="line n of one file must translate line n of the other",
        )
    return _some(pairs, foreign_path)


def filter_bitext(pairs: Iterable[Pair], *, exclude: Iterable[str] = ()) -> tuple[list[Pair], FilterReport]:
    """Leave out pairs that teach nothing, or that an evaluation would meet again.

    Out are, in this order: pairs with identical sides; those with one side over three times as long as the other;
    repetitions of a pair (the first stays); those with a side that is one of the ``exclude`` texts. Sides are compared
    without regard to case and white space, with ``exclude`` also without regard to punctuation. Length is counted in
    characters, a Han character, kana or Hangul syllable as three, and a side under 10 as 10, since short
    sentences vary more.

    Parameters
    ----------
    pairs : iterable of Pair
        The bitext.
    exclude : iterable of str
        Evaluation text in either language: questions, translated questions, test sentences.

    Returns
    -------
    kept : list of Pair
        What stays, in order.
    report : FilterReport
        How many went, and why.
    """
    sealed = {_words(text) for text in exclude}
    seen: set[tuple[str, str]] = set()
    kept: list[Pair] = []
    dropped = dict.fromkeys(("identical sides", "length ratio", "duplicate", "evaluation text"), 0)
    for pair in pairs:
        key = _folded(pair.foreign), _folded(pair.english)
        lengths = [max(_length(side), _SHORT) for side in key]
        if key[0] == key[1]:
            dropped["identical sides"] += 1
        elif max(lengths) > _MAX_RATIO * min(lengths):
            dropped["length ratio"] += 1
        elif key in seen:
            dropped["duplicate"] += 1
        elif sealed and not sealed.isdisjoint(map(_words, key)):
            dropped["evaluation text"] += 1
        else:
            kept.append(pair)
        seen.add(key)
    return kept, FilterReport(len(kept), dropped)


def _tab_separated(path: Pathish) -> Iterator[Pair]:
    for number, line in read_lines(path):
        columns = line.split("\t")
        if len(columns) not in (2, 3):
            raise InputError(
                f"expected 2 or 3 columns separated by tabs, found {len(columns)}",
                path=path,
                line=number,
                remedy="write foreign⇥english or foreign⇥english⇥source",
            )
        yield _pair(columns, path, number)


def _json_lines(path: Pathish) -> Iterator[Pair]:
    for number, record in read_objects(path):
        missing = [f"`{key}`" for key in ("foreign", "english") if key not in record]
        if missing:
            found = shown(", ".join(sorted(record))) if record else "none"
            problem = f"no {' and no '.join(missing)} (keys found: {found})"
            raise InputError(problem, path=path, line=number, remedy="rename the key that holds it")
        given = ["foreign", "english"] + (["source"] if record.get("source") is not None else [])
        yield _pair([string(record[key], key, path=path, line=number) for key in given], path, number)


def _pair(columns: list[str], path: Pathish, line: int) -> Pair:
    foreign, english, *source = columns
    return Pair(
        one_line(checked_text(foreign, "foreign sentence", path=path, line=line)),
        one_line(checked_text(english, "English sentence", path=path, line=line)),
        *map(one_line, source),
    )


def _some(pairs: list[Pair], path: Pathish) -> list[Pair]:
    if not pairs:
        raise InputError("holds no sentence pairs", path=path, remedy="check that it is the right file")
    return pairs


def _folded(text: str) -> str:
    return one_line(unicodedata.normalize("NFKC", text).casefold())


def _words(text: str) -> str:
    folded = _folded(text)
    # A text without any letter or number is compared as it is.
    return one_line(folded.translate(_punctuation_to_space)) or folded


def _length(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(_WIDE if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


class _PunctuationToSpace(dict[int, str]):
    """A table for ``str.translate`` that fills itself: letters, marks and numbers stay.

    The marks matter: without its vowel signs a Hindi word falls apart.
    """

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = character if unicodedata.category(character)[0] in "LMN" else " "
        return self[code]


_punctuation_to_space = _PunctuationToSpace()
