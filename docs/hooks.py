"""What the site is told by the package itself: ``{{ name }}`` on a line of its own is replaced by what it gives.

So the pages on objectives, couplings, settings, commands and messages say what the code says, and those with results
what the committed reports say.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from figures import costs, ladders, late_interaction_cost, results, sizes, speed
from latex2mathml.converter import convert
from techniques import (
    alignment,
    cells,
    couplings_compared,
    late_interaction,
    late_interaction_options,
    mixed_pool,
    quick,
    quick_by_labels,
    quick_teachers,
    relevance,
    relevance_translated,
    techniques,
    techniques_by_pairs,
    techniques_mlqa,
)

HOME = Path(__file__).resolve().parent.parent
PACKAGE = HOME / "pyserini_optical"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the places of a page; MkDocs calls it."""

    def fill(match: re.Match[str]) -> str:
        made: str = PLACES[match[1]]()
        return made

    return re.sub(r"^\{\{ (\w+) \}\}$", fill, markdown, flags=re.MULTILINE)


def couplings() -> str:
    """Describe every coupling of the registry."""
    from pyserini_optical.couplings import COUPLINGS

    return "\n".join(_entry(name, made, "coupling: ") for name, made in COUPLINGS.items())


def objectives() -> str:
    """Describe every objective on sentence pairs."""
    from pyserini_optical.objectives import OBJECTIVES

    return "\n".join(_entry(name, made, "- ") for name, made in OBJECTIVES.items())


def relevance_objectives() -> str:
    """Describe every objective on questions and passages."""
    from pyserini_optical.objectives import RELEVANCE_OBJECTIVES

    return "\n".join(_entry(name, made, "- ") for name, made in RELEVANCE_OBJECTIVES.items())


def translators() -> str:
    """Describe every translator."""
    from pyserini_optical.translation import TRANSLATORS
    from pyserini_optical.translation.apertium import Apertium
    from pyserini_optical.translation.dictionary import Dictionary
    from pyserini_optical.translation.glosses import Glosses
    from pyserini_optical.translation.learned import Learned
    from pyserini_optical.translation.marian import Marian
    from pyserini_optical.translation.table import Table

    kinds = {kind.__name__.lower(): kind for kind in (Marian, Apertium, Dictionary, Table, Learned, Glosses)}
    return "\n".join(f"### `{name}`\n\n{described(kinds[name])}" for name in TRANSLATORS)


def recipe() -> str:
    """List the settings of recipes for `distill`."""
    from pyserini_optical.distillation import recipe as module

    parts = {"": "Recipe", "student": "StudentRecipe", "training": "TrainingRecipe", "relevance": "RelevanceRecipe"}
    kinds = {part: getattr(module, name) for part, name in parts.items()} | _quick()
    return "\n".join(_settings(part, kind) for part, kind in kinds.items())


def _quick() -> dict[str, Any]:
    from pyserini_optical.distillation.quick_recipe import AlignmentRecipe, QuickRecipe
    from pyserini_optical.generation import Generation
    from pyserini_optical.models.query_generator import Decoding

    parts = {"": QuickRecipe, ".questions": Generation, ".questions.decoding": Decoding, ".alignment": AlignmentRecipe}
    return {f"quick{part}": kind for part, kind in parts.items()}


def generator() -> str:
    """List the settings of recipes for `train-generator`."""
    from pyserini_optical.distillation.generator_data import GeneratorData
    from pyserini_optical.distillation.generator_training import ContrastiveRecipe, GeneratorRecipe
    from pyserini_optical.models.new_generator import NewGenerator

    kinds = {"": GeneratorRecipe, "sources": GeneratorData, "size": NewGenerator, "contrastive": ContrastiveRecipe}
    return "\n".join(_settings(part, kind) for part, kind in kinds.items())


