"""Bad input: one clear message with the place, whatever is wrong, and never another exception."""

from __future__ import annotations

import gzip
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyserini_optical.data import (
    Manifest,
    files,
    read_bitext,
    read_corpus,
    read_moses,
    read_qrels,
    read_run,
    read_topics,
)
from pyserini_optical.errors import InputError

Reader = Callable[[Path], Any]


def corpus(path: Path) -> Any:
    return list(read_corpus(path))


def moses(path: Path) -> Any:
    return read_moses(path, path)


READERS: dict[str, Reader] = {
    "pairs.tsv": read_bitext,
    "pairs.jsonl": read_bitext,
    "side.txt": moses,
    "corpus.jsonl": corpus,
    "topics.tsv": read_topics,
    "qrels.txt": read_qrels,
    "run.trec": read_run,
    "manifest.json": Manifest.load,
}
GOOD = {
    "pairs.tsv": "habari\tnews\ttatoeba\n",
    "pairs.jsonl": '{"foreign": "habari", "english": "news"}\n',
    "side.txt": "habari\n",
    "corpus.jsonl": '{"id": "007", "text": "News."}\n',
    "topics.tsv": "007\thabari gani\n",
    "qrels.txt": "007 0 d1 1\n",
    "run.trec": "007 Q0 d1 1 0.5 tag\n",
    "manifest.json": '{"step": "s", "inputs": {}, "parameters": {}, "versions": {}}\n',
}
DEEP = "[" * 200_000
# Name of the file, its text, the line that the message names (None: none), words that it holds.
BAD: list[tuple[str, str, int | None, str]] = [
    ("pairs.tsv", "", None, "no sentence pairs"),
    ("pairs.tsv", "a\tb\n\nc\td\n", 2, "found 1"),
    ("pairs.tsv", "only one column\n", 1, "expected 2 or 3 columns"),
    ("pairs.tsv", "a\tb\tc\td\n", 1, "found 4"),
    ("pairs.tsv", "a\tb\n \tb\n", 2, "empty foreign sentence"),
    ("pairs.tsv", "a\tb\na\t\n", 2, "empty English sentence"),
    ("pairs.txt", "a\tb\n", None, "'.txt'"),
    ("pairs.gz", "a\tb\n", None, "no suffix"),
    ("pairs", "a\tb\n", None, "no suffix"),
    ("pairs.jsonl", "", None, "no sentence pairs"),
    ("pairs.jsonl", GOOD["pairs.jsonl"] + '{"foreign": "a"}\n', 2, "no `english` (keys found: 'foreign')"),
    ("pairs.jsonl", "{}\n", 1, "no `foreign` and no `english` (keys found: none)"),
    ("pairs.jsonl", '{"foreign": "a", "english": 3}\n', 1, "`english` is int"),
    ("pairs.jsonl", '{"foreign": null, "english": "b"}\n', 1, "`foreign` is null"),
    ("pairs.jsonl", '{"foreign": "a", "english": "b", "source": ["c"]}\n', 1, "`source` is list"),
    ("pairs.jsonl", '{"foreign": "a", "english": "  "}\n', 1, "empty English sentence"),
    ("pairs.jsonl", '{"foreign": "a", "english": "\\ud83d"}\n', 1, "surrogate"),
    ("pairs.jsonl", '{"foreign": "a\\u0000", "english": "b"}\n', 1, "NUL"),
    ("pairs.jsonl", DEEP, 1, "nested too deeply"),
    ("side.txt", "", None, "no sentence pairs"),
    ("side.txt", "a\n\nb\n", 2, "empty foreign sentence"),
    ("corpus.jsonl", "", None, "no passages"),
    ("corpus.jsonl", GOOD["corpus.jsonl"] + "{\n", 2, "not JSON"),
    ("corpus.jsonl", GOOD["corpus.jsonl"] + "\n", 2, "blank line"),
    ("corpus.jsonl", '{"id": "1", "text": "a"} {"id": "2", "text": "b"}\n', 1, "Extra data"),
    ("corpus.jsonl", '["1", "a"]\n', 1, "expected a JSON object, found list"),
    ("corpus.jsonl", '"text"\n', 1, "found str"),
    ("corpus.jsonl", '{"name": "1", "text": "a"}\n', 1, "no `id` or `_id` or `docid` (keys found: 'name, text')"),
    ("corpus.jsonl", '{"id": "1", "body": "a"}\n', 1, "no `text` or `contents` (keys found: 'body, id')"),
    ("corpus.jsonl", '{"id": "1", "text": " \\n "}\n', 1, "empty `text`"),
    ("corpus.jsonl", '{"id": "1", "contents": 5}\n', 1, "`contents` is int"),
    ("corpus.jsonl", '{"id": "1", "text": "a", "title": NaN}\n', 1, "NaN"),
    ("corpus.jsonl", '{"id": "1", "text": "a", "title": {}}\n', 1, "`title` is dict"),
    ("corpus.jsonl", '{"id": 1.0, "text": "a"}\n', 1, "`id` is float"),
    ("corpus.jsonl", '{"id": true, "text": "a"}\n', 1, "`id` is bool"),
    ("corpus.jsonl", '{"id": null, "text": "a"}\n', 1, "`id` is null"),
    ("corpus.jsonl", f'{{"id": {"9" * 5000}, "text": "a"}}\n', 1, "not usable JSON"),
    ("corpus.jsonl", '{"id": "", "text": "a"}\n', 1, "empty id"),
    ("corpus.jsonl", '{"id": "a b", "text": "a"}\n', 1, "'a b' holds white space"),
    ("corpus.jsonl", '{"id": "a\\u00a0", "text": "a"}\n', 1, "white space"),
    ("corpus.jsonl", '{"id": "\\ufeff1", "text": "a"}\n', 1, "byte order mark"),
    ("corpus.jsonl", '{"id": "1", "text": "a"}\n{"id": 1, "text": "b"}\n', 2, "id '1' stands twice"),
    ("corpus.jsonl", '{"id": "1", "text": "a", "more": ' + DEEP, 1, "nested too deeply"),
    ("corpus.jsonl", '{"' + "k" * 100_000 + '": 1}\n', 1, "kkk..."),
    ("topics.tsv", "", None, "no topics"),
    ("topics.tsv", "1\tq\n\n", 2, "found 1"),
    ("topics.tsv", "1 question\n", 1, "expected 2 columns separated by a tab, found 1"),
    ("topics.tsv", "1\tq\tanswer\n", 1, "found 3"),
    ("topics.tsv", "1\t \n", 1, "empty topic text"),
    ("topics.tsv", "\tq\n", 1, "empty topic id"),
    ("topics.tsv", "1 \tq\n", 1, "white space"),
    ("topics.tsv", "01\tq\n1\tq\n01\tr\n", 3, "'01' stands twice"),
    ("topics.tsv", "1\tq\n\ufeff2\tq\n", 2, "byte order mark"),
    ("qrels.txt", "", None, "no passage relevant"),
    ("qrels.txt", "1 0 d1 0\n1 0 d2 -1\n", None, "no passage relevant"),
    ("qrels.txt", "1 0 d1\n", 1, "expected 4 columns, found 3"),
    ("qrels.txt", "1 0 d1 1\n\n", 2, "found 0"),
    ("qrels.txt", "1 0 d1 1.0\n", 1, "relevance '1.0'"),
    ("qrels.txt", "1 0 d1 yes\n", 1, "relevance 'yes'"),
    ("qrels.txt", "1 0 d1 ١\n", 1, "not a whole number"),
    ("qrels.txt", "1 0 d1 1_0\n", 1, "not a whole number"),
    ("qrels.txt", "1 0 d1 1\n1 0 d1 0\n", 2, "'d1' stands twice for topic '1'"),
    ("run.trec", "", None, "no hits"),
    ("run.trec", "1 Q0 d1 1 0.5\n", 1, "expected 6 columns, found 5"),
    ("run.trec", "1 Q0 d1 1 0.5 my tag\n", 1, "found 7"),
    ("run.trec", "1 Q0 d1 -1 0.5 tag\n", 1, "rank '-1'"),
    ("run.trec", "1 Q0 d1 first 0.5 tag\n", 1, "rank 'first'"),
    ("run.trec", "1 Q0 d1 1.5 0.5 tag\n", 1, "rank '1.5'"),
    ("run.trec", "1 Q0 d1 1 high tag\n", 1, "score 'high'"),
    ("run.trec", "1 Q0 d1 1 nan tag\n", 1, "score 'nan'"),
    ("run.trec", "1 Q0 d1 1 -inf tag\n", 1, "score '-inf'"),
    ("run.trec", "1 Q0 d1 1 1e39 tag\n", 1, "score '1e39'"),
    ("run.trec", "1 Q0 d1 1 1e999 tag\n", 1, "score '1e999'"),
    ("run.trec", "1 Q0 d1 1 1_000 tag\n", 1, "score '1_000'"),
    ("run.trec", "1 Q0 d1 1 0,5 tag\n", 1, "score '0,5'"),
    ("run.trec", "1 Q0 d1 1 2 t\n1 Q0 d2 2 1 t\n1 Q0 d1 3 0 t\n", 3, "'d1' stands twice for topic '1'"),
    ("manifest.json", "", None, "not JSON"),
    ("manifest.json", '{"step": "s"}', None, "not a manifest"),
    ("manifest.json", GOOD["manifest.json"].replace('"s"', "1"), None, "not a manifest"),
    ("manifest.json", GOOD["manifest.json"].replace("{}", "[]", 1), None, "not a manifest"),
]


