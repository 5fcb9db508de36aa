"""Is the difference between two runs chance? Tests over values by topic, for a whole family of comparisons."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pyserini_optical.evaluate.measures import parse_measure

Test = Literal["fisher", "student", "tukey"]
Correction = Literal["holm", "benjamini-hochberg"]
Array = NDArray[np.float64]

RESAMPLES = 9_999
CONFIDENCE = 0.95

# Two values or sums this close are the same number: what lies between them is rounding.
_TIE = 1e-9
_ROWS = 1_000


@dataclass(frozen=True)
class Contrast:
    """One run held against another on one measure.

    Attributes
    ----------
    measure, run, other : str
        What was compared.
    difference : float
        Mean over the topics of ``run`` minus ``other``.
    low, high : float
        Bootstrap interval (95%) of that mean difference.
    p : float
        Probability of a difference at least as large, in either direction, if the two were exchangeable.
    adjusted : float
        ``p`` with the whole family of comparisons of this measure accounted for.
    significant : bool
        Whether ``adjusted`` is at most alpha.
    effect : float or None
        Cohen's d for pairs: the mean difference over the standard deviation of the differences; None where they do not
        vary.
    wins, ties, losses : int
        Topics on which ``run`` is better than, equal to, worse than ``other``.
    """

    measure: str
    run: str
    other: str
    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    significant: bool
    effect: float | None
    wins: int
    ties: int
    losses: int

    def reversed(self) -> Contrast:
        """Give the same comparison seen from the other run."""
        return replace(
            self,
            run=self.other,
            other=self.run,
            difference=-self.difference,
            low=-self.high,
            high=-self.low,
            effect=None if self.effect is None else -self.effect,
            wins=self.losses,
            losses=self.wins,
        )


def contrast_runs(
    values: Mapping[str, Mapping[str, Array]],
    pairs: Sequence[tuple[str, str]],
    *,
    test: Test = "fisher",
    correction: Correction = "holm",
    alpha: float = 0.05,
    seed: int = 42,
) -> list[Contrast]:
    """Compare pairs of runs on every measure; the pairs of one measure are one family.

    Fisher's and Student's tests are corrected by Holm's or Benjamini and Hochberg's method. Tukey's HSD looks at all
    runs at once and needs no further correction; it does not use that the runs share their topics. With fewer than two
    topics nothing is significant.

    Parameters
    ----------
    values : mapping
        Run → measure → array of shape (n,): all over the same topics, in the same order.
    pairs : sequence of (run, other)
        Which runs to compare, by name.
    test : {"fisher", "student", "tukey"}
        Fisher's randomisation test, the paired t-test, or Tukey's honestly significant difference; all two-sided.
    correction : {"holm", "benjamini-hochberg"}
        Holm's keeps the probability of any false claim in a family at alpha, Benjamini and Hochberg's the expected
        share of false claims among those made.
    alpha : float
        Largest adjusted p-value that is called significant.
    seed : int
        Of the sign flips and of the bootstrap. All comparisons see the same draws, so one does not change another.

    Returns
    -------
    list of Contrast
        Measure by measure, in the order of ``pairs``.

    References
    ----------
    Smucker, Allan and Carterette, A comparison of statistical significance tests for information retrieval evaluation,
    CIKM 2007. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statistics 1979.
    """
    if not pairs:
        return []
    measures = list(values[pairs[0][0]])
    keys = [(measure, run, other) for measure in measures for run, other in pairs]
    differences = np.stack([values[run][measure] - values[other][measure] for measure, run, other in keys], axis=1)
    lows, highs = bootstrap_interval(differences, seed=seed)
    if test == "fisher":
        drawn = randomisation_test(differences, seed=seed, resamples=assignments(len(pairs), alpha))
        p = drawn.reshape(len(measures), len(pairs))
    else:
        ranx_test = _student if test == "student" else _tukey
        p = np.array([ranx_test({run: values[run][measure] for run in values}, pairs) for measure in measures])
    correct = {"holm": holm, "benjamini-hochberg": benjamini_hochberg}[correction]
    adjusted = p if test == "tukey" else np.array([correct(family) for family in p])
    better = [parse_measure(measure).sign for measure, _, _ in keys]
    return [
        Contrast(
            measure=measure,
            run=run,
            other=other,
            difference=float(difference.mean()),
            low=float(low),
            high=float(high),
            p=float(raw),
            adjusted=float(corrected),
            significant=bool(corrected <= alpha),
            effect=effect_size(difference),
            wins=int((sign * difference > _TIE).sum()),
            ties=int((np.abs(difference) <= _TIE).sum()),
            losses=int((sign * difference < -_TIE).sum()),
        )
        for (measure, run, other), difference, sign, low, high, raw, corrected in zip(
            keys, differences.T, better, lows, highs, p.flat, adjusted.flat, strict=True
        )
    ]


def assignments(pairs: int, alpha: float) -> int:
    """Give how many random assignments a family of so many comparisons wants.

    With fewer than pairs / alpha no difference, however large, could be significant by Holm's correction. A million
    are the most.
    """
    return min(max(RESAMPLES, math.ceil(2 * pairs / alpha) - 1), 1_000_000)


def randomisation_test(differences: Array, *, seed: int, resamples: int = RESAMPLES) -> Array:
    r"""Fisher's paired randomisation test, two-sided.

    .. math:: p = \frac{1 + \#\{b : |\sum_i s_{bi} d_i| \ge |\sum_i d_i|\}}{1 + B}, \quad s_{bi} = \pm 1

    ranx 0.3.21 is not used for it: under its threads a seed does not repeat a p-value, and it loses to rounding those
    assignments that tie with the observed one, which on reciprocal ranks can halve p.

    Parameters
    ----------
    differences : array, shape (n, c)
        For n topics and c comparisons, the value of one run minus that of the other.
    seed : int
        Of the random signs, which all comparisons share.
    resamples : int
        B, the number of random assignments; the observed one counts once more, so p is never zero.

    Returns
    -------
    array, shape (c,)
        The p-values.

    References
    ----------
    Smucker, Allan and Carterette, CIKM 2007, section 3.2. Phipson and Smyth, Permutation p-values should never be zero,
    Statistical Applications in Genetics and Molecular Biology 2010.
    """
    rng = np.random.default_rng(seed)
    observed = np.abs(differences.sum(axis=0))
    as_large = np.zeros(differences.shape[1])
    for rows in _chunks(resamples):
        signs = 2.0 * rng.integers(0, 2, size=(rows, len(differences)), dtype=np.int8) - 1.0
        as_large += (np.abs(signs @ differences) >= observed - _TIE).sum(axis=0)
    return np.asarray((as_large + 1) / (resamples + 1))


def bootstrap_interval(values: Array, *, seed: int, resamples: int = RESAMPLES) -> tuple[Array, Array]:
    """Percentile bootstrap interval (95%) of the mean over topics.

    Parameters
    ----------
    values : array, shape (n, c)
        For n topics, c sets of values: those of a run, or one run's minus another's.
    seed : int
        Of the samples of topics, which all sets share.
    resamples : int
        The number of samples.

    Returns
    -------
    low, high : arrays, shape (c,)
        The ends of the intervals.

    References
    ----------
    Efron and Tibshirani, An introduction to the bootstrap, 1993, section 13.3.
    """
    rng = np.random.default_rng(seed)
    n = len(values)
    means = []
    for rows in _chunks(resamples):
        # How often each topic is drawn.
        weights = rng.multinomial(n, np.full(n, 1 / n), size=rows)
        means.append(weights @ values / n)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(means), (tail, 1 - tail), axis=0)
    return low, high


def holm(p: Array) -> Array:
    r"""Holm's step-down correction of one family of p-values.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1)\, p_{(j)})

    Parameters
    ----------
    p : array, shape (m,)
        The p-values, in any order.

    Returns
    -------
    array, shape (m,)
        The adjusted p-values, in the same order.

    References
    ----------
    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 1979.
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def benjamini_hochberg(p: Array) -> Array:
    r"""Benjamini and Hochberg's step-up correction of one family of p-values, for the false discovery rate.

    .. math:: \tilde p_{(i)} = \min_{j \ge i} \min(1, m\, p_{(j)} / j)

    Parameters
    ----------
    p : array, shape (m,)
        The p-values, in any order.

    Returns
    -------
    array, shape (m,)
        The adjusted p-values, in the same order.

    References
    ----------
    Benjamini and Hochberg, Controlling the false discovery rate, Journal of the Royal Statistical Society B 1995.
    """
    order = np.argsort(p, kind="stable")
    steps = p[order] * len(p) / np.arange(1, len(p) + 1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.minimum.accumulate(steps[::-1])[::-1])
    return adjusted


def effect_size(differences: Array) -> float | None:
    r"""Cohen's d for pairs, :math:`\bar d / s_d`: how large the mean difference is against its spread over the topics.

    Parameters
    ----------
    differences : array, shape (n,)
        The value of one run minus that of the other on each topic.

    Returns
    -------
    float or None
        None where the differences do not vary (up to rounding) or there are fewer than two.

    References
    ----------
    Cohen, Statistical power analysis for the behavioral sciences, 1988, section 2.3.5.
    """
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
    return float(differences.mean() / spread) if spread > _TIE else None


def _chunks(total: int) -> Iterator[int]:
    for start in range(0, total, _ROWS):
        yield min(_ROWS, total - start)


def _student(values: Mapping[str, Array], pairs: Sequence[tuple[str, str]]) -> list[float]:
    from ranx.statistical_tests import paired_student_t_test

    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # identical runs have no variance: NaN, which means that nothing differs
        for run, other in pairs:
            difference = values[run] - values[other]
            difference[np.abs(difference) <= _TIE] = 0.0
            found.append(_defined(paired_student_t_test(difference, np.zeros_like(difference))[0]))
    return found


def _tukey(values: Mapping[str, Array], pairs: Sequence[tuple[str, str]]) -> list[float]:
    from ranx.statistical_tests import tukey_hsd_test

    if len(next(iter(values.values()))) < 2:
        return [1.0] * len(pairs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = tukey_hsd_test(list(values), list(values.values()), max_p=0.05)
    p = {(row["control"], row["treatment"]): _defined(row["p-value"]) for row in rows}
    return [p[pair] for pair in pairs]


def _defined(p: float) -> float:
    return 1.0 if np.isnan(p) else float(p)
