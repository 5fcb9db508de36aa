from __future__ import annotations

import pytest

from pyserini_optical.errors import InputError
from pyserini_optical.translation import translation_quality

pytest.importorskip("sacrebleu", reason="the extra `translate` brings it")

HUMAN = {"1": "Where does the old river end?", "2": "Who built the red house by the market?"}


def test_the_reference_itself_is_perfect_in_any_case() -> None:
    quality = translation_quality({name: text.upper() for name, text in HUMAN.items()}, HUMAN)
    assert quality.bleu == pytest.approx(100)
    assert quality.chrf == pytest.approx(100)
    assert quality.texts == 2
    assert str(quality).startswith("BLEU 100.0, chrF 100.0 over 2 texts (nrefs:1|case:lc")


def test_it_is_sacrebleus_number_over_the_shared_ids() -> None:
    from sacrebleu import corpus_bleu
    from sacrebleu.metrics.chrf import CHRF

    found = {"1": "where does the river end", "2": "who built a house by the red market", "3": "more"}
    quality = translation_quality(found, {**HUMAN, "4": "other"})
    pairs = [found["1"], found["2"]], [[HUMAN["1"], HUMAN["2"]]]
    assert quality.bleu == pytest.approx(corpus_bleu(*pairs, lowercase=True).score)
    assert quality.chrf == pytest.approx(CHRF(lowercase=True).corpus_score(*pairs).score)
    assert 0 < quality.bleu < 60 < 100
    assert quality.texts == 2


def test_no_shared_id_is_said() -> None:
    with pytest.raises(InputError, match="share no id with the reference"):
        translation_quality({"01": "x"}, {"1": "x"})
