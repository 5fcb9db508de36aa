from __future__ import annotations

import csv
import io
import json
import lzma
import statistics
from pathlib import Path

import pytest
from rich.console import Console

from pyserini_optical import InputError, compare
from pyserini_optical.cli import compare as command
from pyserini_optical.evaluate import Comparison, to_csv, to_json, to_latex, to_markdown, to_terminal
from pyserini_optical.evaluate.comparison import run_name
from pyserini_optical.progress import results

TOPICS = [f"{number:02d}" for number in range(40)]
QRELS = {topic: {"gold": 1} for topic in TOPICS}


def made_run(rank: int, topics: list[str] = TOPICS) -> dict[str, dict[str, float]]:
    """Build a run with the relevant document at the given rank for every topic, one further down for every third."""
    return {
        topic: {f"d{place}" if place != rank + (index % 3 == 0) else "gold": 1.0 / place for place in range(1, 20)}
        for index, topic in enumerate(topics)
    }


RUNS = {"bm25": made_run(8), "table_start": made_run(3), "[optical] 100%": made_run(1)}


def write_run(path: Path, run: dict[str, dict[str, float]]) -> Path:
    lines = [f"{topic} Q0 {doc} 1 {score} x\n" for topic, hits in run.items() for doc, score in hits.items()]
    if path.suffix == ".xz":
        path.write_bytes(lzma.compress("".join(lines).encode()))
    else:
        path.write_text("".join(lines))
    return path


@pytest.fixture
def qrels_file(tmp_path: Path) -> Path:
    path = tmp_path / "qrels.txt"
    path.write_text("".join(f"{topic} 0 gold 1\n" for topic in TOPICS))
    return path


def terminal(comparison: Comparison) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(to_terminal(comparison))
    return console.export_text()


def test_every_run_is_held_against_the_baseline() -> None:
    comparison = compare(QRELS, RUNS, baseline="bm25", measures=["MRR@10", "R@100"])
    assert comparison.measures == ("RR@10", "R@100")
    assert [(one.measure, one.run, one.other) for one in comparison.contrasts] == [
        (measure, run, "bm25") for measure in ("RR@10", "R@100") for run in ("table_start", "[optical] 100%")
    ]
    assert comparison.beaten("RR@10", "[optical] 100%") == ["bm25"]
    assert comparison.beaten("RR@10", "bm25") == []
    assert comparison.beaten("R@100", "[optical] 100%") == []  # every run finds everything
    assert comparison.contrast("MRR@10", "bm25", "table_start").losses == 40
    with pytest.raises(KeyError):
        comparison.contrast("RR@10", "table_start", "[optical] 100%")


def test_without_a_baseline_all_pairs_are_compared() -> None:
    comparison = compare(QRELS, RUNS, test="student")
    assert len(comparison.contrasts) == 3 * len(comparison.measures)
    assert comparison.beaten("RR@10", "[optical] 100%") == ["bm25", "table_start"]
    assert comparison.mean("RR@10", "[optical] 100%") == pytest.approx((26 + 14 / 2) / 40)


def test_one_run_has_measures_and_no_comparison() -> None:
    comparison = compare(QRELS, {"bm25": RUNS["bm25"]})
    assert comparison.contrasts == ()
    assert "significantly" not in to_markdown(comparison)


def test_paths_plain_and_compressed_give_the_same_as_mappings(tmp_path: Path, qrels_file: Path) -> None:
    paths = [
        write_run(tmp_path / "bm25.run.txt.xz", RUNS["bm25"]),
        write_run(tmp_path / "table_start.trec", RUNS["table_start"]),
    ]
    by_path = compare(qrels_file, paths, baseline="bm25")
    by_mapping = compare(QRELS, {name: RUNS[name] for name in ("bm25", "table_start")}, baseline="bm25")
    assert to_json(by_path) == to_json(by_mapping)


@pytest.mark.parametrize(
    ("path", "name"),
    [("x/bm25.txt.gz", "bm25"), ("k1.0.9.run", "k1.0.9"), ("run.trec.xz", "run"), ("plain", "plain"), (".txt", ".txt")],
)
def test_a_run_is_named_after_its_file(path: str, name: str) -> None:
    assert run_name(path) == name


