"""Every mistake ends in one sentence on stderr and status 1, and leaves the disk as it was."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from pathlib import Path

import pytest

from pyserini_optical.cli import main

# Lines about what is going on.
PROGRESS = re.compile(
    r"(bitext|learning|encoding passages|(searching|re-ranking) topics|scoring passages|run [\w-]+|at the start)\b.*"
)


@pytest.fixture(scope="module")
def bench(tiny: Path, toy_files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good files, to which the cases refer, and bad ones."""
    folder = tmp_path_factory.mktemp("bench")
    shutil.copytree(tiny, folder / "model")
    shutil.copy(toy_files[0], folder / "bitext.tsv")

    def write(name: str, text: str) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    passages = [json.dumps({"id": f"0{number}", "text": f"the old boat {number}"}) for number in range(6)]
    write("corpus.jsonl", "\n".join(passages) + "\n")
    write("topics.tsv", "01\tboat\n02\triver\n")
    write("qrels.txt", "01 0 01 1\n02 0 02 1\n")
    write("run.txt", "01 Q0 01 1 2.0 x\n01 Q0 02 2 1.0 x\n02 Q0 02 1 1.0 x\n")
    write("recipe.yaml", "name: e\nteacher: model\nbitext: bitext.tsv\nobjectives: []\ntraining: {epochs: 0}\n")
    study = "name: s\ncorpus: corpus.jsonl\nqrels: qrels.txt\ntopics: {t: topics.tsv}\nruns:\n"
    write("study.yaml", study + "  bm25: {search: bm25, topics: t}\n  dense: {search: model, topics: t}\n")
    assert main(["encode", str(folder / "model"), str(folder / "corpus.jsonl"), str(folder / "index")]) == 0

    assert main(["encode", str(folder / "model"), str(folder / "corpus.jsonl"), str(folder / "store"), "--tokens"]) == 0

    write("empty", "")
    write("list.yaml", "- a\n- b\n")
    write("not.yaml", "a: [1\n")
    write("unknown.yaml", "name: e\nteacher: model\nbitext: bitext.tsv\nobjectives: []\nepoch: 3\n")
    write("short.yaml", "name: e\nbitext: bitext.tsv\nobjectives: []\n")
    write("one-column.tsv", "mashua\tboat\nmto river\n")
    write("same.tsv", "boat\tboat\n")
    write("json.jsonl", passages[0] + "\n" + passages[1] + '\n{"id": "3", "text": \n')
    write("twice.jsonl", f"{passages[0]}\n{passages[0]}\n")
    write("space.jsonl", '{"id": "a b", "text": "boat"}\n')
    write("no-text.jsonl", '{"id": "1", "body": "boat"}\n')
    (folder / "latin.jsonl").write_bytes('{"id": "1", "text": "bébé"}\n'.encode("latin-1"))
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress("".join(passages).encode())[:-9])
    (folder / "folder").mkdir()
    write("folder/notes.txt", "mine")
    write("no-tab.tsv", "01 boat\n")
    write("twice.tsv", "01\tboat\n01\triver\n")
    write("five.txt", "01 Q0 01 1 2.0\n")
    write("nan.txt", "01 Q0 01 1 nan x\n")
    write("twice.txt", "01 Q0 01 1 2.0 x\n01 Q0 01 2 1.0 x\n")
    write("others.txt", "1 Q0 01 1 2.0 x\n")
    write("words.txt", "01 0 01 yes\n")
    write("inf.txt", "01 Q0 01 1 inf x\n")
    write("rank.txt", "01 Q0 01 -1 2.0 x\n")
    write("irrelevant.txt", "01 0 01 0\n")
    write("nul.jsonl", '{"id": "1", "text": "a\0b"}\n')
    write("bom.jsonl", '{"id": "\\ufeff1", "text": "a"}\n')
    write("bomb.jsonl", '{"id": "1", "text": ' + "[" * 100_000 + "\n")
    write("blank.jsonl", '{"id": "1", "text": " \\u00a0 "}\n')
    write(
        "bomb.yaml",
        "a: &a [x, x, x, x]\n"
        + "".join(f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True)),
    )
    write("labels.tsv", "Where is the boat?\t01\tboat 1\n")
    shutil.copytree(tiny, folder / "headless")
    for name in ("tokenizer.json", "vocab.txt"):
        (folder / "headless" / name).unlink(missing_ok=True)
    write("others.tsv", "1\tboat\n")
    for name, file, keep in (("cut-weights", "model.safetensors", 1000), ("cut-config", "config.json", 20)):
        shutil.copytree(tiny, folder / name)
        (folder / name / file).write_bytes((tiny / file).read_bytes()[:keep])
    for name, text in (("bad-optical", '{"documents": "self"'), ("lost-teacher", '{"documents": "/gone/model"}')):
        shutil.copytree(tiny, folder / name)
        write(f"{name}/optical.json", text)
    for name in ("cut-index", "long-docid", "other-encoder", "bad-manifest", "no-docid"):
        shutil.copytree(folder / "index", folder / name)
    (folder / "cut-index" / "index").write_bytes((folder / "index" / "index").read_bytes()[:-1])
    write("long-docid/docid", (folder / "index" / "docid").read_text() + "07\n")
    manifest = json.loads((folder / "index" / "manifest.json").read_text())
    manifest["inputs"]["encoder"] = "0123456789abcdef:0123456789abcdef"
    write("other-encoder/manifest.json", json.dumps(manifest))
    write("bad-manifest/manifest.json", "{}")
    (folder / "no-docid" / "docid").unlink()
    for name in ("cut-store", "other-store"):
        shutil.copytree(folder / "store", folder / name)
    (folder / "cut-store" / "tokens.npy").write_bytes((folder / "store" / "tokens.npy").read_bytes()[:-8])
    manifest = json.loads((folder / "store" / "manifest.json").read_text())
    manifest["inputs"]["encoder"] = "0123456789abcdef:0123456789abcdef"
    write("other-store/manifest.json", json.dumps(manifest))
    write("unknown.txt", "01 Q0 01 1 2.0 x\n01 Q0 99 2 1.0 x\n")
    return folder


