"""Two evaluations of the same cases: differences with paired bootstrap confidence intervals. Torch-free.

A case counts for a label and metric where both evaluations define the score; where one of them has none, neither
counts, so that both means are over the same cases. The mean foreground is the mean over labels of their means.
Intervals are percentile intervals over resamples of whole cases, one set of draws for all metrics and labels. They
depend on nothing but a fixed seed and the number of cases, so that a comparison made twice is the same.

Reference:
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (the percentile method).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from scnas_deploy.documents import Frozen
from scnas_deploy.errors import DataError
from scnas_deploy.training.evaluation import METRICS, CaseScore, Evaluation, Metric

RESAMPLES = 10_000
CONFIDENCE_PERCENT = 95.0
_SEED = 20260217
_SAME_ML = 1e-3


class Difference(Frozen):
    """A score of two evaluations over the same cases, in the metric's unit."""

    a: float
    b: float
    difference: float
    """b - a."""
    interval: tuple[float, float] | None
    """95 % confidence interval of the difference; None for a single case, which says nothing of others."""
    num_cases: int


class MetricComparison(Frozen):
    """One metric; None where no case defines it in both evaluations."""

    by_label: dict[str, Difference | None]
    mean_foreground: Difference | None


class Comparison(Frozen):
    """Evaluation b against evaluation a."""

    subject_a: str
    subject_b: str
    nsd_tolerance_mm: float
    num_cases: int
    """In both evaluations."""
    left_out_a: int
    """Cases of a that b does not have."""
    left_out_b: int
    metrics: dict[Metric, MetricComparison]


def compare(a: Evaluation, b: Evaluation) -> Comparison:
    """Compare two evaluations over the cases that both have.

    Raises:
        DataError: If they share no case, or differ in labels, in the tolerance of NSD or in a case's mask.
    """
    _require_same_labels(a, b)
    _require_same_tolerance(a, b)
    pairs = _pair(a, b)
    draws = _draw(len(pairs))
    return Comparison(
        subject_a=a.subject,
        subject_b=b.subject,
        nsd_tolerance_mm=a.nsd_tolerance_mm,
        num_cases=len(pairs),
        left_out_a=len(a.cases) - len(pairs),
        left_out_b=len(b.cases) - len(pairs),
        metrics={metric: _compare_metric(metric, a.labels, pairs, draws) for metric in METRICS},
    )


_Pair = tuple[CaseScore, CaseScore]


@dataclass(frozen=True, eq=False, slots=True)
class _PairedScores:
    """Scores of some labels, zero where not known. Shapes (cases, labels)."""

    a_NL: np.ndarray
    b_NL: np.ndarray
    known_NL: np.ndarray
    """Whether both evaluations define the score."""


def _compare_metric(
    metric: Metric, labels: Sequence[str], pairs: Sequence[_Pair], draws_RN: np.ndarray
) -> MetricComparison:
    by_label = {label: _difference(_scores(metric, [label], pairs), draws_RN) for label in labels}
    return MetricComparison(by_label=by_label, mean_foreground=_difference(_scores(metric, labels, pairs), draws_RN))


def _scores(metric: Metric, labels: Sequence[str], pairs: Sequence[_Pair]) -> _PairedScores:
    a, b = (
        np.array([[getattr(pair[side], metric)[label] for label in labels] for pair in pairs], dtype=float)
        for side in (0, 1)
    )  # None becomes NaN
    known = np.isfinite(a) & np.isfinite(b)
    return _PairedScores(np.where(known, a, 0.0), np.where(known, b, 0.0), known)


def _difference(scores: _PairedScores, draws_RN: np.ndarray) -> Difference | None:
    """Mean over labels of the means over cases, and what resampling the cases makes of their difference."""
    num_cases = int(scores.known_NL.any(axis=1).sum())
    if num_cases == 0:
        return None
    everyone = np.ones((1, len(scores.known_NL)))
    a, b = (float(_means(values, scores.known_NL, everyone)[0]) for values in (scores.a_NL, scores.b_NL))
    resampled = _means(scores.b_NL - scores.a_NL, scores.known_NL, draws_RN)
    interval = _interval(resampled) if num_cases > 1 else None
    return Difference(a=a, b=b, difference=b - a, interval=interval, num_cases=num_cases)


def _means(values_NL: np.ndarray, known_NL: np.ndarray, draws_RN: np.ndarray) -> np.ndarray:
    """Mean over labels of the means over cases, once a row of draws; NaN where a draw has no known score."""
    sums_RL, counts_RL = np.hsplit(draws_RN @ np.hstack([values_NL, known_NL]), 2)
    with np.errstate(invalid="ignore"):
        means_RL = sums_RL / counts_RL
        means: np.ndarray = np.nansum(means_RL, axis=1) / (counts_RL > 0).sum(axis=1)
    return means


def _interval(resampled: np.ndarray) -> tuple[float, float]:
    tail = (100.0 - CONFIDENCE_PERCENT) / 2
    low, high = np.nanpercentile(resampled, (tail, 100.0 - tail))
    return float(low), float(high)


@lru_cache(maxsize=1)
def _draw(num_cases: int) -> np.ndarray:
    """How often each resample holds each case. Shape (resamples, cases)."""
    shares = np.full(num_cases, 1 / num_cases)
    return np.random.default_rng(_SEED).multinomial(num_cases, shares, size=RESAMPLES).astype(float)


def _pair(a: Evaluation, b: Evaluation) -> list[_Pair]:
    """Cases of both evaluations, sorted by id so that their order in the files does not matter."""
    of_a, of_b = ({case.case_id: case for case in evaluation.cases} for evaluation in (a, b))
    pairs = [(of_a[case_id], of_b[case_id]) for case_id in sorted(of_a.keys() & of_b.keys())]
    if not pairs:
        raise DataError(
            "comparison",
            expected="evaluations with cases in common",
            found=f"none among {len(of_a)} and {len(of_b)} cases",
            remedy="Evaluate both on the same fold of the same dataset",
        )
    _require_same_masks(pairs)
    return pairs


def _require_same_labels(a: Evaluation, b: Evaluation) -> None:
    if set(a.labels) != set(b.labels):
        raise DataError(
            "comparison",
            expected=f"the labels {', '.join(a.labels)} in both evaluations",
            found=f"{', '.join(b.labels)} in {b.subject}",
            remedy="Compare evaluations of one task",
        )


def _require_same_tolerance(a: Evaluation, b: Evaluation) -> None:
    if not math.isclose(a.nsd_tolerance_mm, b.nsd_tolerance_mm):
        raise DataError(
            "comparison",
            expected=f"an NSD tolerance of {a.nsd_tolerance_mm:g} mm in both evaluations",
            found=f"{b.nsd_tolerance_mm:g} mm in {b.subject}",
            remedy="Evaluate both with one tolerance",
        )


def _require_same_masks(pairs: Sequence[_Pair]) -> None:
    for first, second in pairs:
        if any(abs(ml - second.true_ml[label]) > _SAME_ML for label, ml in first.true_ml.items()):
            raise DataError(
                first.case_id,
                expected="one mask behind both evaluations",
                found="masks of different volume",
                remedy="Evaluate both on the same dataset",
            )
