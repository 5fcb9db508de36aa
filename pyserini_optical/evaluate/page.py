"""A report as one HTML page that needs no network: tables written here, pictures drawn from its data by the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pyserini_optical.evaluate.context import Context
from pyserini_optical.evaluate.measures import parse_measure
from pyserini_optical.evaluate.significance import CONFIDENCE
from pyserini_optical.evaluate.tables import TEST_NAMES, cells_of, contrast_cells, letters_of, notes

if TYPE_CHECKING:
    from pyserini_optical.evaluate.comparison import Comparison
    from pyserini_optical.evaluate.significance import Contrast

# Of a relevant passage all is shown that anyone reads; of one that a run ranks first, enough to see what it is about.
_RELEVANT_LENGTH = 1_200
_FIRST_LENGTH = 160
# Where very many are relevant, only these of each topic can be read.
_RELEVANT_SHOWN = 3


def to_html(comparison: Comparison, context: Context | None = None) -> str:
    """Write the comparison as one page: tables, bars with intervals, differences by topic with their texts.

    Parameters
    ----------
    comparison : Comparison
        What to show.
    context : Context, optional
        What to show beside the numbers.

    Returns
    -------
    str
        HTML. Every text in it is escaped, and it loads nothing from anywhere.
    """
    context = context or Context()
    inference = comparison.inference
    facts = [f"<b>{len(comparison.topics):,}</b> topics", f"<b>{len(comparison.scores):,}</b> runs"]
    if comparison.contrasts:
        test = TEST_NAMES[inference.test].removeprefix("the ")
        corrected = f", {inference.corrected}’s correction" if inference.corrected else ""
        facts.append(f"{escape(test)}{escape(corrected)}, p ≤ {inference.alpha:g}")
    if comparison.baseline is not None:
        facts.append(f"baseline <b>{escape(comparison.baseline)}</b>")
    letters = f"Each value with its {CONFIDENCE:.0%} interval. The best of a column is bold."
    if comparison.contrasts:
        letters += " Raised letters name the runs than which a run is significantly better."
    parts = {
        "title": escape(context.title),
        "lead": f'<p class="lead">{escape(context.lead)}</p>' if context.lead else "",
        "facts": "".join(f"<li>{fact}</li>" for fact in facts),
        "letters": letters,
        "results": _results(comparison),
        "notes": "".join(f"<li>{escape(note)}</li>" for note in notes(comparison)),
        "differences": _differences(comparison),
        "details": _details(context.details),
        "manifest": _manifest(context),
        "data": embedded(_data(comparison, context)),
        "script": _asset("report.js"),
    }
    return fill("report.html", parts)


def fill(template: str, parts: Mapping[str, str]) -> str:
    """Write a page from the template of its body, and parts, which are HTML; one of them is its ``title``."""
    from pyserini_optical import __version__

    body = _filled(template, {"version": escape(__version__), **parts})
    return _filled("page.html", {"title": parts["title"], "style": _asset("style.css"), "body": body})


def _filled(template: str, parts: Mapping[str, str]) -> str:
    # In one go, so that braces inside a part stay as they are.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _asset(template))


def _asset(name: str) -> str:
    return files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def embedded(value: object) -> str:
    """Write JSON that can stand inside a script element, whatever is in its texts."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def table(header: Sequence[str], rows: Iterable[str], text: int, *, sorts: bool = True) -> str:
    """Write a table; the first columns hold text, the others numbers."""
    heads = "".join(
        f'<th scope="col"{" class=text" if index < text else ""}>{escape(name)}</th>'
        for index, name in enumerate(header)
    )
    kind = ' class="sorts"' if sorts else ""
    return f"<table{kind}><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _results(comparison: Comparison) -> str:
    letters = letters_of(comparison)
    most = {name: max(comparison.mean(name, run) for run in comparison.scores) for name in comparison.measures}
    rows = []
    for run in comparison.scores:
        tag = '<span class="tag">baseline</span>' if run == comparison.baseline else ""
        cells = f'<th scope="row" class="text"><span class="letter">{letters[run]}</span> {escape(run)}{tag}</th>'
        for measure, (value, marks, best) in zip(comparison.measures, cells_of(comparison, run), strict=True):
            mean, (low, high) = comparison.mean(measure, run), comparison.intervals[run][measure]
            share = mean / most[measure] if most[measure] > 0 else 0
            shown = f'<span class="best">{value}</span>' if best else value
            raised = f"<sup>{marks}</sup>" if marks else ""
            cells += (
                f'<td data-value="{mean!r}">{shown}{raised}<small>{low:.3f}–{high:.3f}</small>'
                f'<span class="meter"><i style="width:{share:.1%}"></i></span></td>'
            )
        rows.append(f"<tr>{cells}</tr>")
    return f'<div class="results">{table(["run", *comparison.measures], rows, 1)}</div>'


