from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toy_recipe import Make, weights

from pyserini_optical.distillation import distill


def test_recipes_that_start_alike_share_the_start(
    undisturbed: Path, make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    start = distill(make(training={"epochs": 0}), tmp_path / "start", work=work)
    assert "learning " in capsys.readouterr().err
    [kept] = (work / "starts").glob("[!.]*")
    assert weights(start) == weights(kept)
    folder = distill(make(), tmp_path / "toy", work=work)
    assert "learning " not in capsys.readouterr().err
    assert [*(work / "starts").glob("[!.]*")] == [kept]
    # As if it had been made for this one.
    assert weights(folder) == weights(undisturbed)


@pytest.mark.parametrize(
    "changed",
    [{"seed": 1}, {"student": {"vocabulary": 120}}, {"training": {"epochs": 0, "max_length": 8}}, {"limit": 99}],
)
def test_another_start_is_another(make: Make, tmp_path: Path, changed: dict[str, Any]) -> None:
    made = [
        distill(make(**({"training": {"epochs": 0}} | settings)), tmp_path / str(number), work=tmp_path / "work")
        for number, settings in enumerate(({}, changed))
    ]
    assert len([*(tmp_path / "work" / "starts").glob("[!.]*")]) == 2
    again = distill(make(**({"training": {"epochs": 0}} | changed)), tmp_path / "alone")
    assert weights(made[1]) == weights(again)
