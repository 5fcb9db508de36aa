"""Topics: what is written is read again; nothing is written half."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyserini_optical.data import read_topics, write_topics
from pyserini_optical.errors import InputError

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
ids = texts.filter(lambda text: text.split() == [text] and not text.startswith("\ufeff"))
sentences = texts.filter(str.strip)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(topics=st.dictionaries(ids, sentences, min_size=1), suffix=st.sampled_from(["", ".gz", ".xz"]))
def test_round_trip(tmp_path: Path, topics: dict[str, str], suffix: str) -> None:
    path = tmp_path / f"topics.tsv{suffix}"
    write_topics(path, topics)
    read = read_topics(path)
    assert list(read.items()) == [(topic, " ".join(text.split())) for topic, text in topics.items()]


def test_leading_zeros_and_order_stay(tmp_path: Path) -> None:
    topics = {"010": "b", "10": "a", "9": "c"}
    write_topics(tmp_path / "topics.tsv", topics)
    assert list(read_topics(tmp_path / "topics.tsv").items()) == list(topics.items())


def test_white_space_collapses(tmp_path: Path) -> None:
    (tmp_path / "topics.tsv").write_text("1\t  habari \u00a0 gani \n", encoding="utf-8")
    assert read_topics(tmp_path / "topics.tsv") == {"1": "habari gani"}


@pytest.mark.parametrize("topics", [{}, {"1": "q", "a b": "q"}, {"1": "q", "": "q"}, {"1": "q", "2": " \n"}])
def test_bad_topics_leave_the_old_file_alone(tmp_path: Path, topics: dict[str, str]) -> None:
    path = tmp_path / "topics.tsv"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(InputError, match=r"topics\.tsv: "):
        write_topics(path, topics)
    assert [file.name for file in tmp_path.iterdir()] == ["topics.tsv"]
    assert path.read_text(encoding="utf-8") == "old"


def test_a_name_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_topics(tmp_path / ("n" * 300), {"1": "q"})


def test_a_directory_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a directory"):
        write_topics(tmp_path, {"1": "q"})
    assert not list(tmp_path.iterdir())
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}.*"))
