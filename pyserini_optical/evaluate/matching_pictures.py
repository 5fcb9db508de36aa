"""How the words of a sentence pair match, to be looked at: coloured text, and heat maps with bipartite pictures."""

from __future__ import annotations

import unicodedata
from collections import Counter
from html import escape
from typing import TYPE_CHECKING

from pyserini_optical.evaluate.matching import MAXSIM, Matching, SentencePair
from pyserini_optical.evaluate.page import fill, table

if TYPE_CHECKING:
    from rich.table import Table

# Weights below are not said in words, and not drawn as lines.
_SAID, _DRAWN = 0.1, 0.03
_COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

# Sizes in pixels: a cell, a letter of usual width, the way between the two sides of a bipartite picture.
_CELL, _LETTER, _WAY = 30, 8, 150
_LONGEST = 24

# Colours have the names that pages give them.
_COLOUR_STYLE = """
:root { color-scheme: light dark; --card: #ffffff; --ink: #1d2129; --soft: #59606d; --line: #e2e0db; --blue: #0068a8; --grey: #8b909a; }
@media (prefers-color-scheme: dark) {
  :root { --card: #1c1f25; --ink: #e9eaec; --soft: #a3a9b5; --line: #31353e; --blue: #62b6f0; --grey: #7d8491; }
}
.matching { background: var(--card); }
"""  # noqa: E501
_STYLE = """
.matching { --heat: #0068a8; font-family: system-ui, "Noto Sans", "Noto Sans Devanagari", "Noto Sans Arabic", "DejaVu Sans", sans-serif; }
@media (prefers-color-scheme: dark) { .matching { --heat: #2f86c4; } }
.matching text { fill: var(--ink); font-size: 14px; }
.matching text.name { font-size: 16px; font-weight: 600; }
.matching .total { fill: var(--soft); font-size: 14px; font-weight: 400; }
.matching text.number { font-size: 11px; }
.matching .field { fill: none; stroke: var(--line); }
.matching .cell { fill: var(--heat); }
.matching .linked { fill: none; stroke: var(--ink); stroke-width: 1.5; }
.matching .link { fill: none; stroke: var(--blue); }
.matching .weak { fill: none; stroke: var(--grey); stroke-dasharray: 4 3; }
"""  # noqa: E501


