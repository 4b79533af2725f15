"""Cases that a person must look at, and why, in words."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from scnas_deploy.reports.scores import Usual, ml, score, worst_first
from scnas_deploy.training.evaluation import CaseScore, Evaluation

LOW_DICE: Final = 0.5
"""A structure whose Dice is lower is called a failure, however the other cases are."""


class Gravity(IntEnum):
    """How bad it is; the worst first."""

    MISSING = 0
    """A structure that only the mask or only the result has."""
    LOW = 1
    UNUSUAL = 2
    """Far from this evaluation's other cases."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One case, with all that is wrong with it."""

    case: CaseScore
    gravity: Gravity
    reasons: tuple[str, ...]


_Reason = tuple[Gravity, str]


def failures(evaluation: Evaluation) -> list[Failure]:
    """List the cases to be looked at: missing structures first, then low Dice, then unusual scores."""
    dice = {label: Usual.of(evaluation.values("dice", label)) for label in evaluation.labels}
    hd95 = {label: Usual.of(evaluation.values("hd95_mm", label)) for label in evaluation.labels}
    found = []
    for case in worst_first(evaluation.cases):
        reasons = [
            reason
            for label in evaluation.labels
            for reason in (*_overlap(case, label, dice[label]), *_distance(case, label, hd95[label]))
        ]
        if reasons:
            words = tuple(words for _, words in sorted(reasons, key=lambda reason: reason[0]))
            found.append(Failure(case, min(gravity for gravity, _ in reasons), words))
    return sorted(found, key=lambda failure: failure.gravity)


def _overlap(case: CaseScore, label: str, usual: Usual | None) -> list[_Reason]:
    dice, true_ml, predicted_ml = case.dice[label], case.true_ml[label], case.predicted_ml[label]
    if dice is None:
        return []
    if dice == 0 and case.hd95_mm[label] is None:
        return [(Gravity.MISSING, _missing(label, true_ml, predicted_ml))]
    if dice < LOW_DICE:
        return [(Gravity.LOW, f"{label}: Dice {score('dice', dice)}, below {LOW_DICE}")]
    if usual is not None and dice < usual.low:
        words = f"{label}: Dice {score('dice', dice)}, unusually low here (median {score('dice', usual.median)})"
        return [(Gravity.UNUSUAL, words)]
    return []


def _missing(label: str, true_ml: float, predicted_ml: float) -> str:
    if predicted_ml > true_ml:
        return f"{label}: found {ml(predicted_ml)} ml where the mask has none"
    return f"{label}: missed entirely; the mask has {ml(true_ml)} ml"


def _distance(case: CaseScore, label: str, usual: Usual | None) -> list[_Reason]:
    hd95 = case.hd95_mm[label]
    if hd95 is None or usual is None or hd95 <= usual.high:
        return []
    middle = score("hd95_mm", usual.median)
    words = f"{label}: HD95 {score('hd95_mm', hd95)} mm, unusually high here (median {middle} mm)"
    return [(Gravity.UNUSUAL, words)]
