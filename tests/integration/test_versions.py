from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from pyserini_optical.errors import InputError
from pyserini_optical.integration import prepare
from pyserini_optical.integration.versions import around_import


def test_a_repair_surrounds_the_import_and_reaches_what_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "repaired_module.py").write_text("import os\nseen = os.environ.get('REPAIR_TEST')\nanswer = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    @contextmanager
    def repair(module: ModuleType) -> Iterator[None]:
        os.environ["REPAIR_TEST"] = "here"
        yield
        del os.environ["REPAIR_TEST"]
        vars(module)["answer"] += 1

    around_import("repaired_module", repair)
    import repaired_module  # type: ignore[import-not-found]

    assert (repaired_module.seen, repaired_module.answer) == ("here", 2)
    around_import("repaired_module", repair)
    assert repaired_module.answer == 3
    del sys.modules["repaired_module"]


@pytest.mark.parametrize("key", [None, "", "sk-own"])
def test_the_users_api_key_stays_as_it_is(key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyserini_optical.integration.versions import _without_openai_key

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with _without_openai_key(ModuleType("any")):
        assert os.environ["OPENAI_API_KEY"] == (key or "not set")
    assert os.environ.get("OPENAI_API_KEY") == key


def test_topics_keep_their_ids_and_order_and_say_what_is_wrong(tmp_path: Path) -> None:
    prepare()
    from pyserini.query_iterator import DefaultQueryIterator

    topics = tmp_path / "beir-cacm.tsv"
    topics.write_text("010\tten\n9\tnine\nq1\tone\n")
    assert list(DefaultQueryIterator.from_topics(str(topics))) == [("010", "ten"), ("9", "nine"), ("q1", "one")]
    topics.write_text("010\tten\n010\tagain\n")
    with pytest.raises(InputError, match=r"cacm\.tsv:2: .*twice"):
        DefaultQueryIterator.from_topics(str(topics))
    with pytest.raises(InputError, match="no such file"):
        DefaultQueryIterator.from_topics(str(tmp_path / "absent.tsv"))
    other = tmp_path / "topics.json"
    other.write_text('{"q2": {"title": "two"}}')
    assert list(DefaultQueryIterator.from_topics(str(other))) == [("q2", "two")]
