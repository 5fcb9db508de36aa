from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pyserini_optical.integration.hybrid import hybrid_hits

CODE = """
from pyserini_optical.integration.hybrid import hybrid_hits
dense = {f"d{number}": 1 - number / 100 for number in range(20)}
sparse = {f"s{number}": 2.0 for number in range(20)}
print(list(hybrid_hits(dense, sparse, 0.1, 25)))
"""


def test_scores_are_added_and_the_absent_have_the_lowest() -> None:
    found = hybrid_hits({"a": 0.9, "b": 0.5}, {"b": 10.0, "c": 4.0}, 0.1, 3)
    assert found == pytest.approx({"b": 1.5, "a": 0.9 + 0.4, "c": 0.5 + 0.4})
    assert list(found) == ["b", "a", "c"]
    assert list(hybrid_hits({"a": 0.9, "b": 0.5}, {"b": 10.0}, 0.1, 1)) == ["a"]


def test_ties_at_the_cut_fall_the_same_way_in_every_process() -> None:
    runs = {
        subprocess.run(
            [sys.executable, "-c", CODE],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(runs) == 1