def to_terminal(pair: SentencePair) -> Table:
    """Give a table for a terminal: a row for each foreign word, a column for each matching.

    An English word has the same colour everywhere. Words that are not linked, but to which a tenth or more goes, stand
    in brackets.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    names = _numbered(pair.english)
    colours = [_COLOURS[number % len(_COLOURS)] for number in range(len(names))]
    title = Text(" ").join(Text(name, colour) for name, colour in zip(names, colours, strict=True))
    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    shown.add_column("")
    for matching in pair.matchings:
        shown.add_column(f"{matching.name}\n{matching.quantity} {matching.total:.3f}", header_style="bold")
    for row, word in enumerate(pair.foreign):
        cells = []
        for matching in pair.matchings:
            cell = Text("  ").join(
                Text(text, f"{'bold ' if linked else 'dim '}{colours[number]}")
                for number, text, linked in _said(matching, row, names)
            )
            cells.append(cell if cell.plain else Text("–", "dim"))
        shown.add_row(Text(_printable(word), "bold"), *cells)
    return shown


def to_svg(pair: SentencePair) -> str:
    """Draw all matchings as one SVG file, which needs nothing else: heat map and bipartite picture of each."""
    panels = [_panel(pair, matching) for matching in pair.matchings]
    width, height = max(width for _, width, _ in panels), sum(height for *_, height in panels)
    parts, top = [], 0
    for drawn, _, tall in panels:
        parts.append(f'<g transform="translate(0 {top})">{drawn}</g>')
        top += tall
    return _svg("".join(parts), width, height, _label(pair), f"<style>{_COLOUR_STYLE}{_STYLE}</style>") + "\n"


def to_page(pair: SentencePair) -> str:
    """Write a page that needs nothing else: the pictures of each matching, and the same as a table."""
    names = _numbered(pair.english)
    pictures, rows = [], []
    for matching in pair.matchings:
        drawn, width, height = _panel(pair, matching)
        picture = _svg(drawn, width, height, f"{matching.name}, {matching.quantity} {matching.total:.3f}")
        pictures.append(f'<section><div class="scroll" tabindex="0" role="region" aria-label="{matching.name}">')
        pictures.append(f"{picture}</div></section>")
    for row, word in enumerate(pair.foreign):
        said = ["; ".join(text for _, text, _ in _said(matching, row, names)) or "–" for matching in pair.matchings]
        cells = "".join(f'<td class="text">{escape(text)}</td>' for text in said)
        rows.append(f'<tr><th scope="row" class="text" dir="auto">{escape(_printable(word))}</th>{cells}</tr>')
    header = ["word", *(f"{matching.name}, {matching.quantity} {matching.total:.3f}" for matching in pair.matchings)]
    parts = {
        "title": "Which words match",
        "foreign": escape(_printable(" ".join(pair.foreign))),
        "english": escape(_printable(" ".join(pair.english))),
        "style": _STYLE,
        "pictures": "".join(pictures),
        "table": table(header, rows, len(header), sorts=False),
    }
    return fill("matching.html", parts)


def _said(matching: Matching, row: int, names: list[str]) -> list[tuple[int, str, bool]]:
    """Say what a foreign word matches, the heaviest first: number of the English word, text, whether it is linked."""
    said = []
    for number in (-matching.weights[row]).argsort(kind="stable").tolist():
        weight, linked = float(matching.weights[row, number]), (row, number) in matching.links
        if linked or weight >= _SAID:
            text = f"{names[number]} {_number(matching, weight)}"
            said.append((number, text if linked else f"({text})", linked))
    return said


def _number(matching: Matching, weight: float) -> str:
    text = f"{weight:+.2f}" if matching.name == MAXSIM else f"{weight:.2f}"
    return text.replace("0.", ".", 1) if abs(weight) < 0.995 else text


def _panel(pair: SentencePair, matching: Matching) -> tuple[str, int, int]:
    """Draw one matching: markup, width and height."""
    ours, theirs = ([_short(word) for word in words] for words in (pair.foreign, pair.english))
    left, right = (max(map(_width, words)) for words in (ours, theirs))
    # Column names rise at 45 degrees, over the heat map and beyond its right end.
    rise = round(0.75 * right) + 12
    top, field = 44 + rise, (left + 20, left + 20 + _CELL * len(theirs))
    from_x = field[1] + max(rise, 40) + left
    to_x = from_x + _WAY
    width = to_x + right + 24
    height = top + _CELL * max(len(ours), len(theirs)) + 24
    total = f'<tspan class="total" dx="12">{matching.quantity} {matching.total:.3f}</tspan>'
    parts = [f'<text class="name" x="12" y="28">{matching.name}{total}</text>']
    for number, (word, full) in enumerate(zip(theirs, pair.english, strict=True)):
        x, y = field[0] + _CELL * number + _CELL // 2, top - 8
        parts.append(_text(word, full, x, y, f' transform="rotate(-45 {x} {y})"'))
        parts.append(_text(word, full, to_x + 8, _middle(top, number) + 5))
    for number, (word, full) in enumerate(zip(ours, pair.foreign, strict=True)):
        for x in (field[0] - 8, from_x - 8):
            parts.append(_text(word, full, x, _middle(top, number) + 5, ' text-anchor="end"'))
    most = max(1.0, float(matching.weights.max()))
    lines = []
    for row, weights in enumerate(matching.weights.tolist()):
        for column, weight in enumerate(weights):
            linked = (row, column) in matching.links
            said = f"<title>{_escaped(f'{pair.foreign[row]} – {pair.english[column]}: {weight:.3f}')}</title>"
            parts.append(_cell(matching, weight, weight / most, linked, said, field[0] + _CELL * column, top, row))
            if weight / most >= _DRAWN:
                lines.append(_line(weight / most, linked, said, (from_x, to_x), top, (row, column)))
    return "".join(parts + lines), width, height


def _cell(matching: Matching, weight: float, share: float, linked: bool, said: str, x: int, top: int, row: int) -> str:
    y = top + _CELL * row
    box = f'x="{x + 1}" y="{y + 1}" width="{_CELL - 2}" height="{_CELL - 2}" rx="4"'
    drawn = f'<rect class="field" {box}/>'
    # Never so dark that the number on it could not be read.
    drawn += f'<rect class="cell" {box} fill-opacity="{0.75 * max(share, 0.0):.3f}">{said}</rect>'
    if linked:
        drawn += f'<rect class="linked" {box} pointer-events="none"/>'
    if linked or share >= _SAID:
        place = f'x="{x + _CELL // 2}" y="{y + _CELL // 2 + 4}" text-anchor="middle" pointer-events="none"'
        drawn += f'<text class="number" {place}>{_number(matching, weight).lstrip("+")}</text>'
    return drawn


def _line(share: float, linked: bool, said: str, ends: tuple[int, int], top: int, pair: tuple[int, int]) -> str:
    y_from, y_to = (_middle(top, number) for number in pair)
    middle = sum(ends) // 2
    path = f"M{ends[0]} {y_from}C{middle} {y_from} {middle} {y_to} {ends[1]} {y_to}"
    look = (
        f'class="{"link" if linked else "weak"}" stroke-width="{1 + 5 * share:.1f}" opacity="{0.3 + 0.7 * share:.2f}"'
    )
    return f'<path d="{path}" {look}>{said}</path>'


def _middle(top: int, number: int) -> int:
    return top + _CELL * number + _CELL // 2


def _text(word: str, full: str, x: int, y: int, more: str = "") -> str:
    said = f"<title>{_escaped(full)}</title>" if word != full else ""
    # Isolated, so that a word keeps its own direction and the picture its.
    return f'<text x="{x}" y="{y}"{more}>\u2068{_escaped(word)}\u2069{said}</text>'


def _svg(drawn: str, width: int, height: int, label: str, style: str = "") -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="matching" role="img" aria-label="{_escaped(label)}" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">{style}{drawn}</svg>'
    )


def _label(pair: SentencePair) -> str:
    totals = ", ".join(f"{matching.name} {matching.quantity} {matching.total:.3f}" for matching in pair.matchings)
    return f"Which words match: {' '.join(pair.foreign)} – {' '.join(pair.english)}; {totals}"


def _numbered(words: tuple[str, ...]) -> list[str]:
    """Tell words that stand there more than once apart by a number."""
    often, seen = Counter(words), Counter[str]()
    names = []
    for word in words:
        seen[word] += 1
        number = str(seen[word]).translate(_SUBSCRIPTS) if often[word] > 1 else ""
        names.append(_printable(word) + number)
    return names


def _printable(text: str) -> str:
    """Replace what neither a terminal nor XML may be given: control characters and what is no character."""
    return "".join("�" if unicodedata.category(char) == "Cc" or ord(char) & 0xFFFE == 0xFFFE else char for char in text)


def _escaped(text: str) -> str:
    return escape(_printable(text))


def _short(word: str) -> str:
    return word if len(word) <= _LONGEST else word[: _LONGEST - 1] + "…"


def _width(word: str) -> int:
    """Guess the width of a word in pixels: marks take none, East Asian letters twice as much."""
    wide = sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in word if not _is_mark(char))
    return _LETTER * max(wide, 1)


def _is_mark(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Me", "Cf")
