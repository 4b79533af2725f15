"""Scores in words and in rank, alike on all pages."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles, stdev
from typing import Final, Self

from scnas_deploy.training.evaluation import CaseScore, Metric, mean_of_known

AXES: Final[Mapping[Metric, str]] = {"dice": "Dice", "hd95_mm": "HD95 in mm", "nsd": "Surface Dice (NSD)"}
"""What stands at a chart's axis."""

FEWEST_FOR_QUARTILES: Final = 8
"""Of fewer cases, quartiles say little, and no case is called unusual."""


def known(values: Sequence[float | None]) -> list[float]:
    """Return the scores that are defined."""
    return [value for value in values if value is not None]


def score(metric: Metric, value: float | None) -> str:
    """Write a score, with as many digits as it deserves; a dash where it is undefined."""
    if value is None:
        return "-"
    return f"{value:.2f}" if metric == "hd95_mm" else f"{value:.4f}"


def signed(metric: Metric, value: float) -> str:
    """Write a difference of scores."""
    return f"{value:+.3f}" if metric == "hd95_mm" else f"{value:+.4f}"


def spread(metric: Metric, values: Sequence[float | None]) -> tuple[str, str]:
    """Write mean and standard deviation, and below them median and number of cases."""
    of = known(values)
    if not of:
        return "-", "n 0"
    around = f" ± {score(metric, stdev(of))}" if len(of) > 1 else ""
    return f"{score(metric, mean_of_known(of))}{around}", f"median {score(metric, median(of))}, n {len(of)}"


def ml(value: float, *, sign: bool = False) -> str:
    """Write millilitres: to the microlitre where it is few of them, and below one to its tenth."""
    size = abs(value)
    digits = 4 if 0 < size < 0.001 else 3 if size < 10 else 2 if size < 100 else 1
    return f"{value:{'+' if sign else ''}.{digits}f}"


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual among some scores: their median, and Tukey's fences, 1.5 interquartile ranges off the quartiles."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Self | None:
        """Return it; None of too few cases, and where the middle half are all one value: then most others are usual."""
        defined = known(values)
        if len(defined) < FEWEST_FOR_QUARTILES:
            return None
        first, middle, third = quantiles(defined, n=4, method="inclusive")
        if first == third:
            return None
        return cls(first - 1.5 * (third - first), middle, third + 1.5 * (third - first))


def mean_dice(case: CaseScore) -> float | None:
    """Return a case's mean Dice over the labels for which it is defined."""
    return mean_of_known(list(case.dice.values()))


def worst_first(cases: Sequence[CaseScore]) -> list[CaseScore]:
    """Sort cases by mean Dice; those in which no label occurs come last."""

    def rank(case: CaseScore) -> tuple[float, str]:
        mean = mean_dice(case)
        return math.inf if mean is None else mean, case.case_id

    return sorted(cases, key=rank)
