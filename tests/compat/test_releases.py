"""The same work gives the same result on every supported Pyserini, with no network and no API key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from conftest import Outcome

TOPICS = {"01", "1", "002", "q4", "5"}
GOLD = {"01": "007", "1": "d1", "002": "d2", "q4": "d3", "5": "d8"}


def test_the_release_in_question_ran(outcome: Outcome, version: str) -> None:
    assert version in ("installed", outcome.found["version"])
    assert ("site-packages" in outcome.found["home"]) == (version == "installed")


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
        np.testing.assert_allclose(ours[passage], vector, atol=1e-5)
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
def test_rankings_are_those_of_the_installed_release(
    outcome: Outcome, outcome_of: Callable[[str], Outcome], run: str
) -> None:
    assert outcome.run(run) == outcome_of("installed").run(run)


def test_no_step_waits_for_a_network(outcome: Outcome) -> None:
    assert sum(outcome.found["seconds"].values()) < 150, outcome.found["seconds"]
