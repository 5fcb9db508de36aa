"""What comes from outside is data: no file, name or text that a user is given can run code or reach other folders."""

from __future__ import annotations

import ast
import json
import os
import pickle
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser

import pyserini_optical
from pyserini_optical.cli import main
from pyserini_optical.data import Manifest
from pyserini_optical.errors import CheckpointError, InputError, RecipeError
from pyserini_optical.evaluate import Context, compare, write_report
from pyserini_optical.integration.pickles import refused
from pyserini_optical.models import load_encoder
from pyserini_optical.translation.translator import parse_spec

PACKAGE = Path(pyserini_optical.__file__).parent
EVIL = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def model(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "model"))


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call below a node, by its dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_shell_no_pickle_no_eval(path: Path) -> None:
    forbidden = {"eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "yaml.load", "torch.load"}
    forbidden |= {"pickle.load", "pickle.loads", "pd.read_pickle", "joblib.load", "marshal.loads", "shelve.open"}
    for name, call in calls(ast.parse(path.read_text(encoding="utf-8"))):
        assert name not in forbidden, f"line {call.lineno}"
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert given.get("shell", "False") == "False", f"line {call.lineno}"
        assert given.get("trust_remote_code", "False") == "False", f"line {call.lineno}"
        if name == "np.load":
            assert given["allow_pickle"] == "False", f"line {call.lineno}"


def test_a_model_with_code_of_its_own_does_not_run_it(model: Path, tmp_path: Path) -> None:
    (model / "mine.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'mark')!r})\nclass Mine: pass\n")
    config = json.loads((model / "config.json").read_text())
    config |= {"auto_map": {"AutoConfig": "mine.Mine", "AutoModel": "mine.Mine"}, "model_type": "mine"}
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(model))}: the model cannot be loaded"):
        load_encoder(str(model)).encode_queries(["the river"])
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("decoy", [None, "other.safetensors"])
@pytest.mark.parametrize("file", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin"])
def test_weights_in_a_pickle_are_refused(model: Path, tmp_path: Path, file: str, decoy: str | None) -> None:
    if decoy:
        shutil.copy(model / "model.safetensors", model / decoy)
    (model / "model.safetensors").unlink()
    (model / file).write_bytes(pickle.dumps(Trap(tmp_path / "mark")))
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        load_encoder(str(model)).encode_queries(["the river"])
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("path", ["../other", "/etc", "1_Pooling/../../other", "a\0b"])
def test_the_parts_of_a_model_lie_in_its_folder(model: Path, path: str) -> None:
    modules = json.loads((model / "modules.json").read_text())
    modules[1]["path"] = path
    (model / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(CheckpointError, match=r"outside the model's folder|modules\.json is damaged"):
        load_encoder(str(model)).encode_queries(["the river"])


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b"])
def test_the_files_of_a_manifest_lie_in_its_folder(tmp_path: Path, name: str) -> None:
    Manifest("s", outputs={name: "0"}).save(tmp_path / "manifest.json")
    with pytest.raises(InputError, match="not a manifest"):
        Manifest.load(tmp_path / "manifest.json")


@pytest.mark.parametrize("name", ["../out", "a/b", "..", "", "a\\0b", "x" * 300])
def test_a_recipe_writes_where_its_output_is(tmp_path: Path, name: str) -> None:
    from pyserini_optical.distillation.recipe import load_recipe

    (tmp_path / "r.yaml").write_text(f'name: "{name}"\nteacher: t\nbitext: b.tsv\nobjectives: []\n')
    with pytest.raises(RecipeError, match="name must be fit for a folder"):
        load_recipe(tmp_path / "r.yaml", ["training.epochs=0"])


def test_a_study_writes_its_runs_in_its_folder(tmp_path: Path) -> None:
    text = "name: s\ncorpus: c\nqrels: q\ntopics: {t: t.tsv}\nruns: {../out: {search: bm25, topics: t}}\n"
    (tmp_path / "s.yaml").write_text(text)
    assert main(["study", str(tmp_path / "s.yaml")]) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("!!python/object/apply:os.mkdir [MARK]", "not YAML"),
        ("name: !!python/name:os.system", "not YAML"),
        ("teachr: t", "unknown key 'teachr'; did you mean 'teacher'"),
        ("{name: e, teacher: t, bitext: b, objectives: [], training: {epoch: 1}}", "did you mean 'epochs'"),
        ("variables: {l: sw}\nname: '{l.__class__}'", "unknown variable"),
        ("name: '{here:>999999999999}'", "unknown variable"),
        ("a: &a [x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(9 * ['*' + chr(97 + n)])}]\n"
         for n in range(20)), "more than 100,000 values"),
        ("".join(f"a{n + 1}: &a{n + 1} {{<<: [{', '.join(9 * [f'*a{n}'])}]}}\n" if n else "a1: &a1 {x: 1}\n"
         for n in range(20)), "more than 100,000 values"),
        ("a: &a [*a]", "an alias holds itself"),
    ],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_recipes_are_data(tmp_path: Path, text: str, said: str) -> None:
    from pyserini_optical.distillation.recipe import load_recipe

    (tmp_path / "r.yaml").write_text(text.replace("MARK", str(tmp_path / "mark")))
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "r.yaml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700 + len(str(tmp_path))
    assert not (tmp_path / "mark").exists()


