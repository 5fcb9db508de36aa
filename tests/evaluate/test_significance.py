from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from pyserini_optical.evaluate.significance import (
    RESAMPLES,
    Test,
    assignments,
    benjamini_hochberg,
    bootstrap_interval,
    contrast_runs,
    effect_size,
    holm,
    randomisation_test,
)

Array = NDArray[np.float64]

reciprocal_ranks = st.sampled_from([0.0, *(1 / rank for rank in range(1, 11))])


def random_runs(count: int, topics: int, seed: int = 1) -> dict[str, dict[str, Array]]:
    rng = np.random.default_rng(seed)
    return {
        f"run{index}": {"RR@10": 1 / rng.integers(1, 11, topics), "R@100": rng.random(topics) + index / 50}
        for index in range(count)
    }


def exact_randomisation(differences: Array) -> float:
    sums = np.array(list(product((1.0, -1.0), repeat=len(differences)))) @ differences
    return float((np.abs(sums) >= abs(differences.sum()) - 1e-9).mean())


@given(st.lists(st.tuples(reciprocal_ranks, reciprocal_ranks), min_size=1, max_size=10), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_randomisation_agrees_with_all_assignments(pairs: list[tuple[float, float]], seed: int) -> None:
    # Reciprocal ranks tie often, which a comparison without tolerance gets wrong by far more than this.
    differences = np.array([one - other for one, other in pairs])
    exact = exact_randomisation(differences)
    (p,) = randomisation_test(differences[:, None], seed=seed)
    assert p == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / RESAMPLES) + 2 / RESAMPLES)


def test_randomisation_is_never_zero_and_repeats() -> None:
    differences = np.random.default_rng(3).random((400, 3)) + 1
    assert (randomisation_test(differences, seed=1) == 1 / (RESAMPLES + 1)).all()
    mixed = np.random.default_rng(4).normal(0.05, 1, (200, 3))
    np.testing.assert_array_equal(randomisation_test(mixed, seed=1), randomisation_test(mixed, seed=1))
    assert (randomisation_test(mixed, seed=1) != randomisation_test(mixed, seed=2)).any()


def test_randomisation_keeps_its_level() -> None:
    # Under the null hypothesis one p-value in twenty is below 0.05.
    differences = np.random.default_rng(5).normal(size=(50, 2_000))
    assert (randomisation_test(differences, seed=6, resamples=999) <= 0.05).mean() == pytest.approx(0.05, abs=0.02)


def test_bootstrap_agrees_with_scipy() -> None:
    differences = np.random.default_rng(8).normal(0.1, 1, (120, 2))
    low, high = bootstrap_interval(differences, seed=1)
    other = stats.bootstrap(
        (differences,), np.mean, axis=0, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    np.testing.assert_allclose(low, other.low, atol=0.015)
    np.testing.assert_allclose(high, other.high, atol=0.015)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_the_step_down_procedure(p_values: list[float]) -> None:
    p = np.array(p_values)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()
    # By the definition: go through the p-values from the smallest, stop at the first that fails.
    for alpha in (0.01, 0.05, 0.3):
        rejected = set()
        for step, index in enumerate(np.argsort(p, kind="stable")):
            if p[index] * (len(p) - step) > alpha:
                break
            rejected.add(int(index))
        assert set(np.flatnonzero(adjusted <= alpha).tolist()) == rejected


def test_holm_on_a_textbook_family() -> None:
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03, 0.005])), [0.06, 0.03, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_benjamini_hochberg_agrees_with_scipy(p_values: list[float]) -> None:
    p = np.array(p_values)
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p))
    assert (benjamini_hochberg(p) <= holm(p) + 1e-12).all()


def test_the_effect_is_the_t_statistic_without_the_number_of_topics() -> None:
    differences = np.random.default_rng(2).normal(0.2, 1, 80)
    effect = effect_size(differences)
    assert effect is not None
    assert effect * np.sqrt(80) == pytest.approx(stats.ttest_1samp(differences, 0).statistic)
    assert effect_size(-differences) == pytest.approx(-effect)
    assert effect_size(np.full(20, 0.1)) is None
    assert effect_size(np.array([0.3])) is None


def test_student_agrees_with_scipy() -> None:
    runs = random_runs(4, 80)
    pairs = list(combinations(runs, 2))
    contrasts = contrast_runs(runs, pairs, test="student")
    for contrast in contrasts:
        one, other = runs[contrast.run][contrast.measure], runs[contrast.other][contrast.measure]
        assert contrast.p == pytest.approx(stats.ttest_rel(one, other).pvalue)
    family = np.array([contrast.p for contrast in contrasts if contrast.measure == "RR@10"])
    adjusted = [contrast.adjusted for contrast in contrasts if contrast.measure == "RR@10"]
    np.testing.assert_allclose(adjusted, holm(family))


