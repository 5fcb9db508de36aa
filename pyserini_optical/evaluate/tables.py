"""A comparison as a table: on the terminal, in Markdown and LaTeX.

As in ranx's reports, each run has a letter, and the letters raised behind a value name the runs than which it is
significantly better.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pyserini_optical.evaluate.measures import parse_measure
from pyserini_optical.evaluate.significance import CONFIDENCE, assignments

if TYPE_CHECKING:
    from rich.console import Group

    from pyserini_optical.evaluate.comparison import Comparison
    from pyserini_optical.evaluate.context import Context
    from pyserini_optical.evaluate.significance import Contrast

TEST_NAMES = {
    "fisher": "Fisher's randomisation test",
    "student": "the paired Student's t-test",
    "tukey": "Tukey's HSD test",
}

# Unicode has no raised q that most fonts can show.
_LETTERS = "abcdefghijklmnoprstuvwxyz"
_RAISED = str.maketrans(_LETTERS + ",", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ˒")
_SHOWN = 10
_TERMINAL_ROWS = 20
# Characters of a run's name that stand in a line at least.
_NAME = 12


def to_terminal(comparison: Comparison) -> Group:
    """Lay the comparison out for rich: the measures of every run, then the differences on the first measure."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    def table(title: str | None, header: Sequence[str], rows: Sequence[Sequence[str | Text]], left: int) -> Table:
        made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        for index, name in enumerate(header):
            # On a narrow terminal the names of the runs are folded, never the numbers.
            if index < left:
                longest = max((len(str(row[index])) for row in rows), default=0)
                made.add_column(Text(name), overflow="fold", min_width=min(longest, _NAME))
            else:
                made.add_column(Text(name), justify="right", no_wrap=True)
        for row in rows:
            # Text, because a name in square brackets must not be read as a style.
            made.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
        return made

    letters = letters_of(comparison)
    rows = [
        [letters[run], _label(comparison, run)]
        + [
            Text.assemble((value, "bold" if best else ""), (marks.translate(_RAISED), "green"))
            for value, marks, best in cells_of(comparison, run)
        ]
        for run in comparison.scores
    ]
    parts: list[Table | Text] = [table(None, ["", "run", *comparison.measures], rows, left=2)]
    shown = [contrast for contrast in comparison.contrasts if contrast.measure == comparison.measures[0]]
    if 0 < len(shown) <= _TERMINAL_ROWS:
        title = f"Differences in {comparison.measures[0]}"
        if comparison.baseline is not None:
            title += f" from {comparison.baseline}"
        # What every row would repeat, and the p before its correction, are left to the reports.
        hidden = (
            {"measure"}
            | ({"against"} if comparison.baseline else set())
            | ({"p"} if comparison.inference.corrected else set())
        )
        cells = [contrast_cells(comparison, contrast) for contrast in shown]
        body = [[cell for name, cell in row.items() if name not in hidden] for row in cells]
        header = [name for name in cells[0] if name not in hidden]
        parts.append(table(title, header, body, left=header.index("difference")))
    parts.extend(Text(note) for note in notes(comparison))
    return Group(*parts)


def to_markdown(comparison: Comparison, *, title: str = "Comparison", lead: str = "") -> str:
    """Write the comparison as Markdown: the measures of every run, what was tested and how, every difference.

    Parameters
    ----------
    comparison : Comparison
        What to write.
    title, lead : str
        The heading, and a paragraph under it.
    """
    letters = letters_of(comparison)
    rows = [
        [letters[run], _markdown(_label(comparison, run))]
        + [
            (f"**{value}**" if best else value) + marks.translate(_RAISED)
            for value, marks, best in cells_of(comparison, run)
        ]
        for run in comparison.scores
    ]
    lines = [f"# {_markdown(title)}", "", *([_markdown(lead), ""] if lead else [])]
    lines += [*_markdown_table(["", "run", *comparison.measures], rows, left=2), ""]
    lines += [f"- {_markdown(note)}" for note in notes(comparison)]
    if comparison.contrasts:
        cells = [contrast_cells(comparison, contrast) for contrast in comparison.contrasts]
        body = [[_markdown(cell) for cell in row.values()] for row in cells]
        lines += ["", "## Differences", "", *_markdown_table(list(cells[0]), body, left=3)]
    return "\n".join(lines) + "\n"


def details_to_markdown(context: Context) -> str:
    """Write how the runs were made, and with which versions, as Markdown; empty if neither is known."""
    lines = []
    if context.details:
        header = list(dict.fromkeys(name for row in context.details for name in row))
        body = [[_markdown(row.get(name, "")) for name in header] for row in context.details]
        lines += ["", "## What ran", "", *_markdown_table(header, body, left=len(header))]
    if context.manifest is not None:
        used = ", ".join(f"{package} {version}" for package, version in context.manifest.versions.items())
        lines += ["", f"Versions: {used}."]
    return "".join(f"{line}\n" for line in lines)