def test_pickles_of_encoded_queries_are_read_only_if_the_user_says_so(tmp_path: Path) -> None:
    import pandas as pd

    pd.DataFrame([{"id": "1", "text": "boat", "embedding": [0.0]}]).to_pickle(tmp_path / "good.pkl")
    (tmp_path / "embedding.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "mark")))
    with refused():
        for read in (pd.read_pickle, lambda path: pickle.load(open(path, "rb"))):  # noqa: SIM115
            with pytest.raises(InputError, match=r"embedding\.pkl: a pickle, .* --unpickle"):
                read(tmp_path / "embedding.pkl")
        assert pickle.loads(pickle.dumps([1])) == [1]
    assert not (tmp_path / "mark").exists()
    assert list(pd.read_pickle(tmp_path / "good.pkl")["text"]) == ["boat"]


def test_pyserinis_search_refuses_encoded_queries_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import faiss
    import numpy as np

    index = faiss.IndexFlatIP(2)
    index.add(np.eye(2, dtype=np.float32))
    (tmp_path / "index").mkdir()
    faiss.write_index(index, str(tmp_path / "index" / "index"))
    (tmp_path / "index" / "docid").write_text("1\n2\n")
    (tmp_path / "topics.tsv").write_text("1\tboat\n")
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "embedding.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "mark")))
    places = ["--index", tmp_path / "index", "--topics", tmp_path / "topics.tsv", "--output", tmp_path / "run.txt"]
    search = ["search.faiss", *map(str, places), "--encoded-queries", str(tmp_path / "queries")]
    assert main(["pyserini", *search]) == 1
    assert "embedding.pkl: a pickle, which can hold code, is not read" in capsys.readouterr().err
    assert not (tmp_path / "mark").exists()
    assert main(["pyserini", "--unpickle", *search]) == 1  # a folder's name is no table of queries
    assert (tmp_path / "mark").exists()


def test_apertium_gets_texts_as_input_and_not_as_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyserini_optical.translation.apertium import Apertium

    program = tmp_path / "bin" / "apertium"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\nfor one in "$@"; do echo "$one" >> ' + str(tmp_path / "arguments") + "; done\n"
        'case "$1" in -l) echo spa-eng;; -V) echo 1.0;; *) cat;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    texts = ["-l", "--help", "$(touch mark)", "; touch mark", "`touch mark`", "a\\b 'c\" *"]
    monkeypatch.chdir(tmp_path)
    assert Apertium(parse_spec("apertium:spa-eng")).translate(texts, texts) == texts
    assert (tmp_path / "arguments").read_text().split() == ["-l", "-V", "-u", "-f", "line", "spa-eng"]
    assert not (tmp_path / "mark").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_report_shows_scripts_as_text(tmp_path: Path) -> None:
    qrels = {f"{number}{EVIL}": {"gold": 1} for number in range(6)}
    runs = {
        f"{name}{EVIL}": {topic: {"gold": 1.0, f"{EVIL}{name}": score} for topic in qrels}
        for name, score in (("a", 0.5), ("b", 2.0))
    }
    context = Context(
        title=f"Title {EVIL}",
        lead=EVIL,
        topics={EVIL: dict.fromkeys(qrels, f"question {EVIL}")},
        relevant={topic: ["gold"] for topic in qrels},
        passages={"gold": (EVIL, f"passage {EVIL}"), f"{EVIL}a": (EVIL, EVIL)},
        details=[{"run": name, "search": EVIL} for name in runs],
    )
    page = next(path for path in write_report(compare(qrels, runs), tmp_path, context) if path.suffix == ".html")
    with Browser() as browser:
        browser.open(page)
        assert browser.run("document.title").startswith("Title <script>")
        assert browser.run("document.querySelectorAll('img').length") == 0
        shown = browser.run("document.body.innerText")
        assert f"a{EVIL}" in shown
        assert "question <script>" in browser.run("document.getElementById('detail').innerText")
        assert browser.complaints == []
