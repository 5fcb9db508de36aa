"""Alignment quality of every coupling, on hand-made word alignments, as a report.

For example::

    pyserini-optical distill encoders/optical.yaml \\
        --set language=es --set training.epochs=0 --output work/encoders/es-start
    python benchmarks/alignment.py --gold ../shared/data/alignment --output runs/alignment \\
        es:table-start=work/encoders/es-start

``GOLD/LANGUAGE-en.gold.tsv`` holds ``foreign⇥english⇥f-e f-e …``. The teacher is the one that the student names.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pyserini_optical.couplings import COUPLINGS, Coupling, Nearest
from pyserini_optical.data import fingerprint, versions, write_text
from pyserini_optical.errors import OpticalError
from pyserini_optical.evaluate.alignment import THRESHOLD, Layer, align_words, read_alignments, score_links
from pyserini_optical.models import load_encoder
from pyserini_optical.models.transformer import load_transformer

LAYERS: tuple[Layer, ...] = ("contextual", "static")


def measure(students: list[tuple[str, str, str]], gold: Path) -> dict[str, Any]:
    """Align the gold sentences by each student (language, name, checkpoint), layer and coupling."""
    couplings: dict[str, Coupling] = {name: made() for name, made in COUPLINGS.items()}
    couplings["nearest, both ways"] = Nearest(both=True)
    content: dict[str, Any] = {
        "threshold": THRESHOLD,
        "couplings": {name: repr(coupling) for name, coupling in couplings.items()},
        "gold": {},
        "students": [],
        "rows": [],
        "versions": versions(),
    }
    for language, name, checkpoint in students:
        path = gold / f"{language}-en.gold.tsv"
        pairs, outside = read_alignments(path)
        content["gold"][language] = {
            "sentences": len(pairs),
            "links": sum(len(pair.links) for pair in pairs),
            "left_out": outside,
            "fingerprint": fingerprint(path),
        }
        encoder = load_encoder(checkpoint, "cpu")
        content["students"].append(
            {
                "language": language,
                "name": name,
                "fingerprint": encoder.fingerprint,
                "teacher": encoder.document_model,
                "epochs": encoder.provenance.recipe.get("training", {}).get("epochs"),
            }
        )
        student, teacher = load_transformer(checkpoint, "cpu"), load_transformer(encoder.document_model, "cpu")
        for layer in LAYERS:
            for coupling, links in align_words(student, teacher, pairs, couplings, layer=layer).items():
                scores = score_links(links, pairs)
                content["rows"].append(
                    {
                        "language": language,
                        "student": name,
                        "layer": layer,
                        "coupling": coupling,
                        "precision": scores.precision,
                        "recall": scores.recall,
                        "error_rate": scores.error_rate,
                        "interval": scores.interval(),
                    }
                )
    return content


def to_markdown(content: dict[str, Any], command: str) -> str:
    """Write the report: a table for each student and layer, the best error rate in bold."""
    lines = [
        "# Alignment quality of the couplings",
        "",
        "Words that each coupling links, held against alignments made by hand. Precision, recall and alignment error",
        "rate (AER = 1 - F1, as the gold has one kind of link; smaller is better) over all sentences, in per cent; in",
        "brackets the 95 % bootstrap interval over sentences. Tokens are linked if the plan moves at least half of",
        "what that one of them with less mass could give, words if any of their pieces are; nothing was tuned.",
        "",
        f"Made by `{command}`.",
        "",
    ]
    for language, gold in content["gold"].items():
        left = f"; {gold['left_out']} pointing beyond their sentence left out" if gold["left_out"] else ""
        lines.append(f"- {language}: {gold['sentences']} sentences, {gold['links']:,} links{left}.")
    for student in content["students"]:
        made = f"trained (epochs: {student['epochs']:g})" if student["epochs"] else "as it starts, untrained"
        lines.append(f"- {student['language']}, {student['name']}: {made}; teacher `{student['teacher']}`.")
    for student in content["students"]:
        for layer in LAYERS:
            rows = [
                row
                for row in content["rows"]
                if (row["language"], row["student"], row["layer"]) == (student["language"], student["name"], layer)
            ]
            best = min(row["error_rate"] for row in rows)
            vectors = "contextual token vectors" if layer == "contextual" else "static embedding layer"
            lines += ["", f"## {student['language']}, {student['name']}, {vectors}", ""]
            lines += ["| coupling | precision | recall | AER |", "|---|---:|---:|---:|"]
            for row in rows:
                rate, low, high = (f"{100 * x:.1f}" for x in (row["error_rate"], *row["interval"]))
                shown = f"**{rate}**" if row["error_rate"] == best else rate
                numbers = f"{100 * row['precision']:.1f} | {100 * row['recall']:.1f} | {shown} [{low}, {high}]"
                lines.append(f"| {row['coupling']} | {numbers} |")
    return "\n".join(lines) + "\n"


def _student(text: str) -> tuple[str, str, str]:
    label, equals, checkpoint = text.partition("=")
    language, colon, name = label.partition(":")
    if not (equals and colon and language and name and checkpoint):
        raise argparse.ArgumentTypeError(f"expected LANGUAGE:NAME=CHECKPOINT, got {text!r}")
    return language, name, checkpoint


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and write ``report.md`` and ``report.json``."""
    parser = argparse.ArgumentParser(description="Alignment quality of every coupling on hand-made word alignments.")
    parser.add_argument("students", metavar="LANGUAGE:NAME=CHECKPOINT", nargs="+", type=_student)
    parser.add_argument("--gold", metavar="DIR", type=Path, required=True, help="holds LANGUAGE-en.gold.tsv")
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="for report.md and report.json")
    given = parser.parse_args(arguments)
    labels = [student[:2] for student in given.students]
    if len(set(labels)) < len(labels):
        parser.error("two students of one language have the same name")
    try:
        content = measure(given.students, given.gold)
        command = " ".join(["python benchmarks/alignment.py", *(sys.argv[1:] if arguments is None else arguments)])
        report = to_markdown(content, command)
        for name, text in (("report.md", report), ("report.json", json.dumps(content, indent=1) + "\n")):
            with write_text(given.output / name) as stream:
                stream.write(text)
    except OpticalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(report, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