def test_students_test_takes_rounding_for_no_difference() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(40)
    rounded = {"a": {"RR": values}, "b": {"RR": np.nextafter(values, 2)}, "c": {"RR": values - 1e-10}}
    for contrast in contrast_runs(rounded, [("a", "b"), ("a", "c")], test="student"):
        assert contrast.p == 1
        assert not contrast.significant


def test_large_families_get_as_many_assignments_as_they_want() -> None:
    rng = np.random.default_rng(0)
    values = {f"run{number}": {"RR": rng.random(60) * 0.01 + number * 0.02} for number in range(33)}
    pairs = [(run, other) for run in values for other in values if run < other]
    assert len(pairs) == 528
    assert assignments(528, 0.05) == 21_119
    assert assignments(26, 0.05) == RESAMPLES
    found = {(one.run, one.other): one for one in contrast_runs(values, pairs)}
    assert found["run0", "run32"].significant
    assert found["run0", "run32"].p == 1 / 21_120


def test_tukey_looks_at_all_runs_even_against_a_baseline() -> None:
    runs = random_runs(5, 60)
    expected = stats.tukey_hsd(*(run["R@100"] for run in runs.values())).pvalue
    contrasts = contrast_runs(runs, [(f"run{index}", "run0") for index in range(1, 5)], test="tukey")
    found = [contrast for contrast in contrasts if contrast.measure == "R@100"]
    np.testing.assert_allclose([contrast.p for contrast in found], expected[1:, 0])
    assert all(contrast.adjusted == contrast.p for contrast in found)


@pytest.mark.parametrize("test", ["fisher", "student", "tukey"])
@pytest.mark.parametrize("topics", [1, 30])
def test_equal_runs_do_not_differ(test: Test, topics: int) -> None:
    values = {"RR@10": np.linspace(0, 1, topics)}
    (contrast,) = contrast_runs({"one": values, "two": values}, [("one", "two")], test=test)
    assert (contrast.p, contrast.significant) == (1.0, False)
    assert (contrast.difference, contrast.low, contrast.high) == (0, 0, 0)
    assert (contrast.wins, contrast.ties, contrast.losses) == (0, topics, 0)


@pytest.mark.parametrize("test", ["fisher", "student", "tukey"])
def test_one_topic_proves_nothing(test: Test) -> None:
    runs = {"one": {"RR@10": np.array([1.0])}, "two": {"RR@10": np.array([0.0])}}
    (contrast,) = contrast_runs(runs, [("one", "two")], test=test)
    assert (contrast.p, contrast.significant, contrast.wins) == (1.0, False, 1)


@pytest.mark.parametrize("test", ["fisher", "student", "tukey"])
def test_a_clear_difference_is_found_from_both_sides(test: Test) -> None:
    rng = np.random.default_rng(9)
    low, high = rng.random(100) * 0.5, rng.random(100) * 0.5 + 0.4
    runs = {"low": {"AP": low}, "high": {"AP": high}}
    (one,) = contrast_runs(runs, [("low", "high")], test=test)
    (other,) = contrast_runs(runs, [("high", "low")], test=test)
    assert one.significant
    assert one.low < one.difference < one.high < 0
    assert one.wins + one.ties + one.losses == 100
    turned = other.reversed()
    assert turned.effect == pytest.approx(one.effect)
    assert (turned.run, turned.other, turned.wins, turned.p) == (one.run, one.other, one.wins, one.p)
    np.testing.assert_allclose((turned.low, turned.high), (one.low, one.high), atol=0.01)


def test_one_comparison_does_not_change_another() -> None:
    runs = random_runs(4, 90)
    alone = contrast_runs(runs, [("run1", "run0")])[0]
    among = contrast_runs(runs, [("run2", "run0"), ("run1", "run0"), ("run3", "run2")])[1]
    assert alone.p == among.p
    assert (alone.low, alone.high) == pytest.approx((among.low, among.high))
    assert among.adjusted >= alone.adjusted


def test_thirty_runs_can_be_compared_in_all_pairs() -> None:
    # ranx's own report breaks at 27.
    runs = random_runs(30, 40)
    assert len(contrast_runs(runs, list(combinations(runs, 2)))) == 2 * 435


def test_ties_are_ties_up_to_rounding() -> None:
    runs = {"one": {"AP": np.array([0.1 + 0.2, 0.5])}, "two": {"AP": np.array([0.3, 0.4])}}
    (contrast,) = contrast_runs(runs, [("one", "two")])
    assert (contrast.wins, contrast.ties, contrast.losses) == (1, 1, 0)
