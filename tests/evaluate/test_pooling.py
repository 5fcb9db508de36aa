from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pyserini_optical import InputError, compare
from pyserini_optical.evaluate import Comparison, Inference, pool, to_json, to_markdown
from pyserini_optical.evaluate.report import read_scores

Run = dict[str, dict[str, float]]


def made(rank: int, topics: list[str]) -> Run:
    return {
        topic: {"gold" if place == rank else f"d{place}": -float(place) for place in range(1, 12)} for topic in topics
    }


def study(folder: Path, ranks: dict[str, int], topics: list[str], **options: object) -> Path:
    qrels = {topic: {"gold": 1} for topic in topics}
    runs = {name: made(rank, topics) for name, rank in ranks.items()}
    compare(qrels, runs, report=folder, **options)  # type: ignore[arg-type]
    return folder / "report.json"


SWAHILI = [f"sw{number}" for number in range(30)]
HAUSA = [f"ha{number}" for number in range(10)]


@pytest.fixture
def reports(tmp_path: Path) -> dict[str, Path]:
    return {
        "sw": study(tmp_path / "sw", {"bm25": 4, "only": 1, "optical": 1}, SWAHILI),
        "ha": study(tmp_path / "ha", {"optical": 2, "bm25": 5}, HAUSA, measures=["R@100", "RR@10"]),
    }


def test_languages_with_their_own_topics_are_joined(reports: dict[str, Path], tmp_path: Path) -> None:
    pooled = pool(reports, baseline="bm25", inference=Inference("student"), report=tmp_path / "pooled")
    assert pooled.measures == ("RR@10", "R@100")
    assert list(pooled.scores) == ["bm25", "optical"]
    assert len(pooled.topics) == 40
    assert pooled.mean("RR@10", "optical") == pytest.approx((30 * 1 + 10 / 2) / 40)
    assert [part.mean("RR@10", "bm25") for part in pooled.languages.values()] == pytest.approx([0.25, 0.2])
    assert pooled.beaten("RR@10", "optical") == ["bm25"]
    markdown = to_markdown(pooled)
    assert "Means over 40 topics. The baseline is bm25." in markdown
    assert "Pooled over sw (30 topics), ha (10 topics); a topic that several of them have counts once" in markdown
    content = json.loads((tmp_path / "pooled" / "report.json").read_text())
    assert {name: len(part["topics"]) for name, part in content["languages"].items()} == {"sw": 30, "ha": 10}


def test_what_was_said_of_each_language_is_said_again(tmp_path: Path) -> None:
    qrels = {topic: {"gold": 1} for topic in SWAHILI} | {"none": {"gold": 0}}
    compare(qrels, {"optical": made(1, SWAHILI[3:]), "bm25": made(2, SWAHILI)}, report=tmp_path / "sw")
    hausa = study(tmp_path / "ha", {"optical": 2, "bm25": 5}, HAUSA)
    text = to_markdown(pool({"sw": tmp_path / "sw" / "report.json", "ha": hausa}))
    assert "sw: optical has no hits for 4 of 31 topics, counted as zero: none, sw0, sw1, sw2." in text
    assert "sw: Without a relevant document, zero for every run: 1 topic: none." in text
    assert "ha: " not in text


def test_parallel_topics_count_once(tmp_path: Path) -> None:
    # Taken for 4 × 12 topics, a difference that the draw of 12 topics made would look like more than chance.
    rng = np.random.default_rng(0)
    topics = [f"q{number}" for number in range(12)]
    qrels = {topic: {"gold": 1} for topic in topics}
    better = {topic: bool(rng.random() < 0.7) for topic in topics}
    one = {topic: made(1 if better[topic] else 2, [topic])[topic] for topic in topics}
    other = {topic: made(2 if better[topic] else 1, [topic])[topic] for topic in topics}
    paths = {}
    for language in ("ar", "de", "es", "hi"):
        compare(qrels, {"one": one, "other": other}, report=tmp_path / language)
        paths[language] = tmp_path / language / "report.json"
    pooled = pool(paths)
    single = pooled.languages["ar"]
    assert pooled.topics == tuple(sorted(topics))
    assert [each.p for each in pooled.contrasts] == [each.p for each in single.contrasts]


def test_scores_come_back_as_they_were(reports: dict[str, Path]) -> None:
    scores, unanswerable = read_scores(reports["sw"])
    topics = [f"sw{number}" for number in range(30)]
    again: Comparison = compare({topic: {"gold": 1} for topic in topics}, {"bm25": made(4, topics)})
    assert scores["bm25"].topics == again.topics
    assert scores["bm25"].values["nDCG@10"].tolist() == again.scores["bm25"].values["nDCG@10"].tolist()
    assert unanswerable == ()
    assert json.loads(to_json(again))["runs"][0]["rank_of_first_relevant"] == [[4] * 30]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda content: [], "expected a JSON object"),
        (lambda content: {}, "not a report; name the report.json"),
        (lambda content: {**content, "runs": []}, "not a report"),
        (lambda content: {**content, "topics": content["topics"][1:]}, "not a report"),
        (lambda content: {**content, "runs": [{"name": "x"}]}, "not a report"),
        (lambda content: {**content, "runs": ["x"]}, "not a report"),
    ],
)
def test_what_is_no_report_is_refused(change: object, problem: str, reports: dict[str, Path]) -> None:
    assert callable(change)
    reports["ha"].write_text(json.dumps(change(json.loads(reports["ha"].read_text()))))
    with pytest.raises(InputError) as caught:
        pool(reports)
    assert problem in str(caught.value)