CASES = [
    ("distill none.yaml", "none.yaml: no such file"),
    ("distill folder", "folder: is a directory"),
    ("distill empty", "empty: expected keys and values"),
    ("distill list.yaml", "list.yaml: expected keys and values"),
    ("distill not.yaml", "not.yaml: not YAML"),
    ("distill unknown.yaml", "unknown.yaml: unknown key 'epoch'"),
    ("distill short.yaml", "short.yaml: the key 'teacher' is missing"),
    ("distill recipe.yaml --set training.epochs", "--set training.epochs: expected key=value"),
    ("distill recipe.yaml --set training.epochs=few", "training: epochs must be a number, got 'few'"),
    ("distill recipe.yaml --set training.learning_rate=-1", "learning_rate must be finite and not negative"),
    ("distill recipe.yaml --set training.epochs=1", "objectives must name at least one objective"),
    ("distill recipe.yaml --set objectives=[{name:optical}]", "unknown name 'optical'|expected|missing|name"),
    ("distill recipe.yaml --set teacher=./none", "./none: no such model folder"),
    ("distill recipe.yaml --set teacher=package:none/model", "the package 'none' is not installed"),
    ("distill recipe.yaml --set teacher=bad-optical --set name=folder/x", "name must be fit for a folder"),
    ("distill recipe.yaml --set bitext=none.tsv", "none.tsv: no such file"),
    ("distill recipe.yaml --set bitext=one-column.tsv", "one-column.tsv:2: "),
    ("distill recipe.yaml --set bitext=same.tsv", "no sentence pair is left after filtering"),
    ("distill recipe.yaml --set bitext=empty", "empty: "),
    ("distill recipe.yaml --output folder", "folder: exists and is not a checkpoint of ours"),
    ("encode ./none corpus.jsonl new", "./none: no such model folder"),
    ("encode folder corpus.jsonl new", "folder: not a model folder"),
    ("encode cut-weights corpus.jsonl new", "cut-weights: "),
    ("encode cut-config corpus.jsonl new", "cut-config: "),
    ("encode bad-optical corpus.jsonl new", "optical.json"),
    ("encode lost-teacher corpus.jsonl new", "/gone/model"),
    ("encode model corpus.jsonl new --device warp", "warp"),
    ("encode model none.jsonl new", "none.jsonl: "),
    ("encode model empty new", "empty: holds no passages"),
    ("encode model folder new", "folder: a directory without .jsonl"),
    ("encode model json.jsonl new", "json.jsonl:3: not JSON"),
    ("encode model twice.jsonl new", "twice.jsonl:2: id '00' stands twice"),
    ("encode model space.jsonl new", "space.jsonl:1: id 'a b' holds white space"),
    ("encode model no-text.jsonl new", "no-text.jsonl:1: no `text` or `contents`"),
    ("encode model latin.jsonl new", "latin.jsonl:1: not UTF-8 text"),
    ("encode model cut.jsonl.gz new", "cut.jsonl.gz:1: damaged or truncated compressed file"),
    ("encode model corpus.jsonl folder", "folder: exists and is not an index of ours"),
    ("encode model corpus.jsonl topics.tsv", "topics.tsv: exists and is not an index of ours"),
    ("encode model corpus.jsonl topics.tsv/new", "topics.tsv/"),
    ("encode model corpus.jsonl new --index-type pq", "needs 256 passages or more to train on, got 6"),
    ("encode model corpus.jsonl index --tokens", "index: exists and is not a token store of ours"),
    ("encode model corpus.jsonl store", "store: exists and is not an index of ours"),
    ("search model cut-store topics.tsv new", "cut-store/tokens.npy: damaged or truncated"),
    ("search model other-store topics.tsv new", "other-store: token vectors of another document encoder than that of"),
    ("rerank ./none store topics.tsv run.txt new", "./none: no such model folder"),
    ("rerank model other-store topics.tsv run.txt new", "other-store: token vectors of another document encoder"),
    ("rerank model cut-store topics.tsv run.txt new", "cut-store/tokens.npy: damaged or truncated"),
    ("rerank model store topics.tsv unknown.txt new", "unknown.txt: passage '99' of topic '01' is not in store"),
    (
        "rerank model corpus.jsonl topics.tsv unknown.txt new",
        "unknown.txt: passage '99' of topic '01' is not in corpus",
    ),
    ("rerank model store others.tsv run.txt new", "run.txt: topic '01' has no text among the topics"),
    ("rerank model none topics.tsv run.txt new", "none: no such file"),
    ("rerank model store topics.tsv run.txt new --depth 0", "depth 0 asked for"),
    ("rerank model store topics.tsv run.txt folder", "folder: is a directory"),
    ("search ./none index topics.tsv new", "./none: no such model folder"),
    ("search model none topics.tsv new", "none: no file 'index' in it"),
    ("search model no-docid topics.tsv new", "no-docid: no file 'docid' in it"),
    ("search model cut-index topics.tsv new", "cut-index/index: damaged or truncated"),
    ("search model long-docid topics.tsv new", "long-docid/docid: damaged or truncated, its checksum"),
    ("search model other-encoder topics.tsv new", "other-encoder: made by another document encoder than model"),
    ("search model bad-manifest topics.tsv new", "bad-manifest/manifest.json: not a manifest"),
    ("search model index none.tsv new", "none.tsv: no such file"),
    ("search model index empty new", "empty: holds no topics"),
    ("search model index no-tab.tsv new", "no-tab.tsv:1: expected 2 columns"),
    ("search model index twice.tsv new", "twice.tsv:2: topic id '01' stands twice"),
    ("search model index topics.tsv new --hits 0", "0 hits asked for"),
    ("search model index topics.tsv new --hits -3", "-3 hits asked for"),
    ("search model index topics.tsv new --tag=", "empty run tag"),
    ("search model index topics.tsv folder", "folder: is a directory"),
    ("search model index topics.tsv qrels.txt/new", "qrels.txt/new: cannot be written"),
    ("compare none.txt run.txt", "none.txt: no such file"),
    ("compare words.txt run.txt", "words.txt:1: relevance 'yes' is not a whole number"),
    ("compare qrels.txt none.txt", "none.txt: no such file"),
    ("compare qrels.txt five.txt", "five.txt:1: expected 6 columns, found 5"),
    ("compare qrels.txt nan.txt", "nan.txt:1: score 'nan' is not usable"),
    ("compare qrels.txt twice.txt", "twice.txt:2: passage '01' stands twice for topic '01'"),
    ("compare qrels.txt empty", "empty: holds no hits"),
    ("compare qrels.txt others.txt", "run 'others' shares no topic with the qrels"),
    ("compare qrels.txt run.txt run.txt", "a second run is named 'run'"),
    ("compare qrels.txt run.txt --baseline bm25", "the baseline 'bm25' is not among the runs"),
    ("compare qrels.txt run.txt --measures RR@10,Luck", "unknown measure 'Luck'"),
    ("compare qrels.txt run.txt --measures P", "measure 'P' needs a cutoff"),
    ("compare qrels.txt run.txt --alpha 2", "alpha is 2.0"),
    ("compare qrels.txt run.txt --seed -1", "the seed is -1"),
    ("compare qrels.txt run.txt --report run.txt", "run.txt"),
    ("study none.yaml", "none.yaml: no such file"),
    ("study recipe.yaml", "recipe.yaml: unknown key 'teacher'"),
    ("study study.yaml --set hits=0", "hits must be at least 1"),
    ("study study.yaml --set baseline=x", "the baseline 'x' is not one of its runs"),
    ("study study.yaml --set runs.dense.topics=x", "run dense: unknown topics 'x'"),
    ("study study.yaml --set runs.dense.search=./none", "./none: no such model folder"),
    ("study study.yaml --set runs.dense.search=none.yaml", "none.yaml: no such file"),
    ("study study.yaml --set topics.t=others.tsv", "others.tsv: shares no topic with the qrels"),
    ("study study.yaml --set topics.t=no-tab.tsv", "no-tab.tsv:1: expected 2 columns"),
    ("study study.yaml --set qrels=words.txt", "words.txt:1: relevance 'yes'"),
    ("study study.yaml --set corpus=none.jsonl", "none.jsonl: "),
    ("encode headless corpus.jsonl new", "headless: no tokenizer.json in the model's folder"),
    ("encode model nul.jsonl new", "nul.jsonl:1: "),
    ("encode model bom.jsonl new", "byte order mark"),
    ("encode model bomb.jsonl new", "bomb.jsonl:1: "),
    ("encode model blank.jsonl new", "blank.jsonl:1: "),
    ("compare qrels.txt inf.txt", "inf.txt:1: score 'inf'"),
    ("compare qrels.txt rank.txt", "rank.txt:1: rank '-1'"),
    ("compare irrelevant.txt run.txt", "irrelevant.txt: judges no passage relevant"),
    ("distill bomb.yaml", "bomb.yaml: "),
    ("fuse luck run.txt run.txt new", "luck"),
    ("fuse rrf run.txt none.txt new", "none.txt: no such file"),
    ("fuse rrf run.txt nan.txt new", "nan.txt:1: score 'nan'"),
    ("fuse rrf run.txt run.txt folder", "folder: is a directory"),
    ("fuse wsum run.txt run.txt new --parameters list.yaml", "list.yaml"),
    ("fuse wsum run.txt run.txt new", "tune"),
    ("translate dictionary:none.tsv topics.tsv new", "none.tsv: no such file"),
    ("translate dictionary:one-column.tsv topics.tsv new", "one-column.tsv:2: "),
    ("translate dictionary:bitext.tsv?senses=many topics.tsv new", "senses"),
    ("translate dictionary:bitext.tsv empty new", "empty: holds no topics"),
    ("translate dictionary:bitext.tsv topics.tsv folder", "folder: is a directory"),
    ("translate table:others.tsv topics.tsv new", "others.tsv"),
    ("translate wizard:x topics.tsv new", "wizard"),
    ("translate learned:empty topics.tsv new", "empty: "),
    ("translate marian:./none topics.tsv new", "./none: "),
    ("align ./none mashua boat", "./none: no such model folder"),
    ("align model mashua boat --coupling fate", "fate"),
    ("fine-tune none.yaml", "none.yaml: no such file"),
    ("fine-tune unknown.yaml", "unknown.yaml: unknown key"),
    ("make-training-data none.tsv corpus.jsonl new.jsonl", "none.tsv: cannot be read .No such file"),
    ("make-training-data labels.tsv corpus.jsonl new.tsv", "new.tsv: no name for training data"),
    ("make-training-data labels.tsv corpus.jsonl new.jsonl --seed -1 --limit 1", "seed -1"),
    ("make-training-data labels.tsv corpus.jsonl new.jsonl --negatives 0", "negatives 0 asked for"),
    ("make-training-data labels.tsv none.jsonl new.jsonl", "none.jsonl: "),
    ("make-training-data topics.tsv corpus.jsonl new.jsonl", "passage"),
    ("train-generator none.yaml", "none.yaml: no such file"),
    ("train-generator unknown.yaml", "unknown.yaml: unknown key"),
    ("generate ./none corpus.jsonl new new2 --language sw", "./none: no such model folder"),
    ("generate model corpus.jsonl new new2 --language sw", "model: "),
    ("rerank model corpus.jsonl topics.tsv run.txt new --by cross-encoder", "model: not a cross-encoder"),
    (
        "rerank nothing corpus.jsonl topics.tsv run.txt new --by cross-encoder",
        "nothing: no such model, neither as a folder",
    ),
    ("rerank model index topics.tsv unknown.txt new --by pooled", "passage '99' of topic '01' is not in index"),
    ("pyserini serch.faiss --help", "has no module 'serch.faiss' that can be run; perhaps search.faiss"),
]


@pytest.mark.parametrize(("line", "said"), CASES, ids=[line for line, _ in CASES])
def test_one_sentence_and_nothing_left_behind(
    line: str, said: str, bench: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(bench)
    before = {path: path.stat().st_mtime_ns for path in bench.rglob("*")}
    arguments = line.split(" ")
    assert main(arguments) == 1
    out, err = capfd.readouterr()
    sentences = [text for text in err.splitlines() if not PROGRESS.fullmatch(text)]
    assert out == ""
    assert len(sentences) == 1
    assert sentences[0].startswith(f"pyserini-optical {arguments[0]}: ")
    assert re.search(said, sentences[0])
    assert {path: path.stat().st_mtime_ns for path in bench.rglob("*")} == before