def refused(read: Reader, path: Path, line: int | None, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    place = f"{path}: " if line is None else f"{path}:{line}: "
    assert message.startswith(place)
    assert words in message
    assert ";" in message, "no remedy"
    assert "\n" not in message
    assert len(message) < 400 + len(str(path))


def packed(name: str, data: bytes) -> bytes:
    return gzip.compress(data) if name.endswith(".gz") else lzma.compress(data) if name.endswith(".xz") else data


@pytest.mark.parametrize(("name", "text", "line", "words"), BAD)
def test_malformed(tmp_path: Path, name: str, text: str, line: int | None, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(packed(name, text.encode()))
    refused(READERS.get(name, read_bitext), path, line, words)


@pytest.mark.parametrize("name", READERS)
def test_each_good_example_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(GOOD[name], encoding="utf-8")
    assert READERS[name](path)


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
@pytest.mark.parametrize("name", READERS)
def test_mark_and_carriage_returns_change_nothing(tmp_path: Path, name: str, suffix: str) -> None:
    plain, other = tmp_path / name, tmp_path / "other" / (name + suffix)
    other.parent.mkdir()
    plain.write_bytes(GOOD[name].encode())
    other.write_bytes(packed(other.name, b"\xef\xbb\xbf" + GOOD[name].replace("\n", "\r\n").encode()))
    assert READERS[name](other) == READERS[name](plain)


@pytest.mark.parametrize("name", READERS)
class TestEveryReader:
    """What may be wrong with any file."""

    def test_missing(self, tmp_path: Path, name: str) -> None:
        refused(READERS[name], tmp_path / name, None, "no such file")

    def test_below_a_file(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "file").touch()
        refused(READERS[name], tmp_path / "file" / name, None, "Not a directory")

    def test_name_too_long(self, tmp_path: Path, name: str) -> None:
        refused(READERS[name], tmp_path / ("n" * 300 + name), None, "name too long")

    def test_directory(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).mkdir()
        refused(READERS[name], tmp_path / name, None, "a directory")

    def test_latin_1(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(GOOD[name].encode() + "é".encode("latin-1"))
        refused(READERS[name], tmp_path / name, 2, "not UTF-8")

    def test_utf_16(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text(GOOD[name], encoding="utf-16")
        refused(READERS[name], tmp_path / name, 1, "not UTF-8")

    def test_nul(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(GOOD[name].encode() + b"\0")
        refused(READERS[name], tmp_path / name, 2, "NUL")

    @pytest.mark.parametrize("suffix", [".gz", ".xz"])
    def test_truncated(self, tmp_path: Path, name: str, suffix: str) -> None:
        path = tmp_path / (name + suffix)
        path.write_bytes(packed(path.name, GOOD[name].encode())[:-5])
        with pytest.raises(InputError, match=rf"^{re.escape(str(path))}:[12]: damaged or truncated"):
            READERS[name](path)

    @pytest.mark.parametrize("suffix", [".gz", ".xz"])
    def test_not_compressed(self, tmp_path: Path, name: str, suffix: str) -> None:
        path = tmp_path / (name + suffix)
        path.write_text(GOOD[name], encoding="utf-8")
        refused(READERS[name], path, 1, "damaged or truncated")

    @pytest.mark.parametrize("place", [-8, 10], ids=["checksum", "stream"])
    def test_wrong_byte(self, tmp_path: Path, name: str, place: int) -> None:
        path = tmp_path / f"{name}.gz"
        data = bytearray(gzip.compress(GOOD[name].encode()))
        data[place] ^= 0xFF
        path.write_bytes(data)
        with pytest.raises(InputError, match="damaged or truncated"):
            READERS[name](path)

    def test_endless_line(self, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "LONGEST_LINE", 1 << 20)
        path = tmp_path / f"{name}.gz"
        path.write_bytes(gzip.compress(GOOD[name].encode() + b"x" * (1 << 20) + b"\n"))
        refused(READERS[name], path, 2, "line of more than 1 MiB")


def test_moses_names_both_files_of_different_length(tmp_path: Path) -> None:
    left, right = tmp_path / "bitext.sw", tmp_path / "bitext.en"
    left.write_text("a\nb\nc\n", encoding="utf-8")
    right.write_text("a\n", encoding="utf-8")
    refused(lambda _: read_moses(left, right), left, 2, f"3 lines, but {right} has 1")
    refused(lambda _: read_moses(right, left), right, 2, f"1 lines, but {left} has 3")


def test_moses_names_the_side_with_the_empty_line(tmp_path: Path) -> None:
    left, right = tmp_path / "bitext.sw", tmp_path / "bitext.en"
    left.write_text("a\nb\n", encoding="utf-8")
    right.write_text("a\n\u3000\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"^{re.escape(str(right))}:2: empty English sentence"):
        read_moses(left, right)


fuzzed = st.one_of(
    st.binary(max_size=200),
    st.text(alphabet='{}[]":,.\\\t \n01-+einfNaxq\u0301\ufeff\ud7ff', max_size=200).map(str.encode),
)


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
@pytest.mark.parametrize("name", READERS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.booleans(), data=fuzzed, compress=st.booleans())
def test_any_bytes_give_a_result_or_an_input_error(
    tmp_path: Path, name: str, suffix: str, start: bool, data: bytes, compress: bool
) -> None:
    path = tmp_path / (name + suffix)
    content = GOOD[name].encode() * start + data
    path.write_bytes(packed(path.name, content) if compress else content)
    message = ""
    try:
        assert READERS[name](path)
    except InputError as error:
        message = str(error)
    assert not message or message.startswith(f"{path}:")
    assert "\n" not in message
