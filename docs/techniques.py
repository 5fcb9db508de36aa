"""What the pages on distillation, QuiCK and late interaction are told by the runs of each."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pyserini_optical.evaluate import pool, to_json

RUNS = Path(__file__).resolve().parent.parent / "runs"
HERE = RUNS / "distillation-xquad-mlqa"
LANGUAGES = ("ar", "de", "es", "ha", "hi", "sw")
# Pairs that all sizes have; the last ones are all pairs there are.
SIZES = (2000, 5000, 10_000, 20_000, 25_051, 38_894)
MEASURE = "RR@10"

Report = dict[str, Any]


def cells() -> str:
    """Say which cells are there, and which are not."""
    lines = [f"| question | {' | '.join(LANGUAGES)} |", f"|---|{'---|' * len(LANGUAGES)}"]
    for question in ("techniques", "couplings", "relevance"):
        found = [_seeds(question, language) for language in LANGUAGES]
        lines.append(f"| {question} | {' | '.join(found)} |")
    for pairs in SIZES:
        found = [_seeds("sizes", f"{language}-{pairs}") for language in LANGUAGES]
        if any(one != _MISSING for one in found):
            lines.append(f"| sizes: {pairs:,} pairs | {' | '.join(found)} |")
    return "\n".join(lines)


_MISSING = "not run"
_NOTHING = "Not run yet."


def _seeds(question: str, name: str) -> str:
    report = _report(HERE / question / name)
    if report is None:
        return _MISSING
    seeds = max(len(run["seeds"].get(MEASURE, [0])) for run in report["runs"])
    return f"{seeds} seed{'s' if seeds > 1 else ''}"


def techniques() -> str:
    """Give every technique's mean by language, and its difference to the two baselines over all languages."""
    return _table(_by_language(HERE / "techniques"), ("sentence-mse", "dr-decr"))


def techniques_mlqa() -> str:
    """Give the same students' means on MLQA-R."""
    return _table(_by_language(HERE / "techniques", "mlqa-r-"), ())


def couplings_compared() -> str:
    """Give every coupling's mean by language, and its difference to greedy matching over all languages."""
    return _table(_by_language(HERE / "couplings"), ("greedy",))


def relevance() -> str:
    """Give what relevance distillation adds."""
    return _table(_by_language(HERE / "relevance"), ("dr-decr",))


def relevance_translated() -> str:
    """Give what it adds in Spanish if a machine translated its questions."""
    return _table({"es": HERE / "relevance" / "es-squad"}, ())


def quick() -> str:
    """Give what query generators and cross-encoders teach."""
    return _table(_by_language(RUNS / "quick"), ("optical",))


def quick_by_labels() -> str:
    """Compare, at each number of labels, a generator as teacher with a cross-encoder, over all languages."""
    paths = {language: files for language in LANGUAGES if (files := _files(RUNS / "quick" / language))}
    if len(paths) < 2:
        return _NOTHING
    lines = ["| labels | generator − cross-encoder |", "|--:|--:|"]
    for labels in (200, 600, 2000):
        pooled = json.loads(to_json(pool(paths, baseline=f"cross-encoder-{labels}")))
        lines.append(f"| {labels:,} | {_difference(pooled, f'generator-{labels}')} |")
    return "\n".join(lines)


