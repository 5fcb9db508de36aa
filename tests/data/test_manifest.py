"""Manifests: what changes a fingerprint, what makes two manifests match, and that they survive the disk."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserini_optical import __version__
from pyserini_optical.data import Manifest, fingerprint, fingerprint_texts, versions
from pyserini_optical.errors import InputError


def folder(path: Path) -> Path:
    (path / "1_Pooling").mkdir(parents=True)
    (path / "config.json").write_text("{}", encoding="utf-8")
    (path / "model.safetensors").write_bytes(bytes(range(256)) * 1000)
    (path / "1_Pooling" / "config.json").write_text("{}", encoding="utf-8")
    return path


def test_file_is_as_sha256sum_gives_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 1_000_000)
    assert fingerprint(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()


def test_directory_does_not_depend_on_its_place_or_on_hidden_files(tmp_path: Path) -> None:
    first = folder(tmp_path / "first")
    second = shutil.copytree(first, tmp_path / "elsewhere" / "second")
    (second / ".model.x.safetensors").touch()
    (second / ".cache").mkdir()
    (second / ".cache" / "file").touch()
    assert fingerprint(first) == fingerprint(second)


def test_every_change_of_a_directory_shows(tmp_path: Path) -> None:
    path = folder(tmp_path / "model")
    seen = {fingerprint(path)}
    (path / "config.json").write_text("[]", encoding="utf-8")
    seen.add(fingerprint(path))
    (path / "config.json").rename(path / "settings.json")
    seen.add(fingerprint(path))
    (path / "1_Pooling" / "config.json").rename(path / "config.json")
    seen.add(fingerprint(path))
    (path / "empty").touch()
    seen.add(fingerprint(path))
    assert len(seen) == 5


def test_fingerprint_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone: cannot be read \(No such file"):
        fingerprint(tmp_path / "gone")
    with pytest.raises(InputError, match="without files"):
        fingerprint(tmp_path)
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(InputError, match="link: cannot be read"):
        fingerprint(tmp_path)


@given(st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3)))
def test_texts_differ_unless_they_are_the_same(left: list[str], right: list[str]) -> None:
    assert (fingerprint_texts(left) == fingerprint_texts(iter(right))) == (left == right)


def test_where_a_text_ends_makes_a_difference() -> None:
    parts = [["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], ["", "abc"], ["1:a"], ["a"], []]
    assert len({fingerprint_texts(part) for part in parts}) == len(parts)


def test_half_a_surrogate_pair_has_a_fingerprint() -> None:
    assert fingerprint_texts(["\ud83d"]) != fingerprint_texts(["\ud83e"])


def test_survives_the_disk(tmp_path: Path) -> None:
    manifest = Manifest("encode", {"corpus": "ab12"}, {"batch": 32, "rate": 1e-5, "lengths": (32, 180), "name": "é"})
    manifest.save(tmp_path / "work" / "manifest.json")
    loaded = Manifest.load(tmp_path / "work" / "manifest.json")
    assert loaded.matches(manifest)
    assert manifest.matches(loaded)
    assert loaded.versions == versions()
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "work" / "manifest.json").read_bytes()


def test_only_step_inputs_and_parameters_decide() -> None:
    manifest = Manifest("encode", {"a": "1", "b": "2"}, {"x": 1, "y": {"z": [1]}}, {"torch": "1"})
    assert manifest.matches(Manifest("encode", {"b": "2", "a": "1"}, {"y": {"z": [1]}, "x": 1}, {"torch": "2"}))
    assert not manifest.matches(Manifest("search", manifest.inputs, manifest.parameters))
    assert not manifest.matches(Manifest("encode", {"a": "1"}, manifest.parameters))
    assert not manifest.matches(Manifest("encode", manifest.inputs, {"x": 1, "y": {"z": [2]}}))
    assert not manifest.matches(Manifest("encode", manifest.inputs, {"x": True, "y": {"z": [1]}}))


def test_what_json_cannot_hold_is_not_half_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        Manifest("encode", {}, {"path": Path("x")}).save(tmp_path / "manifest.json")
    assert not list(tmp_path.iterdir())


def test_versions_name_what_the_package_stands_on() -> None:
    found = versions()
    assert found["pyserini-optical"] == __version__
    assert set(found) == {
        *("python", "pyserini-optical", "torch", "transformers", "sentence-transformers"),
        *("pyserini", "POT", "faiss-cpu", "ranx"),
    }
    assert found["torch"][0].isdigit()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyserini_optical.data.manifest._PACKAGES", ("no-such-package-here",))
    assert versions()["no-such-package-here"] == "not installed"