def fine_tuning() -> str:
    """List the settings of recipes for `fine-tune`."""
    from pyserini_optical.distillation import fine_tuning as module

    kinds = inspect.getmembers(module, lambda made: is_dataclass(made) and made.__module__ == module.__name__)
    return "\n".join(_settings("", kind) for name, kind in kinds if not name.startswith("_"))


def study() -> str:
    """List the settings of study files."""
    import pyserini_optical.study as module

    kinds = {"": "Study", "runs.NAME": "StudyRun", "runs.NAME.bm25": "Bm25Settings"}
    kinds |= {"topics.NAME": "TranslatedTopics", "corpora.NAME": "TranslatedCorpus"}
    parts = [_settings(part, getattr(module, kind)) for part, kind in kinds.items()]
    from pyserini_optical.translation import TableSettings

    return "\n".join([*parts, _settings("runs.NAME.table", TableSettings)])


def commands() -> str:
    """Show every command's help."""
    from pyserini_optical.cli import _parser

    [chosen] = [action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction)]
    made = []
    for name, parser in chosen.choices.items():
        parser.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=100)
        made.append(f"## {name}\n\n```text\n{parser.format_help().strip()}\n```\n")
    return "\n".join(made)


def messages() -> str:
    """List what the package's errors say, and what they advise."""
    rows = sorted({row for path in sorted(PACKAGE.rglob("*.py")) for row in _messages(path) if row[1].strip("… ")})
    lines = [f"| {_cell(problem)} | {_cell(remedy)} |" for problem, remedy in rows]
    return "\n".join(["| message | what to do |", "|---|---|", *lines])


def described(thing: Any) -> str:
    """Write a docstring as Markdown, with its parameters as a table and the references that it cites."""
    text = inspect.getdoc(thing) or ""
    sections = _sections(text)
    parts = [markdown_of(sections[""])]
    for name in ("Parameters", "Options"):
        if name in sections:
            parts.append(_table(_items(sections[name]), _defaults(thing)))
    references = _references(text) or _references(sys.modules[thing.__module__].__doc__ or "")
    for number in dict.fromkeys(re.findall(r"\[(\d+)\]_", text)):
        parts.append(f"\\[{number}\\] {markdown_of(references[number])}")
    return "\n\n".join(parts) + "\n"


def markdown_of(text: str) -> str:
    """Turn the little reStructuredText of the docstrings into Markdown, formulae into MathML."""

    def display(match: re.Match[str]) -> str:
        return f"\n{_mathml(match[1], 'block')}\n\n"

    text = re.sub(r"^\.\. math::[ ]*\n?((?:[ ]+.+\n?|\n(?=[ ]))+)", display, text, flags=re.MULTILINE)
    # In a span, as a formula at the beginning of a line would be a paragraph of its own.
    text = re.sub(r":math:`([^`]+)`", lambda match: f"<span>{_mathml(match[1], 'inline')}</span>", text)
    text = re.sub(r":\w+:`~?([\w.]+)`", lambda match: f"`{match[1].rsplit('.', 1)[-1]}`", text)
    return re.sub(r"\[(\d+)\]_", r"\\[\1\\]", text.replace("``", "`"))


def _mathml(formula: str, display: str) -> str:
    return convert(" ".join(formula.split()).replace(r"\arg\min", r"\operatorname{arg\,min}"), display=display)


def _entry(name: str, made: Any, prefix: str) -> str:
    defaults = [f"{key}: {value}" for key, value in _defaults(made).items() if value != "null" and key != "coupling"]
    if "coupling" in _defaults(made):
        defaults.insert(0, "coupling: ipot")
    written = ", ".join([f"name: {name}", *defaults])
    return f"### `{name}`\n\n```yaml\n{prefix}{{{written}}}\n```\n\n{described(made)}"


def _settings(part: str, kind: Any) -> str:
    sections = _sections(inspect.getdoc(kind) or "")
    title = f"### `{part}`\n\n" if part else ""
    table = _table(_items(sections["Attributes"]), _defaults(kind))
    return f"{title}{markdown_of(sections[''])}\n\n{table}\n"


