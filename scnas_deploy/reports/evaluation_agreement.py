"""How far predicted volumes agree with true ones, after Bland and Altman.

Reference:
    Bland and Altman, Statistical methods for assessing agreement between two methods of clinical measurement,
    Lancet 1986; 327: 307-310.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Final

from scnas_deploy.training.evaluation import CaseScore, Evaluation

_LIMIT_SD: Final = 1.96
"""Standard deviations around the bias that hold 95 % of normally distributed differences."""


@dataclass(frozen=True, slots=True)
class VolumePair:
    """One case's volumes of a structure in ml."""

    case_id: str
    true_ml: float
    predicted_ml: float

    @property
    def mean_ml(self) -> float:
        """Their mean."""
        return (self.true_ml + self.predicted_ml) / 2

    @property
    def difference_ml(self) -> float:
        """Predicted minus true."""
        return self.predicted_ml - self.true_ml


@dataclass(frozen=True, slots=True)
class Agreement:
    """A structure's volumes over the cases that have it in mask or result."""

    label: str
    pairs: tuple[VolumePair, ...]

    @property
    def bias_ml(self) -> float | None:
        """Mean difference; None of no case."""
        return fmean(pair.difference_ml for pair in self.pairs) if self.pairs else None

    @property
    def sd_ml(self) -> float | None:
        """Standard deviation of the differences; None of fewer than two cases."""
        return stdev(pair.difference_ml for pair in self.pairs) if len(self.pairs) > 1 else None

    @property
    def mean_true_ml(self) -> float | None:
        """Mean volume in the masks."""
        return fmean(pair.true_ml for pair in self.pairs) if self.pairs else None

    @property
    def limits_ml(self) -> tuple[float, float] | None:
        """Limits of agreement: bias minus and plus 1.96 standard deviations."""
        if self.bias_ml is None or self.sd_ml is None:
            return None
        return self.bias_ml - _LIMIT_SD * self.sd_ml, self.bias_ml + _LIMIT_SD * self.sd_ml


def agreements(evaluation: Evaluation) -> list[Agreement]:
    """Return one agreement a label."""
    return [Agreement(label, tuple(_pairs(evaluation, label))) for label in evaluation.labels]


def _pairs(evaluation: Evaluation, label: str) -> Iterator[VolumePair]:
    for case in evaluation.cases:
        if _occurs(case, label):
            yield VolumePair(case.case_id, case.true_ml[label], case.predicted_ml[label])


def _occurs(case: CaseScore, label: str) -> bool:
    """Dice is undefined exactly where a structure is in neither."""
    return case.dice[label] is not None