def _differences(comparison: Comparison) -> str:
    if not comparison.contrasts:
        return ""
    parts = []
    for measure in comparison.measures:
        found = [contrast for contrast in comparison.contrasts if contrast.measure == measure]
        reach = max(abs(end) for contrast in found for end in (contrast.low, contrast.high, contrast.difference)) or 1
        cells = contrast_cells(comparison, found[0])
        hidden = ("measure", "win/tie/loss", *(("against",) if comparison.baseline is not None else ()))
        header = [name for name in cells if name not in hidden]
        rows = [_difference(contrast, contrast_cells(comparison, contrast), header, reach) for contrast in found]
        parts.append(
            f'<div class="measure" data-measure="{escape(measure)}"><h3>{escape(measure)}</h3>'
            f'<div class="scroll tall" tabindex="0" role="region" aria-label="Differences in {escape(measure)}">'
            + table([*header, "wins", "ties", "losses"], rows, header.index("difference"))
            + "</div></div>"
        )
    test = TEST_NAMES[comparison.inference.test]
    other = "the second" if comparison.baseline is None else f"the baseline {comparison.baseline}"
    hint = (
        f"Mean over {len(comparison.topics):,} topics of a run minus {other}, with its {CONFIDENCE:.0%} interval; p by "
        f"{test}. What is significant is in colour. Effect: the mean difference over its standard deviation."
    )
    return (
        '<section aria-labelledby="h-differences"><h2 id="h-differences">Differences</h2>'
        f'<p class="hint">{escape(hint)}</p>{"".join(parts)}</section>'
    )


def _difference(contrast: Contrast, shown: Mapping[str, str], header: Sequence[str], reach: float) -> str:
    numbers = {"difference": contrast.difference, "p": contrast.p, "effect": contrast.effect or 0.0}
    better = parse_measure(contrast.measure).sign * contrast.difference > 0
    mark = f' class="{"gain" if better else "loss"}"' if contrast.significant else ""
    cells = ""
    for name in header:
        if name in ("run", "against"):
            cells += f'<td class="text">{escape(shown[name])}</td>'
        elif name.endswith("interval"):
            interval = f"{_interval(contrast, reach, better)}<small>{shown[name]}</small>"
            cells += f'<td data-value="{contrast.low!r}">{interval}</td>'
        else:
            value = numbers.get(name, contrast.adjusted)
            cells += f'<td data-value="{value!r}"{mark if name == "difference" else ""}>{escape(shown[name])}</td>'
    counts = (contrast.wins, contrast.ties, contrast.losses)
    return f"<tr>{cells}" + "".join(f'<td data-value="{count}">{count:,}</td>' for count in counts) + "</tr>"


def _interval(contrast: Contrast, reach: float, better: bool) -> str:
    """Draw an interval around zero, 120 wide, with a stroke at the mean difference."""
    low, middle, high = (60 + 58 * value / reach for value in (contrast.low, contrast.difference, contrast.high))
    kind = ("up" if better else "down") if contrast.significant else "base"
    return (
        '<svg width="120" height="16" viewBox="0 0 120 16" aria-hidden="true">'
        '<line x1="60" x2="60" y1="0" y2="16" class="axis"/>'
        f'<rect class="{kind}" x="{low - 1:.1f}" y="5" width="{high - low + 2:.1f}" height="6" rx="3"/>'
        f'<path class="whisker" d="M{middle:.1f} 2V14"/></svg>'
    )


