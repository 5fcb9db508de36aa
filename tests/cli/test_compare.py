from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from pyserini_optical.cli import main

TOPICS = [f"q{number}" for number in range(20)]


def write_run(path: Path, rank: int, topics: list[str] = TOPICS) -> str:
    lines = [
        f"{topic} Q0 {f'gold-{topic}' if place == rank else f'd{place}'} {place} {-place} x\n"
        for topic in topics
        for place in range(1, 6)
    ]
    path.write_text("".join(lines))
    return str(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small collection, and its runs, as a working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qrels.txt").write_text("".join(f"{topic} 0 gold-{topic} 1\n" for topic in TOPICS))
    (tmp_path / "topics.sw.tsv").write_text("".join(f"{topic}\tswali {topic}\n" for topic in TOPICS))
    (tmp_path / "topics.en.tsv").write_text("".join(f"{topic}\tquestion {topic}\n" for topic in TOPICS))
    (tmp_path / "answers.tsv").write_text("".join(f"{topic}\tanswer to {topic}\n" for topic in TOPICS))
    passages = {f"gold-{topic}": f"The answer to {topic} is here." for topic in TOPICS}
    passages |= {f"d{place}": "Something else. " * 500 for place in range(1, 6)}
    lines = [json.dumps({"id": name, "title": f"T {name}", "text": text}) + "\n" for name, text in passages.items()]
    (tmp_path / "corpus.jsonl").write_text("".join(lines))
    (tmp_path / "quantities.tsv").write_text("run\tseconds\nbm25\t1\noptical\t2.5\n")
    write_run(tmp_path / "bm25.txt", 3)
    for seed, rank in enumerate((1, 2, 1)):
        write_run(tmp_path / f"seed{seed}.txt", rank)
    return tmp_path


RUNS = ["qrels.txt", "bm25.txt", "optical=seed0.txt,seed1.txt,seed2.txt", "--baseline", "bm25"]


def test_a_report_with_everything(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--measures",
        "RR@10,R@2kt",
        "--answers",
        "answers.tsv",
        "--corpus",
        "corpus.jsonl",
        "--report",
        "report",
    ]
    options += ["--topics", "Swahili=topics.sw.tsv", "--topics", "topics.en.tsv", "--quantities", "quantities.tsv"]
    assert main(["compare", *RUNS, *options, "--correction", "benjamini-hochberg"]) == 0
    out = capsys.readouterr().out
    assert "0.8333" in out
    assert "optical is the mean of 3 runs" in out
    assert "Benjamini–Hochberg's correction" in out
    assert "Written: report.html, report.md, report.tex, report.csv, report.json in report" in out
    page = (folder / "report" / "report.html").read_text()
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert [(texts["name"], texts["text"][0]) for texts in data["texts"]] == [
        ("Swahili", "swali q0"),
        ("topics.en", "question q0"),
    ]
    assert data["quantities"] == [{"name": "seconds", "values": [1, 2.5]}]
    assert data["runs"][1]["ranks"] == [[1] * 20, [2] * 20, [1] * 20]
    # A passage of 1,000 words before it hides no answer, two do.
    assert [run["mean"][1] for run in data["runs"]] == [0, 1]
    assert data["passages"][data["relevant"][0][0]] == ["gold-q0", "T gold-q0", "The answer to q0 is here."]
    assert "seed" in page.split("Fingerprints and settings")[1]


def test_reports_of_several_languages_are_pooled(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for language in ("sw", "ha"):
        assert main(["compare", *RUNS, "--report", language]) == 0
    capsys.readouterr()
    (folder / "sw" / "report.json.gz").write_bytes(gzip.compress((folder / "sw" / "report.json").read_bytes()))
    arguments = ["compare", "sw=sw/report.json.gz", "Hausa=ha/report.json", "--baseline", "bm25", "--report", "pooled"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "Pooled over sw (20 topics), Hausa (20 topics)" in out
    assert "Means over 20 topics" in out  # the same topics in both
    assert (folder / "pooled" / "report.html").exists()


def test_reports_of_other_seeds_are_joined(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in ("seed0", "seed1"):
        assert main(["compare", "qrels.txt", "bm25.txt", f"optical={seed}.txt", "--report", seed]) == 0
    capsys.readouterr()
    reports = "sw=seed0/report.json,seed1/report.json"
    assert main(["compare", reports, "--baseline", "bm25", "--report", "both"]) == 0
    assert "optical is the mean of 2 runs" in capsys.readouterr().out
    assert "sw (2 reports)" in (folder / "both" / "report.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["qrels.txt"], "qrels.txt: no run is named to be compared"),
        ([*RUNS, "--topics", "topics.sw.tsv"], "--topics is for the report; name its folder by --report"),
        ([*RUNS, "--quantities", "none.tsv"], "--quantities is for the report; name its folder by --report"),
        (
            ["qrels.txt", "optical=seed0.txt,seed0.txt"],
            "seed0.txt: stands twice under 'optical'; give each seed's run once",
        ),
        (["sw=sw.json"], "one report has nothing to be pooled with"),
        ([*RUNS, "--measures", "R@2kt"], "recall within a number of tokens needs the answers"),
        ([*RUNS, "--measures", "R@2kt", "--answers", "answers.tsv"], "needs the passages; give answers and corpus"),
        ([*RUNS, "--report", "report", "--corpus", "none.jsonl"], "none.jsonl: no such file"),
        ([*RUNS, "--report", "report", "--topics", "x=none.tsv"], "none.tsv: no such file"),
        ([*RUNS, "--report", "report", "--quantities", "answers.tsv"], "answers.tsv:1: not a header of quantities"),
        (
            [*RUNS, "--report", "report", "--topics", "topics.sw.tsv", "--topics", "topics.sw=topics.en.tsv"],
            "a second file is called",
        ),
        (["qrels.txt", "optical=seed0.txt,none.txt"], "none.txt: no such file"),
        (["qrels.txt", "optical=,"], "no run given"),
        (["sw=sw.json", "ha=ha.json"], "sw.json: no such file"),
        (["sw=sw.json", "ha.json", "--measures", "RR"], "--measures is not for pooling reports"),
        (["sw=sw.json", "sw=ha.json"], "a second file is called 'sw'; write it as WHAT=FILE"),
    ],
)
def test_mistakes_are_said_in_one_sentence(
    arguments: list[str], problem: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert problem in err
    assert err.count("\n") == 1
    assert not (folder / "report").exists()
