"""Topics: the queries of an evaluation, one ``id⇥text`` a line."""

from __future__ import annotations

from collections.abc import Mapping

from pyserini_optical.data.fields import checked_id, checked_text, one_line, shown
from pyserini_optical.data.files import Pathish, read_lines, write_text
from pyserini_optical.errors import InputError


def read_topics(path: Pathish) -> dict[str, str]:
    """Read topics, ``id⇥text`` a line; ids are text, so leading zeros stay.

    Parameters
    ----------
    path : path-like
        The file, plain, ``.gz`` or ``.xz``.

    Returns
    -------
    dict of str to str
        Text by id, in the order of the file, white space collapsed.

    Raises
    ------
    InputError
        A line without exactly two columns, an empty text, an id that is empty, repeated or holds white space, or no
        topic.
    """
    topics: dict[str, str] = {}
    for number, line in read_lines(path):
        columns = line.split("\t")
        if len(columns) != 2:
            problem = f"expected 2 columns separated by a tab, found {len(columns)}"
            raise InputError(problem, path=path, line=number, remedy="write id⇥text")
        topic = checked_id(columns[0], "topic id", path=path, line=number)
        if topic in topics:
            problem = f"topic id {shown(topic)} stands twice"
            raise InputError(problem, path=path, line=number, remedy="every topic needs an id of its own")
        topics[topic] = one_line(checked_text(columns[1], "topic text", path=path, line=number))
    if not topics:
        raise InputError("holds no topics", path=path, remedy="check that it is the right file")
    return topics


def write_topics(path: Pathish, topics: Mapping[str, str]) -> None:
    """Write topics as :func:`read_topics` reads them, white space collapsed; the file appears when it is complete.

    Raises
    ------
    InputError
        There is none, an id is empty or holds white space, or a text is empty; then nothing is written.
    """
    if not topics:
        raise InputError("no topics to write", path=path, remedy="check the topics that were read")
    with write_text(path) as file:
        for topic, text in topics.items():
            checked_id(topic, "topic id", path=path)
            file.write(f"{topic}\t{one_line(checked_text(text, f'text of topic {shown(topic)}', path=path))}\n")