def _details(details: Sequence[Mapping[str, str]]) -> str:
    if not details:
        return ""
    header = list(dict.fromkeys(name for row in details for name in row))
    rows = [
        "<tr>" + "".join(f'<td class="text">{escape(row.get(name, ""))}</td>' for name in header) + "</tr>"
        for row in details
    ]
    return (
        '<section aria-labelledby="h-details"><h2 id="h-details">What ran</h2>'
        '<div class="scroll" tabindex="0" role="region" aria-labelledby="h-details">'
        f"{table(header, rows, len(header))}</div></section>"
    )


def _manifest(context: Context) -> str:
    if context.manifest is None:
        return ""
    content = json.dumps(asdict(context.manifest), ensure_ascii=False, indent=2, sort_keys=True)
    used = ", ".join(f"{package} {version}" for package, version in context.manifest.versions.items())
    return (
        '<section aria-labelledby="h-manifest"><h2 id="h-manifest">What it was made from</h2>'
        f'<p class="hint">{escape(used)}</p><details><summary>Fingerprints and settings</summary>'
        f"<pre>{escape(content)}</pre></details></section>"
    )


def _data(comparison: Comparison, context: Context) -> dict[str, Any]:
    """Give what the page draws from, topics in the order of the comparison."""
    topics, runs = comparison.topics, list(comparison.scores)
    number: dict[str, int] = {}
    relevant = [[number.setdefault(doc, len(number)) for doc in context.relevant.get(topic, ())] for topic in topics]
    read = {doc for topic in topics for doc in context.relevant.get(topic, ())[:_RELEVANT_SHOWN]}
    passages = [_passage(context, doc, _RELEVANT_LENGTH if doc in read else _FIRST_LENGTH) for doc in number]
    shown = []
    for run, scores in comparison.scores.items():
        first = []
        for doc in scores.first if context.relevant or context.passages else ():
            if doc in context.passages and doc not in number:
                number[doc] = len(number)
                passages.append(_passage(context, doc, _FIRST_LENGTH))
            first.append(number.get(doc, -1))
        shown.append(
            {
                "name": run,
                **_means(comparison, run),
                "values": [[round(value, 4) for value in scores.values[name].tolist()] for name in comparison.measures],
                "ranks": scores.ranks,
                "first": first,
                "matches": _matches(context, run, topics),
            }
        )
    return {
        "measures": comparison.measures,
        "signs": [parse_measure(measure).sign for measure in comparison.measures],
        "baseline": -1 if comparison.baseline is None else runs.index(comparison.baseline),
        "topics": topics,
        "runs": shown,
        "texts": [
            {"name": name, "text": [texts.get(topic) for topic in topics]} for name, texts in context.topics.items()
        ],
        "relevant": relevant,
        "relevant_shown": _RELEVANT_SHOWN,
        "passages": passages,
        "quantities": [
            {"name": name, "values": [values.get(run) for run in runs]} for name, values in context.quantities.items()
        ],
        "languages": [
            {"name": name, "topics": len(part.topics), "runs": [_means(part, run) for run in runs]}
            for name, part in comparison.languages.items()
        ],
    }


def _matches(context: Context, run: str, topics: Sequence[str]) -> dict[int, list[tuple[str, str, float]]]:
    found = context.matches.get(run, {})
    return {
        index: [(word, met, round(added, 3)) for word, met, added in found[topic]]
        for index, topic in enumerate(topics)
        if topic in found
    }


def _means(comparison: Comparison, run: str) -> dict[str, list[float]]:
    intervals = [comparison.intervals[run][measure] for measure in comparison.measures]
    return {
        "mean": [comparison.mean(measure, run) for measure in comparison.measures],
        "low": [low for low, _ in intervals],
        "high": [high for _, high in intervals],
    }


def _passage(context: Context, doc: str, length: int) -> tuple[str, str, str]:
    title, text = context.passages.get(doc, ("", ""))
    return doc, title, text if len(text) <= length else text[:length].rstrip() + "…"
