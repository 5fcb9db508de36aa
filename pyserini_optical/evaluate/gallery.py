"""A page that shows the studies of a folder side by side: ``python -m pyserini_optical.evaluate.gallery runs``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from pyserini_optical.data import Manifest, Pathish, read_lines, write_text
from pyserini_optical.data.jsonl import parse_object
from pyserini_optical.errors import InputError, OpticalError
from pyserini_optical.evaluate.measures import Scores
from pyserini_optical.evaluate.page import fill, table
from pyserini_optical.evaluate.report import FILES, read_scores

_LINKS = {
    "report.html": "report",
    "report.md": "tables",
    "study.yaml": "study",
    "report.csv": "CSV",
    "report.json": "JSON",
}


@dataclass(frozen=True)
class _Study:
    folder: Path
    title: str
    scores: dict[str, Scores]

    @property
    def measure(self) -> str:
        return next(iter(next(iter(self.scores.values())).values))

    @property
    def topics(self) -> int:
        return len(next(iter(self.scores.values())).topics)

    @property
    def link(self) -> str:
        page = next((name for name in _LINKS if (self.folder / name).exists()), FILES[0])
        return quote(f"{self.folder.name}/{page}")


def write_gallery(folder: Pathish) -> Path:
    """Write ``index.html`` over the studies of a folder: what each reached, with links to its files.

    Parameters
    ----------
    folder : path-like
        Each folder in it whose ``report.json`` lists runs is a study; reports of benchmarks are passed over.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        There is no study, a report cannot be read, or the page cannot be written.
    """
    folder = Path(folder)
    studies = [_read(path.parent) for path in sorted(folder.glob("*/report.json")) if _has_runs(path)]
    if not studies:
        raise InputError("holds no study", path=folder, remedy="run one: each writes a folder with a report.json")
    measure = studies[0].measure
    runs = list(dict.fromkeys(run for study in studies for run in study.scores))
    rows = [
        f'<tr><th scope="row" class="text">{escape(run)}</th>'
        + "".join(f"<td>{_mean(study.scores.get(run), measure)}</td>" for study in studies)
        + "</tr>"
        for run in runs
    ]
    parts = {
        "title": "Studies",
        "lead": f"{len(studies)} studies, each with its runs, its tests and what they were made from.",
        "studies": "".join(map(_card, studies)),
        "measure": escape(measure),
        "table": table(["run", *(study.folder.name for study in studies)], rows, 1, sorts=False),
    }
    page = folder / "index.html"
    with write_text(page) as stream:
        stream.write(fill("gallery.html", parts))
    return page


def _has_runs(report: Path) -> bool:
    return "runs" in parse_object("\n".join(line for _, line in read_lines(report)), path=report)


def _read(folder: Path) -> _Study:
    scores, _ = read_scores(folder / "report.json")
    manifest = folder / "manifest.json"
    described = Manifest.load(manifest).parameters.get("study", {}) if manifest.exists() else {}
    return _Study(folder, str(described.get("title", "")), scores)


def _mean(scores: Scores | None, measure: str) -> str:
    return f"{scores.mean(measure):.3f}" if scores is not None and measure in scores.values else "–"


def _card(study: _Study) -> str:
    links = " · ".join(
        f'<a href="{quote(f"{study.folder.name}/{name}")}">{label}</a>'
        for name, label in _LINKS.items()
        if (study.folder / name).exists()
    )
    name = escape(study.folder.name)
    return (
        f'<section aria-labelledby="h-{name}"><h2 id="h-{name}"><a href="{study.link}">{name}</a></h2>'
        f'<p class="hint">{escape(study.title)}</p>{_bars(study)}'
        f'<p class="hint">{escape(study.measure)} over {study.topics:,} topics · {links}</p></section>'
    )


def _bars(study: _Study) -> str:
    """Draw the means of a study's runs, 460 wide at most."""
    means = {run: scores.mean(study.measure) for run, scores in study.scores.items()}
    most = max(*means.values(), 1e-9)
    rows = []
    for index, (run, mean) in enumerate(means.items()):
        y, width = 26 * index, max(1.0, 200 * mean / most)
        name = run if len(run) <= 26 else run[:25] + "…"
        rows.append(
            f'<text x="186" y="{y + 16}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="up" x="196" y="{y + 3}" width="{width:.1f}" height="17" rx="3"/>'
            f'<text x="{202 + width:.1f}" y="{y + 16}">{mean:.3f}</text>'
        )
    label = "; ".join(f"{run} {mean:.3f}" for run, mean in means.items())
    return (
        f'<svg width="460" viewBox="0 0 460 {26 * len(means)}" role="img" '
        f'aria-label="{escape(study.measure)}: {escape(label)}">{"".join(rows)}</svg>'
    )


def main(arguments: Sequence[str]) -> int:
    """Write the page of the folder that is named.

    Returns
    -------
    int
        Exit status: 0 done, 1 failed, 2 wrong use.
    """
    if len(arguments) != 1:
        print("usage: python -m pyserini_optical.evaluate.gallery FOLDER", file=sys.stderr)
        return 2
    try:
        print(f"Written: {write_gallery(arguments[0])}")
    except OpticalError as error:
        print(f"gallery: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
