"""What the site is told by the committed reports."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent


def results() -> str:
    """Give the main table of every committed study, and the report of every other committed measurement."""
    found = [path for where in ("*", "miracl-pipeline/*") for path in (HOME / "runs").glob(f"{where}/report.json")]
    return "\n".join(_result(path) for path in sorted(found))


def ladders() -> str:
    """Put the ladders of all languages side by side, by the first measure; how many topics each has is in the head."""
    reports = {
        path.parent.name.removeprefix("ladder-"): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((HOME / "runs").glob("ladder-*/report.json"))
    }
    [measure] = {report["measures"][0] for report in reports.values()}
    means = {
        language: {run["name"]: run["mean"][measure] for run in report["runs"]} for language, report in reports.items()
    }
    names: list[str] = []
    for runs in means.values():
        place = 0
        for name in runs:  # each behind the one that it follows in its own ladder
            if name not in names:
                names.insert(place, name)
            place = names.index(name) + 1
    heads = [f"{language} ({len(report['topics']):,})" for language, report in reports.items()]
    lines = [f"| {measure} | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    for name in names:
        cells = [format(runs[name], ".3f") if name in runs else "–" for runs in means.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def costs() -> str:
    """Say what the rungs of the ladders cost, as `benchmarks/ladder.py` measured it."""
    lines = ["| rung | ms a question | first answer, s | peak MiB |", "|---|--:|--:|--:|"]
    for path in sorted((HOME / "runs").glob("ladder-*/cost.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        language = path.parent.name.removeprefix("ladder-")
        for name, cost in content["rungs"].items():
            numbers = f"{cost['ms_a_query']:.1f} | {cost['first_s']:.1f} | {cost['peak_mib']:.0f}"
            lines.append(f"| {language}, {content['topics']:,} questions: {name} | {numbers} |")
    return "\n".join(lines)


def speed() -> str:
    """Give the tables of `make bench`, as they were measured."""
    made = []
    for path in sorted((HOME / "runs" / "speed").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        made.append(f"### {path.stem}\n\n{_measured(content)}\n")
    return "\n".join(made)


def _measured(content: Mapping[str, Any]) -> str:
    rows = content["rows"]
    heads = list(dict.fromkeys(key for row in rows for key in row))
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in rows:
        cells = [_number(row.get(head)) for head in heads]
        lines.append(f"| {' | '.join(cells)} |")
    rest = {key: value for key, value in content.items() if isinstance(value, int | float | str)}
    rest |= content.get("machine", {})
    return "\n".join(lines) + "\n\n" + ", ".join(f"{key}: {_number(value)}" for key, value in rest.items())


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2e}" if abs(value) < 0.01 else f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def late_interaction_cost() -> str:
    """Say what ways to retrieve by late interaction cost and keep, as `benchmarks/late_interaction.py` measured it."""
    content = json.loads((HOME / "runs" / "late-interaction" / "cost.json").read_text(encoding="utf-8"))
    heads = (
        "of exact's best 100 | Recall@100, of exact's | MRR@10 | ms in a batch | of exact's | ms singly | of exact's"
    )
    lines = [f"| way | {heads} | bytes a passage | of float32's |", f"|---|{'--:|' * 9}"]
    for row in content["rows"]:
        size = row["index_bytes"] + row["store_bytes"]
        kept = f"{row['kept_of_exact_100']:.3f} | {row['of_exact_recall']:.3f} | {row['mrr_10']:.3f}"
        cost = f"{row['milliseconds']:.1f} | {row['of_exact_time']:.3f} | {row['milliseconds_singly']:.0f}"
        cost += f" | {row['of_exact_time_singly']:.3f} | {size:,} | {row['of_float32_bytes']:.3f}"
        lines.append(f"| {row['way']} | {kept} | {cost} |")
    return "\n".join(lines)


def sizes() -> str:
    """Take collections of several sizes through disk, memory and hours, from what `make bench` measured."""
    files = [HOME / "runs" / "speed" / f"{name}.json" for name in ("sizes", "encoding", "searching")]
    read = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}
    each = {row["kind"]: row["bytes a passage"] for row in read["sizes"]["rows"]}
    [rate] = [row["passages a second"] for row in read["encoding"]["rows"] if row["way"] == "ours"]
    threads = int(read["encoding"]["machine"]["threads"])
    searching = read["searching"]
    [alone] = [row["seconds"] for row in searching["rows"] if row["work"] == "search alone" and row["way"] == "ours"]
    scored = searching["topics"] * searching["passages"] / alone
    counts = (10_000_000, 100_000_000, 1_000_000_000)
    lines = [f"| | {' | '.join(f'{count / 1e6:,.0f}M passages' for count in counts)} |", f"|---|{'--:|' * len(counts)}"]

    def line(what: str, values: Iterable[str]) -> None:
        lines.append(f"| {what} | {' | '.join(values)} |")

    flat = each["index, flat"]
    for kind, size in each.items():
        line(f"{kind}, GB on disk", (f"{count * size / 1e9:,.0f}" for count in counts))
    line(f"encoding, hours on {threads} processor cores", (f"{count / rate / 3600:,.0f}" for count in counts))
    line("machines of as many cores, to encode in a day", (f"{math.ceil(count / rate / 86400):,}" for count in counts))
    machines = [math.ceil(count * flat / 48e9) for count in counts]  # ids and the system want the rest
    line("machines of 64 GB that hold the flat index", (f"{number:,}" for number in machines))
    line(
        "seconds a question on all of these, asked 64 at a time",
        (f"{count / number / scored:,.2f}" for count, number in zip(counts, machines, strict=True)),
    )
    return "\n".join(lines)


def _result(path: Path) -> str:
    content = json.loads(path.read_text(encoding="utf-8"))
    name = path.parent.relative_to(HOME / "runs").as_posix()
    if "measures" not in content:
        report = path.with_name("report.md").read_text(encoding="utf-8")
        # One level down, under the page's own heading.
        return re.sub(r"^(#+) ", r"#\1 ", report, flags=re.MULTILINE)
    measures = content["measures"]
    lines = [f"| run | {' | '.join(measures)} |", f"|---|{'--:|' * len(measures)}"]
    for run in content["runs"]:
        means = " | ".join(format(run["mean"][measure], ".3f") for measure in measures)
        lines.append(f"| {run['name']} | {means} |")
    described = path.with_name("manifest.json")
    manifest = json.loads(described.read_text(encoding="utf-8")) if described.exists() else {}
    title = manifest.get("parameters", {}).get("study", {}).get("title", "")
    command = f"pyserini-optical study runs/{name}/study.yaml"
    if (language := name.removeprefix("ladder-")) != name:
        command = (
            "pyserini-optical fine-tune encoders/late-interaction-en.yaml --set data=../shared/data\n"
            f"sh runs/late-interaction/run.sh {language}\nsh runs/ladder.sh {language}"
        )
    return (
        f"## {name}\n\n{title}\n\n" + "\n".join(lines) + f"\n\nMeans over {len(content['topics']):,} topics; the tests "
        f"and all comparisons are in `runs/{name}/report.md`.\n\n```bash\n{command}\n```\n"
    )