def quick_teachers() -> str:
    """Say how well QuiCK's teachers know relevant passages, as ``benchmarks/quick_teachers.py`` measured it."""
    lines = ["| teacher | language | questions | first of eight | MRR |", "|---|---|--:|--:|--:|"]
    for path in sorted((RUNS / "quick").glob("teachers-*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for row in content["rows"]:
            numbers = f"{row['questions']:,} | {row['first']:.3f} | {row['mrr']:.3f}"
            lines.append(f"| {row['model']} | {content['language']} | {numbers} |")
    return "\n".join(lines) if len(lines) > 2 else _NOTHING


def late_interaction() -> str:
    """Give students for late interaction beside those of one vector."""
    return _table(_by_language(RUNS / "late-interaction"), ())


def late_interaction_options() -> str:
    """Give what the options of the alignment do to such a student."""
    return _table({"ha, development": RUNS / "late-interaction" / "ablations"}, ())


def _by_language(folder: Path, collection: str = "") -> dict[str, Path]:
    return {language: folder / f"{collection}{language}" for language in LANGUAGES}


def _table(cells: dict[str, Path], baselines: Sequence[str]) -> str:
    there = {language: report for language, cell in cells.items() if (report := _report(cell)) is not None}
    if not there:
        return _NOTHING
    paths = {language: _files(cells[language]) for language in there}
    # Made here: written down, each would be as large as all that it is made from.
    pooled = [json.loads(to_json(pool(paths, baseline=name))) for name in baselines if len(there) > 1]
    heads = [f"{language} ({len(report['topics']):,})" for language, report in there.items()]
    heads += [f"− {report['baseline']}, over all" for report in pooled]
    lines = [f"| {MEASURE} | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    first = next(iter(there.values()))
    best = {language: _best(report) for language, report in there.items()}
    for name in (run["name"] for run in first["runs"]):
        row = []
        for language, report in there.items():
            mean = _mean(report, name)
            bold = "**" if name == best[language] else ""
            row.append("–" if mean is None else f"{bold}{mean:.3f}{bold}{_sign(report, name)}")
        row += [_difference(report, name) for report in pooled]
        lines.append(f"| {name} | {' | '.join(row)} |")
    base = first["baseline"]
    families = [f"the {report['comparisons_per_measure']} comparisons with {report['baseline']}" for report in pooled]
    said = (
        f"Mean {MEASURE} over the questions (their number in brackets) and seeds. + and −: significantly above or below"
        f" {base} in this language (p ≤ 0.05, Fisher's randomisation test, Holm's correction over the "
        f"{first['comparisons_per_measure']} comparisons with it); bold: the best without a translation."
    )
    if pooled:
        said += (
            " The last columns give the difference over all languages with its 95 % interval, where a question that "
            f"several languages ask counts once; * marks p ≤ 0.05, corrected over {' and '.join(families)}."
        )
    return "\n".join([*lines, "", said])


def _best(report: Report) -> str:
    means = {run["name"]: run["mean"][MEASURE] for run in report["runs"]}
    return max(
        (name for name in means if not name.startswith("teacher") and not name.endswith("-translated")),
        key=means.__getitem__,
    )


def _mean(report: Report, name: str) -> float | None:
    return next((run["mean"][MEASURE] for run in report["runs"] if run["name"] == name), None)


def _contrast(report: Report, name: str) -> dict[str, Any] | None:
    """Give the comparison with the baseline, as the run less the baseline."""
    for made in report["contrasts"]:
        if made["measure"] == MEASURE and {made["run"], made["other"]} == {name, report["baseline"]}:
            assert made["run"] == name
            return dict(made)
    return None


def _sign(report: Report, name: str) -> str:
    made = _contrast(report, name)
    return "" if made is None or not made["significant"] else " +" if made["difference"] > 0 else " −"


def _difference(report: Report, name: str) -> str:
    made = _contrast(report, name)
    if made is None:
        return "–"
    star = " *" if made["significant"] else ""
    return f"{made['difference']:+.3f} ({made['low']:+.3f} to {made['high']:+.3f}){star}"


def techniques_by_pairs() -> str:
    """Draw effectiveness against sentence pairs, a picture a language, with the numbers below."""
    made = []
    for language in LANGUAGES:
        reports = {pairs: report for pairs in SIZES if (report := _report(HERE / "sizes" / f"{language}-{pairs}"))}
        if len(reports) > 1:
            made.append(_by_pairs(language, reports))
    return "\n\n".join(made) or _NOTHING


def _by_pairs(language: str, reports: dict[int, Report]) -> str:
    names = [run["name"] for run in next(iter(reports.values()))["runs"]]
    lines = [
        f"| {language}, pairs | {' | '.join(f'{pairs:,}' for pairs in reports)} |",
        f"|---|{'--:|' * len(reports)}",
    ]
    for name in names:
        values = [f"{_mean(report, name):.3f}{_sign(report, name)}" for report in reports.values()]
        lines.append(f"| {name} | {' | '.join(values)} |")
    students = [name for name in names if not name.startswith("teacher")]
    points = {name: {pairs: _mean(report, name) or 0.0 for pairs, report in reports.items()} for name in students}
    return f"{_plot(language, points)}\n\n" + "\n".join(lines)


def _plot(language: str, points: dict[str, dict[int, float]]) -> str:
    """Draw lines over the logarithm of the number of pairs."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # The text stays text, and ids are the same each time.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "techniques"}):
        figure = Figure(figsize=(7, 3.5), layout="constrained")
        axes = figure.subplots()
        for (name, values), style in zip(points.items(), ("-", "--", ":", "-."), strict=False):
            axes.plot([*values], [*values.values()], style, marker="o", markersize=3, label=name)
        sizes = sorted({pairs for values in points.values() for pairs in values})
        axes.set_xscale("log")
        axes.set_xticks(sizes, [f"{pairs:,}" for pairs in sizes], rotation=20)
        axes.minorticks_off()
        axes.set(xlabel="sentence pairs", ylabel=MEASURE, title=language)
        axes.legend()
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    text = drawn.getvalue()
    # On one line, or Markdown would take it for text.
    return " ".join(text[text.index("<svg") :].split())


def mixed_pool() -> str:
    """Give LAReQA's view, if it was measured."""
    rows = []
    for path in sorted(HERE.glob("lareqa/*.json")):
        for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
            if row["questions"] == row["language"]:
                rows.append(
                    f"| {row['language']} + en, {row['pool']:,} | {row['encoder']} | {row['AP@1000']:.3f} "
                    f"| {row['RankDistance@1000']:.0f} | {row['first_in_foreign']:.2f} |"
                )
    if not rows:
        return _NOTHING
    head = "| pool | encoder | mAP | distance of parallel answers' ranks | first rank in the foreign language |"
    return "\n".join([head, "|---|---|--:|--:|--:|", *rows])


def alignment() -> str:
    """Give how well each coupling's links agree with alignments made by hand."""
    content = json.loads((RUNS / "alignment" / "report.json").read_text(encoding="utf-8"))
    rows = {
        (row["coupling"], row["language"], row["student"]): row
        for row in content["rows"]
        if row["layer"] == "contextual"
    }
    students = list(dict.fromkeys(key[1:] for key in rows))
    lines = [f"| coupling | {' | '.join(map(', '.join, students))} |", f"|---|{'--:|' * len(students)}"]
    for coupling in dict.fromkeys(key[0] for key in rows):
        cells = []
        for student in students:
            row = rows[coupling, *student]
            low, high = (100 * bound for bound in row["interval"])
            cells.append(f"{100 * row['error_rate']:.1f} [{low:.1f}, {high:.1f}]")
        lines.append(f"| {coupling} | {' | '.join(cells)} |")
    return "\n".join(lines)


@cache
def _report(folder: Path) -> Report | None:
    """Read a cell's report, or join those of its seeds."""
    files = _files(folder)
    if not files:
        return None
    first: Report = json.loads(files[0].read_text(encoding="utf-8"))
    if len(files) == 1:
        return first
    joined: Report = json.loads(to_json(pool({folder.name: files}, baseline=first["baseline"])))
    return joined


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("report.json")) or sorted(folder.glob("seed*/report.json"))
