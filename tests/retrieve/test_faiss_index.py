from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.retrieve.faiss_index import PQ_LEAST, IndexType, Vectors, open_index, write_index


def vectors(number: int, dimension: int = 16) -> Vectors:
    return np.random.default_rng(number).standard_normal((number, dimension)).astype(np.float32)


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4), dimension=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_the_streamed_file_is_the_one_that_faiss_writes(
    sizes: list[int], dimension: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("flat")
    rows = vectors(sum(sizes), dimension)
    blocks = np.split(rows, np.cumsum(sizes)[:-1])
    write_index(folder / "ours", iter(blocks), len(rows), dimension, "flat")
    theirs = faiss.IndexFlatIP(dimension)
    theirs.add(rows)
    faiss.write_index(theirs, str(folder / "theirs"))
    assert (folder / "ours").read_bytes() == (folder / "theirs").read_bytes()


@pytest.mark.parametrize(("kind", "depth"), [("hnsw", 10), ("pq", 50)])
def test_approximate_indexes_find_about_the_same(
    kind: IndexType, depth: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = vectors(2000, 4) @ vectors(4, 24)  # like real vectors they have fewer directions than dimensions
    write_index(tmp_path / "index", np.split(rows, 4), 2000, 24, kind)
    (tmp_path / "docid").write_text("".join(f"{row:04d}\n" for row in range(2000)))
    index, docids = open_index(tmp_path)
    assert (index.ntotal, index.d, len(docids)) == (2000, 24, 2000)
    queries = rows[:50] + vectors(50, 24) / 10
    _, found = index.search(queries, depth)
    exact = np.argsort(-queries @ rows.T, axis=1)[:, :10]
    shared = [len(set(one) & set(other)) / 10 for one, other in zip(found.tolist(), exact.tolist(), strict=True)]
    assert np.mean(shared) >= 0.95
    assert capfd.readouterr() == ("", "")  # Faiss warns about few training vectors, once for every part


@pytest.mark.parametrize("dimension", [7, 12, 384])
def test_product_quantisation_takes_any_dimension(dimension: int, tmp_path: Path) -> None:
    write_index(tmp_path / "index", [vectors(PQ_LEAST, dimension)], PQ_LEAST, dimension, "pq")
    assert faiss.read_index(str(tmp_path / "index")).d == dimension


def test_too_few_vectors_to_train_on_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="256 vectors or more to train on, got 255; use flat"):
        write_index(tmp_path / "index", [vectors(PQ_LEAST - 1)], PQ_LEAST - 1, 16, "pq")
    assert list(tmp_path.iterdir()) == []


def write_folder(folder: Path, index: Any, ids: int) -> None:
    index.add(vectors(20))
    faiss.write_index(index, str(folder / "index"))
    (folder / "docid").write_text("".join(f"{row}\n" for row in range(ids)))


def test_an_index_of_pyserinis_own_is_opened(tmp_path: Path) -> None:
    write_folder(tmp_path, faiss.IndexFlatIP(16), 20)
    index, docids = open_index(tmp_path)
    assert (index.ntotal, docids[0], docids[-1]) == (20, "0", "19")


def test_ids_and_vectors_that_do_not_fit(tmp_path: Path) -> None:
    write_folder(tmp_path, faiss.IndexFlatIP(16), 19)
    with pytest.raises(CheckpointError, match="20 vectors but 19 ids in docid; remove the folder and encode"):
        open_index(tmp_path)


def test_distances_are_not_taken_for_scores(tmp_path: Path) -> None:
    write_folder(tmp_path, faiss.IndexFlatL2(16), 20)
    with pytest.raises(CheckpointError, match="an index of distances, not of inner products"):
        open_index(tmp_path)


@pytest.mark.parametrize("missing", ["index", "docid"])
def test_a_missing_file_is_named(missing: str, tmp_path: Path) -> None:
    write_folder(tmp_path, faiss.IndexFlatIP(16), 20)
    (tmp_path / missing).unlink()
    with pytest.raises(CheckpointError, match=f"no file '{missing}' in it"):
        open_index(tmp_path)


@pytest.mark.parametrize("kind", ["flat", "hnsw", "pq"])
@pytest.mark.parametrize("cut", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_index_is_said(kind: IndexType, cut: float, tmp_path: Path) -> None:
    write_index(tmp_path / "index", [vectors(300)], 300, 16, kind)
    (tmp_path / "docid").write_text("".join(f"{row}\n" for row in range(300)))
    whole = (tmp_path / "index").read_bytes()
    (tmp_path / "index").write_bytes(whole[: int(cut * len(whole))])
    with pytest.raises(CheckpointError, match=r"damaged or truncated; remove the folder and encode the corpus again$"):
        open_index(tmp_path)