def test_missing_and_foreign_topics_are_said_everywhere() -> None:
    short = {**made_run(1, TOPICS[:25]), "x1": {"gold": 1.0}}
    comparison = compare({**QRELS, "no": {"gold": 0}}, {"short": short, "full": RUNS["bm25"]})
    expected = [
        "short has no hits for 16 of 41 topics, counted as zero: 25, 26, 27, 28, 29, 30, 31, 32, 33, 34 and 6 more.",
        "short has 1 topic outside the qrels, ignored: x1.",
        "full has no hits for 1 of 41 topics, counted as zero: no.",
        "Without a relevant document, zero for every run: 1 topic: no.",
    ]
    for text in (terminal(comparison), to_markdown(comparison), to_latex(comparison)):
        for sentence in expected:
            assert sentence in text
    content = json.loads(to_json(comparison))
    assert content["runs"][0]["missing_topics"] == [*TOPICS[25:], "no"]
    assert content["unanswerable_topics"] == ["no"]


def test_tables_mark_what_is_better_and_say_how_it_was_tested() -> None:
    comparison = compare(QRELS, RUNS, baseline="bm25", measures=["RR@10"])
    seen, markdown, latex = terminal(comparison), to_markdown(comparison), to_latex(comparison)
    assert "[optical] 100%" in seen
    assert "0.8250ᵃ" in seen
    assert "| c | \\[optical\\] 100% | **0.8250**ᵃ |" in markdown
    assert "| a | bm25 (baseline) | 0.1201 |" in markdown
    assert r"c & [optical] 100\% & \textbf{0.8250}$^{\mathrm{a}}$ \\" in latex
    assert r"b & table\_start & " in latex
    for text in (seen, markdown):
        assert "Means over 40 topics. The baseline is bm25." in text
        assert "Fisher's randomisation test, p ≤ 0.05" in text
        assert "Holm's correction over the 2 comparisons of each measure" in text
        assert "40/0/0" in text
    tukey = compare(QRELS, RUNS, test="tukey", alpha=0.01)
    assert r"Tukey's HSD test, p $\leq$ 0.01 (over all 3 runs, so without further correction)" in to_latex(tukey)
    assert "p (Holm)" not in to_markdown(tukey)


def test_json_holds_every_number() -> None:
    comparison = compare(QRELS, RUNS, baseline="bm25", seed=3)
    content = json.loads(to_json(comparison))
    assert (content["test"], content["correction"], content["seed"], content["alpha"]) == ("fisher", "holm", 3, 0.05)
    assert content["topics"] == TOPICS
    for run in content["runs"]:
        for measure, values in run["by_topic"].items():
            assert sum(values) / 40 == pytest.approx(run["mean"][measure])
    assert content["contrasts"][0]["wins"] == 40
    assert content["assignments"] == 9999
    assert json.loads(to_json(compare(QRELS, RUNS, alpha=1e-5)))["assignments"] > 9999
    assert json.loads(to_json(compare(QRELS, RUNS, test="student")))["assignments"] is None


def test_means_have_intervals_that_hold_them() -> None:
    comparison = compare(QRELS, RUNS)
    for run, intervals in comparison.intervals.items():
        for measure, (low, high) in intervals.items():
            assert low <= comparison.mean(measure, run) <= high
    low, high = comparison.intervals["bm25"]["RR@10"]
    assert 0 < high - low < 0.02


def test_several_seeds_are_one_system() -> None:
    seeds = [made_run(1), made_run(2), made_run(4)]
    comparison = compare(QRELS, {"bm25": RUNS["bm25"], "optical": seeds}, baseline="bm25", measures=["RR@10"])
    alone = [compare(QRELS, {"optical": seed}).mean("RR@10", "optical") for seed in seeds]
    assert comparison.mean("RR@10", "optical") == pytest.approx(sum(alone) / 3)
    assert comparison.scores["optical"].seeds == {"RR@10": pytest.approx(tuple(alone))}
    assert [ranks[:2] for ranks in comparison.scores["optical"].ranks] == [(2, 1), (3, 2), (5, 4)]
    assert len(comparison.contrasts) == 1
    spread = statistics.stdev(alone)
    expected = f"optical is the mean of 3 runs; standard deviation between them: RR@10 ± {spread:.4f}."
    for text in (terminal(comparison), to_markdown(comparison), to_latex(comparison).replace(r"$\pm$", "±")):
        assert expected in text


