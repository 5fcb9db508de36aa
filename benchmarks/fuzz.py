"""Coverage-guided fuzzing of everything that reads a file: whatever the bytes, a result or one of our errors.

For example::

    python benchmarks/fuzz.py --seconds 600            # all targets, in turn
    python benchmarks/fuzz.py --target run --seconds 60

Each target gets an equal share of the time in a process of its own, on one thread, and starts from the inputs in
``tests/fuzz/TARGET``. What ends in another exception, takes over ten seconds or over 4 GB is a finding: it is kept in
``OUTPUT/TARGET/findings``; mended, it belongs into ``tests/fuzz/TARGET``, which the tests replay without the fuzzer.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import gzip
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FunctionType

from pyserini_optical.data import (
    Manifest,
    order_hits,
    read_bitext,
    read_corpus,
    read_lines,
    read_moses,
    read_qrels,
    read_run,
    read_topics,
    write_run,
    write_topics,
)
from pyserini_optical.data.relevance import read_relevance
from pyserini_optical.data.settings import read_settings
from pyserini_optical.errors import OpticalError

CORPUS = Path(__file__).parents[1] / "tests" / "fuzz"

# Bytes and an empty folder in; it may end well or raise an OpticalError.
Target = Callable[[bytes, Path], object]


def _file(name: str, read: Callable[[Path], object], data: bytes, folder: Path) -> object:
    (folder / name).write_bytes(data)
    return read(folder / name)


def _topics(path: Path) -> None:
    topics = read_topics(path)
    write_topics(path.with_name("written.tsv"), topics)
    assert read_topics(path.with_name("written.tsv")) == topics


def _run(path: Path) -> None:
    run = read_run(path)
    write_run(path.with_name("written.txt"), run, "tag")
    again = read_run(path.with_name("written.txt"))
    assert {topic: order_hits(hits) for topic, hits in run.items()} == {
        topic: list(hits.items()) for topic, hits in again.items()
    }


def _compressed(data: bytes, folder: Path) -> None:
    for name, content in (("x.gz", data), ("x.xz", data), ("y.gz", gzip.compress(data, mtime=0))):
        with contextlib.suppress(OpticalError):
            _file(name, lambda path: sum(len(line) for _, line in read_lines(path)), content, folder)


def _moses(data: bytes, folder: Path) -> None:
    foreign, _, english = data.partition(b"\0")
    (folder / "bitext.sw").write_bytes(foreign)
    (folder / "bitext.en").write_bytes(english)
    read_moses(folder / "bitext.sw", folder / "bitext.en")


def _dictionary(path: Path) -> None:
    from pyserini_optical.translation.dictionary import Dictionary
    from pyserini_optical.translation.translator import parse_spec

    for options in ("", "?senses=all&reverse=yes"):
        made = Dictionary(parse_spec(f"dictionary:{path}{options}")).translate(["kwa nini bahari", "?"], ["1", "2"])
        assert len(made) == 2


def _recipe(path: Path) -> None:
    from pyserini_optical.distillation.recipe import load_recipe

    recipe = load_recipe(path)
    recipe.make_objectives()
    recipe.as_dict()


def _setting(data: bytes, folder: Path) -> None:
    from pyserini_optical.distillation.recipe import load_recipe

    (folder / "recipe.yaml").write_text("name: e\nteacher: t\nbitext: b.tsv\nobjectives: [{name: token-alignment}]\n")
    load_recipe(folder / "recipe.yaml", data.decode(errors="replace").split("\n"))


def _study(path: Path) -> None:
    from pyserini_optical.study.settings import Study

    study = read_settings(Study, path)
    study.each_topics(), study.each_corpus(), study.each_run()


def _optical(path: Path) -> None:
    from pyserini_optical.models.provenance import Provenance

    Provenance.load(str(path.parent)).save(path.parent)


def _modules(path: Path) -> None:
    from pyserini_optical.models.transformer import check_folder, weights_fingerprint

    folder = path.parent
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_bytes(b"{}")
    check_folder("model", folder)
    weights_fingerprint(str(folder))


def _manifest(path: Path) -> None:
    manifest = Manifest.load(path)
    manifest.save(path)
    assert Manifest.load(path).matches(manifest)
    manifest.check(path.parent, "make it again")


def _fusion(path: Path) -> None:
    from pyserini_optical.retrieve.fusion import Fusion

    Fusion.load(path)


def _report(path: Path) -> None:
    from pyserini_optical.evaluate import pool

    pool({"a": path, "b": path})


def _answers(path: Path) -> None:
    from pyserini_optical.evaluate.answers import read_answers

    read_answers(path)


def _alignments(path: Path) -> None:
    from pyserini_optical.evaluate.alignment import read_alignments

    read_alignments(path)


def _quantities(path: Path) -> None:
    from pyserini_optical.evaluate.context import read_quantities

    read_quantities(path, ["bm25", "optical"])


def _words(path: Path) -> None:
    from pyserini_optical.translation.word_table import WordTable

    WordTable.load(path).query("kwa nini", translations=3, probability=0.1)


def _cache(path: Path) -> None:
    from pyserini_optical.translation.cache import TranslationCache

    cache = TranslationCache(path)
    for text in cache.known("v", ["a", "b"]).values():
        assert isinstance(text, str)
    cache.add("v", {"a": "b"})


def _store(data: bytes, folder: Path) -> None:
    import numpy as np

    from pyserini_optical.retrieve.token_store import TokenStore

    # The first byte says which file is replaced in a store of two passages.
    Manifest("encode tokens", inputs={"encoder": "x"}, versions={}).save(folder / "manifest.json")
    (folder / "docid").write_text("1\n2\n")
    np.save(folder / "offsets.npy", np.array([0, 1, 3]))
    np.save(folder / "tokens.npy", np.ones((3, 2), dtype=np.float16))
    names = ("tokens.npy", "offsets.npy", "docid", "manifest.json", "codebook.npz")
    (folder / names[data[0] % len(names) if data else 0]).write_bytes(data[1:])
    store = TokenStore.open(folder)
    for _, vectors, lengths in store.blocks(1):
        assert len(vectors) == lengths.sum()


def _codebook(path: Path) -> None:
    from pyserini_optical.retrieve.residual_codes import ResidualCodes

    ResidualCodes.load(path)


def _passages(path: Path) -> None:
    from pyserini_optical.models.cooccurrence import Cooccurrence

    found = Cooccurrence.load(path, "")
    found.weigh({"banco": {"bank": 0.5, "bench": 0.5}, "dinero": dict.fromkeys(("money", *found.words[:3]), 0.5)})


def _lucene(path: Path) -> None:
    from pyserini_optical.integration.lucene import bm25_record

    bm25_record(path.parent)


def _spec(data: bytes, folder: Path) -> None:
    from pyserini_optical.evaluate.measures import parse_measure
    from pyserini_optical.translation.translator import parse_spec

    text = data.decode(errors="replace")
    for read in (parse_spec, parse_measure):
        with contextlib.suppress(OpticalError):
            read(text)


TARGETS: dict[str, Target] = {
    "topics": partial(_file, "topics.tsv", _topics),
    "corpus": partial(_file, "corpus.jsonl", lambda path: list(read_corpus(path))),
    "qrels": partial(_file, "qrels.txt", read_qrels),
    "run": partial(_file, "run.txt", _run),
    "bitext": partial(_file, "bitext.tsv", read_bitext),
    "bitext-jsonl": partial(_file, "bitext.jsonl", read_bitext),
    "moses": _moses,
    "relevance": partial(_file, "relevance.tsv", read_relevance),
    "compressed": _compressed,
    "dictionary": partial(_file, "words.tsv", _dictionary),
    "recipe": partial(_file, "recipe.yaml", _recipe),
    "setting": _setting,
    "study": partial(_file, "study.yaml", _study),
    "optical": partial(_file, "optical.json", _optical),
    "modules": partial(_file, "modules.json", _modules),
    "manifest": partial(_file, "manifest.json", _manifest),
    "fusion": partial(_file, "fusion.json", _fusion),
    "report": partial(_file, "report.json", _report),
    "answers": partial(_file, "answers.tsv", _answers),
    "alignments": partial(_file, "alignments.tsv", _alignments),
    "quantities": partial(_file, "quantities.tsv", _quantities),
    "words": partial(_file, "words.tsv", _words),
    "cache": partial(_file, "translations.sqlite", _cache),
    "store": _store,
    "codebook": partial(_file, "codebook.npz", _codebook),
    "passages": partial(_file, "passages.safetensors", _passages),
    "lucene": partial(_file, "bm25.json", _lucene),
    "spec": _spec,
}


def replay(target: str, data: bytes) -> None:
    """Give one input to a target; another exception than an OpticalError is a finding and comes through."""
    quiet = contextlib.redirect_stderr(io.StringIO())
    with tempfile.TemporaryDirectory() as folder, quiet, contextlib.suppress(OpticalError):
        TARGETS[target](data, Path(folder))


def _fuzz(target: str, seconds: int, output: Path) -> None:
    """Fuzz one target in this process; the fuzzer ends it."""
    import atheris

    replay(target, b"")  # imports what the target needs
    for found in gc.get_objects():
        if isinstance(found, FunctionType) and (found.__module__ or "").startswith(("pyserini_optical", "yaml")):
            atheris.instrument_func(found)
    learned, findings, start = output / target / "corpus", output / target / "findings", CORPUS / target
    for folder in (learned, findings):
        folder.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=4096", "-max_len=4096"]
    places = [str(folder) for folder in (learned, start) if folder.is_dir()]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={findings}/", *places], partial(replay, target))
    atheris.Fuzz()


def main(arguments: list[str] | None = None) -> int:
    """Fuzz the targets one after the other; 1 if there is a finding."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600, help="in all (default: 600)")
    parser.add_argument("--target", choices=[*TARGETS, "all"], default="all")
    parser.add_argument("--output", type=Path, default=Path("work/fuzz"), help="(default: work/fuzz)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.here:
        _fuzz(args.target, args.seconds, args.output)
        return 0
    targets = list(TARGETS) if args.target == "all" else [args.target]
    findings = 0
    for target in targets:
        log = args.output / target / "log"
        log.parent.mkdir(parents=True, exist_ok=True)
        options = ["--here", "--target", target, "--seconds", str(max(1, args.seconds // len(targets)))]
        command = [sys.executable, __file__, *options, "--output", str(args.output)]
        with open(log, "wb") as file:
            status = subprocess.run(command, stdout=file, stderr=file, check=False).returncode
        counts = [line for line in log.read_text(errors="replace").splitlines() if "exec/s" in line]
        print(
            f"{target}: {f'a finding, see {log}' if status else 'nothing found'} ({''.join(counts[-1:])})", flush=True
        )
        findings += status != 0
    return int(findings > 0)


if __name__ == "__main__":
    sys.exit(main())