def test_what_cannot_be_pooled_is_said(reports: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one report has nothing to be pooled with"):
        pool({"sw": reports["sw"]})
    with pytest.raises(InputError, match="the baseline 'only' is not in all reports; choose from bm25, optical"):
        pool(reports, baseline="only")
    reports["es"] = study(tmp_path / "es", {"other": 1}, ["1"])
    with pytest.raises(InputError, match="no run in common"):
        pool(reports)
    reports["es"] = study(tmp_path / "es", {"bm25": 1}, ["1"], measures=["AP"])
    with pytest.raises(InputError, match="no measure in common"):
        pool(reports)


def test_reports_of_other_seeds_are_one_system(tmp_path: Path) -> None:
    topics, qrels = SWAHILI, {topic: {"gold": 1} for topic in SWAHILI}
    seeds = {
        seed: {t: made(rank, [t])[t] for t, rank in zip(topics, [1, 2, seed] * 10, strict=True)} for seed in (3, 5, 7)
    }
    bm25 = made(4, topics)
    for name, runs in (("two", [3, 5]), ("third", [7]), ("again", [5]), ("all", [3, 5, 7])):
        compare(
            qrels, {"bm25": bm25, "optical": [seeds[seed] for seed in runs]}, baseline="bm25", report=tmp_path / name
        )
    study(tmp_path / "more", {"bm25": 4, "optical": 1}, HAUSA)
    paths = {name: tmp_path / name / "report.json" for name in ("two", "third", "again", "all", "more")}
    joined = pool({"sw": [paths["two"], paths["third"]]}, baseline="bm25", report=tmp_path / "joined")
    written, whole = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("joined", "all"))
    assert joined.languages == {}
    for one, other in zip(written["runs"], whole["runs"], strict=True):
        assert one["rank_of_first_relevant"] == other["rank_of_first_relevant"]
        for part in ("mean", "by_topic", "seeds", "interval"):
            assert one[part] == {key: pytest.approx(value, abs=1e-12) for key, value in other[part].items()}, part
    assert [one["p"] for one in written["contrasts"]] == pytest.approx([one["p"] for one in whole["contrasts"]])
    # A report made so is joined and pooled like any other.
    both = pool({"sw": [paths["third"], paths["two"]], "ha": paths["more"]}, baseline="bm25")
    assert both.languages["sw"].mean("RR@10", "optical") == pytest.approx(joined.mean("RR@10", "optical"))
    assert "optical is the mean of 3 runs" in to_markdown(joined)
    with pytest.raises(InputError, match=r"has no run that the reports before it lack"):
        pool({"sw": [paths["two"], paths["again"]]})
    with pytest.raises(InputError, match=r"has no run that the reports before it lack"):
        pool({"sw": [paths["third"], paths["third"]]})
    with pytest.raises(InputError, match=r"run optical has a seed that a report before it has, and others"):
        pool({"sw": [paths["again"], paths["two"]]})
    with pytest.raises(InputError, match="other topics than the report before it"):
        pool({"sw": [paths["two"], paths["more"]]})
    for alone in (paths["two"], [], [paths["two"]]):
        with pytest.raises(InputError, match="one report has nothing to be pooled with"):
            pool({"sw": alone})
    with pytest.raises(InputError, match="nothing to be pooled with"):
        pool({"sw": [], "ha": paths["more"], "yo": paths["two"]})
    # What was pooled is joined once more.
    pool({"sw": paths["two"], "ha": paths["more"]}, report=tmp_path / "pooled")
    pool({"sw": paths["third"], "ha": paths["more"]}, report=tmp_path / "pooled-third")
    twice = pool({"all": [tmp_path / name / "report.json" for name in ("pooled", "pooled-third")]})
    assert "optical is the mean of 2 runs" in to_markdown(twice)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_a_system_without_seeds_may_differ_between_machines(tmp_path: Path, order: tuple[int, ...]) -> None:
    # The teacher of the second machine has one topic at another rank; on the others it is the same to the last digit.
    topics, qrels = SWAHILI, {topic: {"gold": 1} for topic in SWAHILI}
    paths = []
    for number, rank in enumerate((2, 3, 2)):
        teacher = made(2, topics) | made(rank, topics[:1])
        compare(qrels, {"teacher": teacher, "optical": made(4 + number, topics)}, report=tmp_path / str(number))
        paths.append(tmp_path / str(number) / "report.json")
    joined = pool({"sw": [paths[number] for number in order]})
    assert (joined.scores["teacher"].runs, joined.scores["optical"].runs) == (2, 3)
    assert joined.mean("RR@10", "optical") == pytest.approx((1 / 4 + 1 / 5 + 1 / 6) / 3)


@pytest.mark.parametrize("seeds", [{"RR@10": [0.1]}, {"RR@10": [0.1, 0.2]}, {"XY@10": [0.1, 0.2]}])
def test_seeds_that_are_none_are_refused(reports: dict[str, Path], seeds: dict[str, list[float]]) -> None:
    content = json.loads(reports["sw"].read_text())
    content["runs"][0]["seeds"] = seeds
    reports["sw"].write_text(json.dumps(content))
    with pytest.raises(InputError, match="not a report"):
        read_scores(reports["sw"])