def _defaults(made: Any) -> dict[str, str]:
    if is_dataclass(made):
        found: dict[str, Any] = {field.name: field.default for field in fields(made) if field.default is not MISSING}
    elif inspect.isclass(made) and "__init__" not in made.__dict__:
        found = {}
    else:
        parameters = inspect.signature(made).parameters.values()
        found = {one.name: one.default for one in parameters if one.default is not inspect.Parameter.empty}
    return {name: json.dumps(value) for name, value in found.items()}


def _sections(text: str) -> dict[str, str]:
    """Cut a docstring at its underlined headings; what stands before the first is named by an empty text."""
    parts = re.split(r"^(\w+)\n-+\n", text, flags=re.MULTILINE)
    return {"": parts[0].strip()} | dict(zip(parts[1::2], parts[2::2], strict=True))


def _items(section: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and meaning of each item of a section."""
    for block in re.split(r"\n(?=\S)", section.strip()):
        head, _, body = block.partition("\n")
        name, _, kind = head.partition(" : ")
        yield name, kind, " ".join(body.split())


def _table(items: Iterator[tuple[str, str, str]], defaults: Mapping[str, str]) -> str:
    lines = ["| name | kind | default | meaning |", "|---|---|---|---|"]
    for names, kind, meaning in items:
        values = [defaults[name] for name in names.split(", ") if name in defaults]
        default = f"`{', '.join(values)}`" if values else ""
        lines.append(
            f"| `{names}` | {_cell(kind.replace(', optional', ''))} | {default} | {_cell(markdown_of(meaning))} |"
        )
    return "\n".join(lines)


def _cell(text: str) -> str:
    # What is no formula is no markup either.
    text = text if "<math" in text else text.replace("<", "&lt;")
    return text.replace("|", "\\|").replace("\n", " ")


def _references(text: str) -> dict[str, str]:
    section = _sections(inspect.cleandoc(text)).get("References", "")
    found = re.findall(r"^\.\. \[(\d+)\] (.+(?:\n[ ]+.+)*)", section, flags=re.MULTILINE)
    return {number: " ".join(reference.split()) for number, reference in found}


def _messages(path: Path) -> Iterator[tuple[str, str]]:
    """Yield problem and remedy of each error that a file raises."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef):
            said = {
                node.targets[0].id: node.value
                for node in ast.walk(function)
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            }
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                    if node.func.id == "InputError":
                        remedy = next((word.value for word in node.keywords if word.arg == "remedy"), None)
                        yield _words(node.args[0], said), _words(remedy, said)
                    elif node.func.id in ("RecipeError", "CheckpointError", "SetupError"):
                        problem, _, rest = _words(node.args[0], said).partition("; ")
                        yield problem.removeprefix("…: "), rest


def _words(node: ast.expr | None, said: Mapping[str, ast.expr]) -> str:
    """Give the text of an expression, with … for what is known only when it happens."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_words(value, said) for value in node.values)
    if isinstance(node, ast.FormattedValue | ast.Name):
        name = node.value if isinstance(node, ast.FormattedValue) else node
        if isinstance(name, ast.Name) and isinstance(said.get(name.id), ast.Constant | ast.JoinedStr):
            return _words(said[name.id], {})
    return "" if node is None else "…"


PLACES = {
    made.__name__: made
    for made in (
        couplings,
        objectives,
        relevance_objectives,
        translators,
        recipe,
        fine_tuning,
        generator,
        study,
        commands,
        messages,
        results,
        ladders,
        costs,
        speed,
        sizes,
        cells,
        techniques,
        techniques_mlqa,
        couplings_compared,
        relevance,
        relevance_translated,
        techniques_by_pairs,
        mixed_pool,
        alignment,
        quick,
        quick_by_labels,
        quick_teachers,
        late_interaction,
        late_interaction_options,
        late_interaction_cost,
    )
}
