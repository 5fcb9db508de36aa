"""Let every passage of a relevant passage's article count as relevant: qrels by article.

For example::

    python runs/late-interaction/articles.py QRELS CORPUS work/ha.articles.qrels.txt
    pyserini-optical compare work/ha.articles.qrels.txt RUN RUN
"""

from __future__ import annotations

import sys
from collections import defaultdict

from pyserini_optical.data import read_corpus, read_qrels, write_text


def main(qrels: str, corpus: str, output: str) -> None:
    """Write them as TREC qrels."""
    articles = defaultdict(list)
    title = {}
    for passage in read_corpus(corpus):
        articles[passage.title].append(passage.id)
        title[passage.id] = passage.title
    with write_text(output) as stream:
        for topic, judged in read_qrels(qrels).items():
            wanted = dict.fromkeys(title[passage] for passage, grade in judged.items() if grade > 0)
            for passage in dict.fromkeys(one for article in wanted for one in articles[article]):
                stream.write(f"{topic} 0 {passage} 1\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
