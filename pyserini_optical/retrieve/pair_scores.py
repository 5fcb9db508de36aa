"""Scores of a cross-encoder for the passages of a run, kept part by part: a killed process loses a minute at most."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pyserini_optical.data import Manifest, Pathish, fingerprint_texts
from pyserini_optical.data.parts import in_parts

if TYPE_CHECKING:
    from pyserini_optical.models import CrossEncoder

# Pairs between two writes: some seconds of a small model on a CPU.
_PART = 512


def score_pairs(
    model: CrossEncoder,
    questions: Mapping[str, str],
    heads: Mapping[str, Sequence[str]],
    passages: Mapping[str, str],
    work: Pathish | None = None,
) -> dict[str, list[float]]:
    """Score each topic's passages.

    The pairs of all topics are read in the order of their length, the longest first, so that a batch holds pairs of
    about one length.

    Parameters
    ----------
    model : CrossEncoder
        What scores.
    questions : mapping of str to str
        Text by topic.
    heads : mapping of str to sequence of str
        Passage ids by topic.
    passages : mapping of str to str
        Text by passage id.
    work : path-like, optional
        Folder that keeps what is finished; a later call with the same model and texts goes on from it.

    Returns
    -------
    dict of str to list of float
        For each topic the scores of its passages in their order.
    """
    pairs = [(topic, passage) for topic, head in heads.items() for passage in head]
    pairs.sort(key=lambda pair: -len(questions[pair[0]]) - len(passages[pair[1]]))
    inputs = {
        "model": model.fingerprint,
        "pairs": fingerprint_texts(text for pair in pairs for text in (questions[pair[0]], passages[pair[1]])),
    }

    def score(_: int, part: Sequence[tuple[str, str]]) -> list[float]:
        scores = model.scores([questions[topic] for topic, _ in part], [passages[passage] for _, passage in part])
        return [float(each) for each in scores]

    with ExitStack() as stack:
        if work is None:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "scores"
        manifest = Manifest("score pairs", inputs=inputs)
        scores = in_parts(Path(work), manifest, pairs, score, size=_PART, title="re-ranking, pairs")
    found = dict(zip(pairs, scores, strict=True))
    return {topic: [found[topic, passage] for passage in head] for topic, head in heads.items()}
