"""Where an index lies among others, so that what one command made another one finds."""

from __future__ import annotations

import hashlib


def index_name(corpus: str, documents: str, *, tokens: bool) -> str:
    """Name an index or token store by what it is made from.

    Parameters
    ----------
    corpus : str
        Fingerprint of the corpus.
    documents : str
        Fingerprint of the vectors that the document encoder gives.
    tokens : bool
        Whether it is a token store.
    """
    mark = hashlib.sha256(f"{corpus}{documents}".encode()).hexdigest()[:16]
    return f"{'tokens' if tokens else 'faiss'}-{mark}"