def test_a_topic_that_one_seed_lacks_is_reported() -> None:
    comparison = compare(QRELS, {"optical": [made_run(1), made_run(1, TOPICS[:-1])]})
    assert comparison.scores["optical"].missing == (TOPICS[-1],)


def test_the_correction_can_be_chosen() -> None:
    runs = {f"run{index}": made_run(1 + index) for index in range(4)}
    holm, rate = (compare(QRELS, runs, correction=correction) for correction in ("holm", "benjamini-hochberg"))
    assert all(one.adjusted <= other.adjusted for one, other in zip(rate.contrasts, holm.contrasts, strict=True))
    assert "Benjamini–Hochberg's correction over the 6 comparisons" in to_markdown(rate)
    assert "p (Benjamini–Hochberg)" in to_markdown(rate)
    assert json.loads(to_json(rate))["correction"] == "benjamini-hochberg"
    assert json.loads(to_json(compare(QRELS, runs, test="tukey")))["correction"] == "none"


def test_less_rank_distance_is_better() -> None:
    qrels = {topic: {"en": 1, "sw": 1} for topic in TOPICS}
    fair = {topic: {"en": 3.0, "sw": 2.0, "x": 1.0} for topic in TOPICS}
    biased = {topic: {"en": 3.0, "x": 2.0, "y": 1.5, "sw": 1.0} for topic in TOPICS}
    comparison = compare(qrels, {"fair": fair, "biased": biased}, measures=["RankDistance@10", "AP"])
    assert comparison.beaten("RankDistance@10", "fair") == ["biased"]
    assert comparison.contrast("RankDistance@10", "fair", "biased").wins == 40
    markdown = to_markdown(comparison)
    assert "| a | fair | **1.0000**ᵇ | **1.0000**ᵇ |" in markdown
    assert "| b | biased | 3.0000 | 0.7500 |" in markdown
    assert "Less is better: RankDistance@10." in markdown
    # Nothing found is no ranking without bias.
    few = compare({**qrels, "no": {"en": 0}}, {"few": dict([*fair.items()][1:])}, measures=["RankDistance@10"])
    topic = TOPICS[0]
    assert few.scores["few"].values["RankDistance@10"][list(few.topics).index(topic)] == 10
    text = to_markdown(few)
    assert "has no hits for 2 of 41 topics, counted as zero (where less is better, as the most): " in text
    assert "Without a relevant document: 1 topic: no." in text


