"""An evaluation as one page: what went wrong first, then how good it is, what it looks like, and every case."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Final

from scnas_deploy.pages.page import CHART_SCRIPTS, render
from scnas_deploy.reports.evaluation_agreement import agreements
from scnas_deploy.reports.evaluation_charts import agreement_charts, distribution_charts
from scnas_deploy.reports.evaluation_failures import LOW_DICE, failures
from scnas_deploy.reports.evaluation_tables import agreement_rows, case_rows, mean_row, summary_rows
from scnas_deploy.reports.overlays import Overlay
from scnas_deploy.reports.scores import FEWEST_FOR_QUARTILES, mean_dice, score
from scnas_deploy.training.evaluation import METRICS, Evaluation

ROOM: Final = "scnas_deploy.reports"


def evaluation_page(evaluation: Evaluation, *, overlays: Sequence[Overlay] = ()) -> str:
    """Make the page: one HTML file that needs nothing beside it but the viewer pages that overlays link to.

    Args:
        evaluation: What was scored.
        overlays: Pictures of some of its cases, which only the images and their masks can give.
    """
    listed = failures(evaluation)
    agreed = agreements(evaluation)
    return render(
        "evaluation.html.j2",
        room=ROOM,
        subject=evaluation.subject,
        facts=_facts(evaluation),
        failures=listed,
        num_cases=len(evaluation.cases),
        low_dice=LOW_DICE,
        enough_for_quartiles=len(evaluation.cases) >= FEWEST_FOR_QUARTILES,
        fewest=FEWEST_FOR_QUARTILES,
        metrics=list(METRICS.values()),
        labels=evaluation.labels,
        summary=summary_rows(evaluation, agreed),
        means=mean_row(evaluation),
        distributions=distribution_charts(evaluation, {each.case.case_id for each in listed}),
        agreement_charts=agreement_charts(agreed),
        agreement_rows=agreement_rows(agreed),
        pictures=[_picture(evaluation, overlay) for overlay in overlays],
        colors=[(label.name, label.color) for label in overlays[0].labels] if overlays else [],
        pictured={overlay.case_id: number for number, overlay in enumerate(overlays, 1)},
        cases=case_rows(evaluation),
        tolerance=f"{evaluation.nsd_tolerance_mm:g}",
        scripts=(*CHART_SCRIPTS, "sorting.js"),
    )


def _facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    return [
        ("Fold held out", "-" if evaluation.fold is None else str(evaluation.fold)),
        ("Cases", str(len(evaluation.cases))),
        ("Engine", evaluation.engine),
        ("Surface Dice tolerance", f"{evaluation.nsd_tolerance_mm:g} mm"),
        ("Mean foreground Dice", score("dice", evaluation.mean_foreground())),
    ]


def _picture(evaluation: Evaluation, overlay: Overlay) -> dict[str, Any]:
    case = next(case for case in evaluation.cases if case.case_id == overlay.case_id)
    scores = [
        (label, ", ".join(f"{name} {score(metric, getattr(case, metric)[label])}" for metric, name in METRICS.items()))
        for label in evaluation.labels
    ]
    return {
        "case_id": overlay.case_id,
        "place": overlay.place,
        "mean": score("dice", mean_dice(case)),
        "scores": scores,
        "source": f"data:image/png;base64,{b64encode(overlay.picture).decode()}",
        "link": overlay.link,
    }
