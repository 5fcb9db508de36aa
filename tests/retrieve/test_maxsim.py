from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pyserini_optical.retrieve.maxsim import maxsim


@settings(max_examples=50, deadline=None)
@given(
    queries=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    passages=st.lists(st.integers(0, 7), max_size=6),
    seed=st.integers(0, 1000),
)
def test_it_is_the_sum_of_each_query_tokens_best_match(queries: list[int], passages: list[int], seed: int) -> None:
    draw = np.random.default_rng(seed)

    def some(lengths: list[int]) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        texts = [draw.standard_normal((length, 3)).astype(np.float32) for length in lengths]
        return [text / np.linalg.norm(text, axis=1, keepdims=True) for text in texts]

    left, right = some(queries), some(passages)
    found = maxsim(left, np.concatenate([np.zeros((0, 3), np.float32), *right]), np.array(passages, dtype=np.int64))
    assert found.shape == (len(queries), len(passages))
    assert found.dtype == np.float32
    for row, query in enumerate(left):
        for column, passage in enumerate(right):
            expected = sum(max((float(q @ d) for d in passage), default=-1.0) for q in query)
            np.testing.assert_allclose(found[row, column], expected, atol=1e-5)