@pytest.mark.parametrize("width", [60, 80, 100, None])
def test_runs_keep_their_names_on_any_terminal(width: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    runs = {f"a-run-of-number-{number}": RUNS["bm25"] for number in range(12)}
    console = results()
    if width is not None:
        console.width = width
    console.print(to_terminal(compare(QRELS, runs, measures=["RR", "RR@10", "nDCG@10", "P@1", "R@100", "AP"])))
    out = capsys.readouterr().out
    assert all("a-run-of-num" in line for line in out.splitlines() if line.strip().startswith(("a ", "b ")))
    if width is None:
        assert all(name in out for name in runs)
        assert "…" not in out


def test_the_table_as_csv() -> None:
    comparison = compare(QRELS, RUNS, baseline="bm25", measures=["RR@10", "R@100"])
    rows = list(csv.DictReader(io.StringIO(to_csv(comparison))))
    assert [(row["run"], row["measure"]) for row in rows] == [
        (run, measure) for run in RUNS for measure in ("RR@10", "R@100")
    ]
    for row in rows:
        assert float(row["mean"]) == comparison.mean(row["measure"], row["run"])
        assert float(row["low"]) <= float(row["mean"]) <= float(row["high"])
        assert row["topics"] == "40"
        assert row["test"] == "fisher, Holm correction, p <= 0.05"
    assert [row["better_than"] for row in rows] == ["", "", "bm25", "", "bm25", ""]


def test_recall_within_tokens_reads_answers_and_passages(tmp_path: Path) -> None:
    corpus, answers = tmp_path / "corpus.jsonl", tmp_path / "answers.tsv"
    texts = {f"d{place}": "w " * 300 for place in range(1, 20)} | {"gold": "The answer is Nairobi ."}
    corpus.write_text("".join(json.dumps({"id": doc, "text": text}) + "\n" for doc, text in texts.items()))
    answers.write_text("".join(f"{topic}\tnairobi\tMombasa\n" for topic in TOPICS))
    # The answer comes after 7 passages of 300 words, or after 8 for every third topic.
    comparison = compare(
        QRELS, {"bm25": RUNS["bm25"]}, measures=["R@2kt", "R@5kt", "R@1kt"], answers=answers, corpus=corpus
    )
    assert [comparison.mean(measure, "bm25") for measure in comparison.measures] == [0, 1, 0]
    corpus.write_text(json.dumps({"id": "d1", "text": "w"}))
    with pytest.raises(InputError, match="passage 'd2' has no text; give the corpus that was searched"):
        compare(QRELS, {"bm25": RUNS["bm25"]}, measures=["R@2kt"], answers=answers, corpus=corpus)


def test_more_runs_than_letters() -> None:
    runs = {f"r{index}": made_run(1 + index % 12) for index in range(28)}
    markdown = to_markdown(compare(QRELS, runs, measures=["RR@10"], test="student"))
    assert "| z | r24 |" in markdown
    assert "| aa | r25 |" in markdown
    assert "ᵇ˒ᶜ˒" in markdown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baseline": "bm52"}, "not among the runs; choose from bm25, table_start"),
        ({"measures": ["ERR@20"]}, "unknown measure 'ERR@20'"),
        ({"measures": []}, "no measure"),
        ({"test": "sign"}, "unknown test 'sign'; choose from fisher, student, tukey"),
        ({"correction": "bonferroni"}, "unknown correction 'bonferroni'; choose from holm, benjamini-hochberg"),
        ({"runs": {"empty": []}}, "no run"),
        ({"measures": ["R@2kt"]}, "recall within a number of tokens needs the answers; give answers and corpus"),
        ({"alpha": 5}, "between 0 and 1"),
        ({"alpha": float("nan")}, "between 0 and 1"),
        ({"seed": -1}, "seed"),
        ({"runs": {}}, "no run"),
        (
            {"runs": {"other": made_run(1, ["1", "2"])}},
            r"'other' shares no topic with the qrels \(it has '1', they have '00'\)",
        ),
        ({"runs": {"none": {}}}, "it is empty"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compare(QRELS, **{"runs": RUNS, **options})  # type: ignore[arg-type]


def test_two_runs_of_one_name_are_refused(tmp_path: Path, qrels_file: Path) -> None:
    with pytest.raises(InputError, match="second run is named 'a'"):
        compare(qrels_file, [tmp_path / "a.txt", tmp_path / "a.run"])


def run_command(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    import argparse

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([str(argument) for argument in arguments]))
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_command_prints_and_writes_the_report(
    tmp_path: Path, qrels_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write_run(tmp_path / "a=b.txt", RUNS["bm25"])
    second = write_run(tmp_path / "run.txt", RUNS["table_start"])
    report = tmp_path / "new" / "report"
    out = run_command(
        capsys, qrels_file, first, f"start={second}", "--baseline", "start", "--measures", "MRR@10,P@1",
        "--test", "student", "--report", report,
    )  # fmt: skip
    assert "start (baseline)" in out
    assert "a=b" in out
    assert sorted(path.name for path in report.iterdir()) == [
        f"report.{suffix}" for suffix in ("csv", "html", "json", "md", "tex")
    ]
    assert json.loads((report / "report.json").read_text())["measures"] == ["RR@10", "P@1"]
    before = (report / "report.md").read_bytes()
    run_command(
        capsys, qrels_file, first, f"start={second}", "--baseline", "start", "--measures", "MRR@10,P@1",
        "--test", "student", "--report", report,
    )  # fmt: skip
    assert (report / "report.md").read_bytes() == before


def test_a_failing_comparison_writes_nothing(
    tmp_path: Path, qrels_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = write_run(tmp_path / "foreign.txt", made_run(1, ["1", "2"]))
    good = write_run(tmp_path / "good.txt", RUNS["bm25"])
    with pytest.raises(InputError, match=r"foreign\.txt: run 'foreign' shares no topic"):
        run_command(capsys, qrels_file, good, foreign, "--report", tmp_path / "report")
    assert not (tmp_path / "report").exists()
