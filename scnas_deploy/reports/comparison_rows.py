"""What a comparison's tables say: which differences the cases tell apart, and which cases changed most."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from scnas_deploy.reports.scores import score, signed
from scnas_deploy.training.comparison import Comparison, Difference
from scnas_deploy.training.evaluation import METRICS, CaseScore, Evaluation, Metric

FOREGROUND: Final = "Mean of labels"
_MOST_CHANGED: Final = 10
FEWEST_FOR_VERDICT: Final = 20
"""Cases: percentile intervals of fewer are too narrow, and leave zero out for equals too often."""


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """One metric of one label, or of their mean."""

    metric: Metric
    label: str
    difference: Difference | None

    @property
    def cells(self) -> tuple[str, ...]:
        """Cases, mean of A, mean of B, their difference and its interval."""
        of = self.difference
        if of is None:
            return "0", "-", "-", "-", "-"
        interval = "-" if of.interval is None else " to ".join(signed(self.metric, end) for end in of.interval)
        return (
            str(of.num_cases),
            score(self.metric, of.a),
            score(self.metric, of.b),
            signed(self.metric, of.difference),
            interval,
        )

    @property
    def verdict(self) -> str:
        """Whether the interval leaves zero out, and in whose favour."""
        of = self.difference
        if of is None or of.interval is None or of.num_cases < FEWEST_FOR_VERDICT:
            return "too few cases"
        low, high = of.interval
        if low <= 0 <= high:
            return "not told apart"
        return "B better" if (low > 0) == (self.metric != "hd95_mm") else "A better"


def difference_rows(comparison: Comparison) -> list[DifferenceRow]:
    """Return the rows: by metric, each label and then their mean."""
    rows = []
    for metric in METRICS:
        compared = comparison.metrics[metric]
        rows += [DifferenceRow(metric, label, difference) for label, difference in compared.by_label.items()]
        rows.append(DifferenceRow(metric, FOREGROUND, compared.mean_foreground))
    return rows


@dataclass(frozen=True, slots=True)
class ChangedCase:
    """One case of both evaluations, by its mean Dice over the labels that both define."""

    case_id: str
    a: float
    b: float
    most: str
    """The label that changed most, with both its scores."""

    @property
    def change(self) -> float:
        """B minus A."""
        return self.b - self.a

    @property
    def cells(self) -> tuple[str, ...]:
        """Mean of A, of B, and their difference."""
        return score("dice", self.a), score("dice", self.b), signed("dice", self.change)


def changed_cases(a: Evaluation, b: Evaluation) -> list[ChangedCase]:
    """Return the cases whose mean Dice changed most, either way."""
    changed = [case for first, second in pairs(a, b) for case in _changed(first, second)]
    return sorted(changed, key=lambda case: (-abs(case.change), case.case_id))[:_MOST_CHANGED]


def pairs(a: Evaluation, b: Evaluation) -> Iterator[tuple[CaseScore, CaseScore]]:
    """Yield the cases that both have, in the first one's order."""
    others = {case.case_id: case for case in b.cases}
    yield from ((case, others[case.case_id]) for case in a.cases if case.case_id in others)


def newly_failed(a: Evaluation, b: Evaluation) -> int:
    """Return how many structures have some overlap in A and none in B."""
    return sum(
        1 for first, second in pairs(a, b) for label, dice in first.dice.items() if dice and second.dice[label] == 0
    )


def _changed(first: CaseScore, second: CaseScore) -> Iterator[ChangedCase]:
    both = {
        label: (before, after)
        for label, before in first.dice.items()
        if before is not None and (after := second.dice[label]) is not None
    }
    if not both:
        return
    label, (before, after) = max(both.items(), key=lambda item: abs(item[1][1] - item[1][0]))
    yield ChangedCase(
        first.case_id,
        sum(pair[0] for pair in both.values()) / len(both),
        sum(pair[1] for pair in both.values()) / len(both),
        f"{label}: {score('dice', before)} to {score('dice', after)}",
    )
