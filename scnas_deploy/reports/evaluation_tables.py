"""Rows of an evaluation's tables, as text."""

from collections.abc import Iterator
from dataclasses import dataclass

from scnas_deploy.reports.evaluation_agreement import Agreement
from scnas_deploy.reports.scores import mean_dice, ml, score, spread, worst_first
from scnas_deploy.training.evaluation import METRICS, Evaluation


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One label: mean and spread, and median and number, of each metric and of the volumes' difference."""

    label: str
    cells: tuple[tuple[str, str], ...]


def summary_rows(evaluation: Evaluation, agreements: list[Agreement]) -> list[SummaryRow]:
    """Return a row a label."""
    return [
        SummaryRow(
            label,
            (*(spread(metric, evaluation.values(metric, label)) for metric in METRICS), _bias(agreement)),
        )
        for label, agreement in zip(evaluation.labels, agreements, strict=True)
    ]


def mean_row(evaluation: Evaluation) -> list[str]:
    """Return the means over labels of their means."""
    return [score(metric, evaluation.mean_foreground(metric)) for metric in METRICS]


def _bias(agreement: Agreement) -> tuple[str, str]:
    if agreement.bias_ml is None or not agreement.mean_true_ml:
        return ("-" if agreement.bias_ml is None else f"{ml(agreement.bias_ml, sign=True)} ml"), ""
    share = 100 * agreement.bias_ml / agreement.mean_true_ml
    return f"{ml(agreement.bias_ml, sign=True)} ml", f"{share:+.1f} % of {ml(agreement.mean_true_ml)} ml"


def agreement_rows(agreements: list[Agreement]) -> list[list[str]]:
    """Return label, number of cases, mean true volume, bias, standard deviation and limits of agreement."""
    return [list(_agreement_row(agreement)) for agreement in agreements]


def _agreement_row(agreement: Agreement) -> Iterator[str]:
    yield from (agreement.label, str(len(agreement.pairs)))
    yield "-" if agreement.mean_true_ml is None else ml(agreement.mean_true_ml)
    yield "-" if agreement.bias_ml is None else ml(agreement.bias_ml, sign=True)
    yield "-" if agreement.sd_ml is None else ml(agreement.sd_ml)
    limits = agreement.limits_ml
    yield "-" if limits is None else f"{ml(limits[0], sign=True)} to {ml(limits[1], sign=True)}"


def case_rows(evaluation: Evaluation) -> list[tuple[str, list[str]]]:
    """Return each case with its mean Dice and all scores, the worst first."""
    return [
        (
            case.case_id,
            [
                score("dice", mean_dice(case)),
                *(score(metric, getattr(case, metric)[label]) for metric in METRICS for label in evaluation.labels),
            ],
        )
        for case in worst_first(evaluation.cases)
    ]
