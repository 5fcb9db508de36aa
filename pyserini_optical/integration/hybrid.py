"""Dense and sparse hits as Pyserini's ``search.hybrid`` puts them together, with its own function."""

from __future__ import annotations

from collections.abc import Mapping

from pyserini_optical.data import order_hits
from pyserini_optical.integration.modules import prepare


def hybrid_hits(
    dense: Mapping[str, float], sparse: Mapping[str, float], alpha: float = 0.1, hits: int = 1000
) -> dict[str, float]:
    r"""Score each passage of either list by :math:`s_\mathrm{dense} + \alpha s_\mathrm{sparse}`.

    A passage that one of the lists lacks has the lowest score of that list there.

    Parameters
    ----------
    dense, sparse : mapping of str to float
        Score by passage id, for one topic.
    alpha : float
        Weight of the sparse scores.
    hits : int
        Passages, at most.

    Returns
    -------
    dict of str to float
        Score by passage id, best first.

    Raises
    ------
    SetupError
        Pyserini is not installed, or there is no usable Java.
    """
    prepare()
    from pyserini.search.faiss import DenseSearchResult
    from pyserini.search.hybrid import HybridSearcher

    lists = [[DenseSearchResult(docid, score) for docid, score in found.items()] for found in (dense, sparse)]
    made = HybridSearcher._hybrid_results(*lists, alpha, len(dense) + len(sparse))
    # Cut here: Pyserini takes equal scores in the order of a set, another one in each process.
    return dict(order_hits({str(hit.docid): float(hit.score) for hit in made})[:hits])
