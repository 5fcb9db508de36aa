"""The same seed and machine give the same bytes, other numbers of threads the same ranking."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyserini_optical.data import Manifest, Pair, read_run
from pyserini_optical.models.device import has_fast_bfloat16
from pyserini_optical.models.transformer import load_transformer, save_transformer, weights_fingerprint

WAY = """
import sys
from pyserini_optical.cli import main
recipe, corpus, topics, output = sys.argv[1:]
for command in (
    ["distill", recipe, "--output", f"{output}/encoder"],
    ["encode", f"{output}/encoder", corpus, f"{output}/index"],
    ["search", f"{output}/encoder", f"{output}/index", topics, f"{output}/run.txt"],
    ["rerank", f"{output}/encoder", corpus, topics, f"{output}/run.txt", f"{output}/reranked.txt"],
):
    assert main(command) == 0
"""


def test_threads(tiny: Path, toy_files: tuple[Path, Path], toy_pairs: list[Pair], tmp_path: Path) -> None:
    recipe, corpus, topics = (tmp_path / name for name in ("recipe.yaml", "corpus.jsonl", "topics.tsv"))
    recipe.write_text(
        f"name: toy\nteacher: {tiny}\nbitext: {toy_files[0]}\nstudent: {{vocabulary: 150}}\n"
        "objectives: [{name: token-alignment, coupling: ipot}, {name: contrastive}]\n"
        "training: {epochs: 1, batch_size: 40, learning_rate: 1e-3}\n"
    )
    corpus.write_text("".join(f'{{"id": "{n}", "text": "{pair.english}"}}\n' for n, pair in enumerate(toy_pairs[:99])))
    topics.write_text("".join(f"{n}\t{pair.foreign}\n" for n, pair in enumerate(toy_pairs[240:])))
    made = {}
    for name, threads in (("one", "1"), ("again", "1"), ("two", "2")):
        made[name] = tmp_path / name
        subprocess.run(
            [sys.executable, "-c", WAY, *map(str, (recipe, corpus, topics, made[name]))],
            env=os.environ | {"OMP_NUM_THREADS": threads},
            capture_output=True,
            check=True,
        )
    for file in ("encoder/model.safetensors", "index/index", "index/docid", "run.txt", "reranked.txt"):
        assert (made["one"] / file).read_bytes() == (made["again"] / file).read_bytes(), file
    for file in ("run.txt", "reranked.txt"):
        one, _, two = (read_run(made[name] / file) for name in made)
        assert one.keys() == two.keys(), file
        for topic, hits in one.items():
            if has_fast_bfloat16("cpu"):  # of which two digits hang on the threads
                assert two[topic] == pytest.approx(hits, rel=3e-2, abs=3e-2), file
            else:
                assert list(two[topic]) == list(hits), file
    machines = [Manifest.load(made[name] / "encoder" / "manifest.json").machine for name in ("one", "two")]
    assert [machine["threads"] for machine in machines] == ["1", "2"]
    assert {"device", "precision", "processor"} <= machines[0].keys()


def test_a_saved_model_does_not_depend_on_what_it_read_last(tiny: Path, tmp_path: Path) -> None:
    model = load_transformer(str(tiny), "cpu")
    for name, texts in (("first", ["the old boat"]), ("second", ["a new house " * 50, "the river"])):
        model.max_seq_length = 8 if name == "first" else 64
        model.encode(texts, show_progress_bar=False)
        save_transformer(model, tmp_path / name)
    assert weights_fingerprint(str(tmp_path / "first")) == weights_fingerprint(str(tmp_path / "second"))
