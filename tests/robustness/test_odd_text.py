"""Text that is odd and well-formed goes through every command: other directions, marks, emoji, lengths, line ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyserini_optical.cli import main
from pyserini_optical.data import read_run

ODD = {
    "right-to-left": "من كتب النشيد الوطني؟ the boat",
    "both directions": "\u202bשלום boat\u202c مرحبا river",
    "combining marks": "e\u0301cole n\u0303 हिन्दी में नाव",
    "mixed scripts": "boat лодка 船 เรือ ჩომალდი",
    "emoji": "👩‍👩‍👧 🇹🇿 boat 🚤",
    "outside the first plane": "𝒷ℴ𝒶𝓉 𐍈 river",
    "no words": "?!… — «»",
    "one letter": "q",
    "100,000 words": "boat river " * 50_000,
    "one word of a million letters": "b" * 1_000_000,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    texts = [*ODD.values(), "the old boat", "the river"]
    passages = [json.dumps({"id": f"p{n}", "text": text}, ensure_ascii=n % 2 == 0) for n, text in enumerate(texts)]
    # Line ends as on Windows, a mark at the beginning, none at the end.
    (folder / "corpus.jsonl").write_bytes(("\ufeff" + "\r\n".join(passages)).encode())
    topics = "\r\n".join(f"t{n}\t{text}" for n, text in enumerate(ODD.values()))
    (folder / "topics.tsv").write_bytes(("\ufeff" + topics).encode())
    (folder / "qrels.txt").write_text("".join(f"t{n} 0 p{n} 1\r\n" for n in range(len(ODD))), newline="")
    return folder


def test_odd_text_is_encoded_searched_and_compared(tiny: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    model = str(tiny)
    for line in (
        f"encode {model} corpus.jsonl index",
        f"encode {model} corpus.jsonl store --tokens",
        f"search {model} index topics.tsv run.txt",
        f"rerank {model} store topics.tsv run.txt again.txt",
        f"rerank {model} corpus.jsonl topics.tsv run.txt pooled.txt --by pooled",
        "fuse rrf run.txt again.txt fused.txt",
        "compare qrels.txt run.txt again.txt fused.txt --report report --topics odd=topics.tsv --corpus corpus.jsonl",
    ):
        assert main(line.split(" ")) == 0, line
    run = read_run("run.txt")
    assert set(run) == {f"t{number}" for number in range(len(ODD))}
    assert all(len(hits) == len(ODD) + 2 for hits in run.values())


@pytest.mark.parametrize("what", [what for what in ODD if "0" not in what and "million" not in what])
def test_odd_text_is_aligned(tiny: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["align", str(tiny), ODD[what], "the old boat"]) == 0
    assert capsys.readouterr().out
