"""Qrels by article: every passage of a relevant passage's article, known by its title, counts as relevant.

For example::

    python benchmarks/articles.py QRELS CORPUS work/articles.qrels.txt
    pyserini-optical compare work/articles.qrels.txt RUN RUN

A passage without a title stands for itself.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

from pyserini_optical.data import read_corpus, read_qrels, write_text
from pyserini_optical.errors import OpticalError


def by_article(qrels: Path, corpus: Path) -> dict[str, dict[str, int]]:
    """Judge all passages of relevant articles as relevant; raise OpticalError for one that the corpus lacks."""
    titles: dict[str, str] = {}
    articles: dict[str, list[str]] = defaultdict(list)
    for passage in read_corpus(corpus):
        titles[passage.id] = passage.title
        articles[passage.title].append(passage.id)
    found: dict[str, dict[str, int]] = {}
    for topic, judged in read_qrels(qrels).items():
        found[topic] = dict.fromkeys(judged, 0)
        for one, grade in judged.items():
            if one not in titles:
                raise OpticalError(f"{qrels}: passage {one!r} of topic {topic!r} is not in {corpus}; give its corpus")
            if grade > 0:
                found[topic] |= dict.fromkeys(articles[titles[one]] if titles[one] else [one], 1)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Write them as TREC qrels."""
    parser = argparse.ArgumentParser(description="Qrels in which every passage of a relevant article is relevant.")
    parser.add_argument("qrels", metavar="QRELS", type=Path)
    parser.add_argument("corpus", metavar="CORPUS", type=Path)
    parser.add_argument("output", metavar="OUTPUT", type=Path, help="TREC qrels")
    given = parser.parse_args(arguments)
    try:
        found = by_article(given.qrels, given.corpus)
        with write_text(given.output) as stream:
            for topic, judged in found.items():
                stream.writelines(f"{topic} 0 {passage} {grade}\n" for passage, grade in judged.items())
    except OpticalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
