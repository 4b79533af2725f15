"""A cross-validation as one page: each fold's Dice, how far folds differ, and what network each has found."""

from collections.abc import Mapping
from typing import Any, Final

from scnas_deploy.pages.figures import duration
from scnas_deploy.pages.page import CHART_SCRIPTS, render
from scnas_deploy.reports.evaluation import ROOM
from scnas_deploy.reports.fold_charts import case_charts, fold_chart
from scnas_deploy.reports.fold_networks import FoldRun, agreement_percent, network_rows
from scnas_deploy.reports.scores import score
from scnas_deploy.training.cross_validation import CrossValidation, FoldResult, Spread

_NOTHING: Final[Mapping[str, FoldRun]] = {}


def cross_validation_page(report: CrossValidation, *, runs: Mapping[str, FoldRun] = _NOTHING) -> str:
    """Make the page.

    Args:
        report: Of the folds that have ended.
        runs: Name of a fold's training run -> what it has left (``fold_networks.fold_runs`` reads it). With it, the
            page has each case's Dice and each fold's network.
    """
    labels = list(report.dice)
    chart = fold_chart(report)
    return render(
        "folds.html.j2",
        room=ROOM,
        facts=_facts(report),
        failures=report.failures,
        leaking=[result.run for result in report.results if result.searched_on == "another fold's cases"],
        labels=labels,
        rows=[_row(result, labels) for result in report.results],
        spreads=_spreads(report),
        charts=[] if chart is None else [chart],
        case_charts=case_charts(report, runs),
        networks=network_rows(report, runs),
        agreement=agreement_percent(runs),
        scripts=CHART_SCRIPTS,
    )


def _facts(report: CrossValidation) -> list[tuple[str, str]]:
    mean = report.mean_foreground_dice
    around = "" if mean.standard_deviation is None else f" ± {score('dice', mean.standard_deviation)}"
    folds = {result.fold for result in report.results}
    return [
        ("Folds finished", str(len(folds))),
        ("Runs finished", str(len(report.results))),
        ("Failed", str(len(report.failures))),
        ("Mean foreground Dice", f"{score('dice', mean.mean)}{around}"),
        ("Time of search and training", duration(sum(result.seconds for result in report.results))),
    ]


def _row(result: FoldResult, labels: list[str]) -> dict[str, Any]:
    return {
        "fold": f"Fold {result.fold}, seed {result.seed}",
        "searched_on": result.searched_on,
        "cells": [
            str(result.num_cases),
            *(score("dice", result.dice.get(label)) for label in labels),
            score("dice", result.mean_foreground_dice),
            duration(result.seconds),
        ],
    }


def _spreads(report: CrossValidation) -> list[tuple[str, list[str]]]:
    """Mean and standard deviation over folds, as rows."""
    spreads: list[Spread] = [*report.dice.values(), report.mean_foreground_dice]
    return [
        ("Mean over folds", [score("dice", spread.mean) for spread in spreads]),
        ("Standard deviation", [score("dice", spread.standard_deviation) for spread in spreads]),
    ]