def to_latex(comparison: Comparison) -> str:
    """Write the measures of every run as a LaTeX table (package booktabs), what was tested in its caption."""
    letters = letters_of(comparison)
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        r"\caption{" + " ".join(_latex(note) for note in notes(comparison)) + "}",
        r"\begin{tabular}{ll" + "r" * len(comparison.measures) + "}",
        r"\toprule",
        " & ".join(["", "Run", *map(_latex, comparison.measures)]) + r" \\",
        r"\midrule",
    ]
    for run in comparison.scores:
        cells = [letters[run], _latex(_label(comparison, run))]
        for value, marks, best in cells_of(comparison, run):
            shown = rf"\textbf{{{value}}}" if best else value
            cells.append(shown + (rf"$^{{\mathrm{{{marks}}}}}$" if marks else ""))
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def notes(comparison: Comparison) -> list[str]:
    """Say in plain sentences how many topics there are, what was tested, and which topics are missing."""
    total = len(comparison.topics)
    baseline = "" if comparison.baseline is None else f" The baseline is {comparison.baseline}."
    lines = [f"Means over {_count(total, 'topic')}.{baseline}"]
    inference = comparison.inference
    if comparison.contrasts:
        pairs = len(comparison.contrasts) // len(comparison.measures)
        corrected = (
            f"two-sided, {inference.corrected}'s correction over the {_count(pairs, 'comparison')} of each measure"
        )
        how = {
            "fisher": f"{corrected}, {assignments(pairs, inference.alpha):,} random assignments, seed {inference.seed}",
            "student": corrected,
            "tukey": f"over all {len(comparison.scores)} runs, so without further correction",
        }[inference.test]
        lines.append(
            "A raised letter names a run than which this one is significantly better: "
            f"{TEST_NAMES[inference.test]}, p ≤ {inference.alpha:g} ({how})."
        )
    if comparison.languages:
        parts = ", ".join(
            f"{language} ({_count(len(part.topics), 'topic')})" for language, part in comparison.languages.items()
        )
        lines.append(f"Pooled over {parts}; a topic that several of them have counts once, with its mean.")
    lower = [measure for measure in comparison.measures if parse_measure(measure).sign < 0]
    if lower:
        lines.append(f"Less is better: {', '.join(lower)}.")
    lines += _notes_on_topics(comparison)
    for language, part in comparison.languages.items():
        lines += [f"{language}: {line}" for line in _notes_on_topics(part)]
    return lines


def _notes_on_topics(comparison: Comparison) -> list[str]:
    """Say of each run which topics it lacks or has besides, and what lies between its seeds."""
    total = len(comparison.topics)
    lower = any(parse_measure(measure).sign < 0 for measure in comparison.measures)
    worst = "zero (where less is better, as the most)" if lower else "zero"
    lines = []
    for run, scores in comparison.scores.items():
        if scores.seeds:
            spread = ", ".join(f"{measure} ± {statistics.stdev(means):.4f}" for measure, means in scores.seeds.items())
            lines.append(f"{run} is the mean of {scores.runs} runs; standard deviation between them: {spread}.")
        if scores.missing:
            missing = f"{len(scores.missing)} of {_count(total, 'topic')}"
            lines.append(f"{run} has no hits for {missing}, counted as {worst}: {_listed(scores.missing)}.")
        if scores.ignored:
            ignored = _count(len(scores.ignored), "topic")
            lines.append(f"{run} has {ignored} outside the qrels, ignored: {_listed(scores.ignored)}.")
    if comparison.unanswerable:
        topics = _count(len(comparison.unanswerable), "topic")
        reading = any(parse_measure(measure).reads_answers for measure in comparison.measures)
        value = "" if lower or reading else ", zero for every run"
        lines.append(f"Without a relevant document{value}: {topics}: {_listed(comparison.unanswerable)}.")
    return lines


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + "s" * (number != 1)


def _listed(topics: Sequence[str]) -> str:
    rest = len(topics) - _SHOWN
    return ", ".join(topics[:_SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")


def letters_of(comparison: Comparison) -> dict[str, str]:
    """Give the runs their letters: a, b, … z, aa, ab, …"""
    letters = {}
    for index, run in enumerate(comparison.scores):
        text, rest = "", index + 1
        while rest:
            rest, digit = divmod(rest - 1, len(_LETTERS))
            text = _LETTERS[digit] + text
        letters[run] = text
    return letters


def _label(comparison: Comparison, run: str) -> str:
    return f"{run} (baseline)" if run == comparison.baseline else run


def cells_of(comparison: Comparison, run: str) -> Iterator[tuple[str, str, bool]]:
    """Yield for each measure the value, the letters of the runs beaten, and whether it is the best."""
    letters = letters_of(comparison)
    between = "," if len(letters) > len(_LETTERS) else ""
    for measure in comparison.measures:
        value = f"{comparison.mean(measure, run):.4f}"
        means = [comparison.mean(measure, other) for other in comparison.scores]
        best = f"{max(means) if parse_measure(measure).sign > 0 else min(means):.4f}"
        yield (
            value,
            between.join(letters[other] for other in comparison.beaten(measure, run)),
            len(letters) > 1 and value == best,
        )


def contrast_cells(comparison: Comparison, contrast: Contrast) -> dict[str, str]:
    """Give one comparison as text, by column."""
    corrected = comparison.inference.corrected
    cells = {
        "measure": contrast.measure,
        "run": contrast.run,
        "against": contrast.other,
        "difference": f"{contrast.difference:+.4f}",
        f"{CONFIDENCE:.0%} interval": f"{contrast.low:+.4f} to {contrast.high:+.4f}",
        "p": _p(contrast.p),
        f"p ({corrected})": _p(contrast.adjusted),
        "effect": "" if contrast.effect is None else f"{contrast.effect:+.2f}",
        "win/tie/loss": f"{contrast.wins}/{contrast.ties}/{contrast.losses}",
    }
    if corrected is None:
        del cells[f"p ({corrected})"]
    return cells


def _p(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    rule = [":--" if index < left else "--:" for index in range(len(header))]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "≤": r"$\leq$",
    "±": r"$\pm$",
    "–": "--",
    **{character: "\\" + character for character in "&%$#_{}"},
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
