"""Two evaluations of the same cases as one page: what differs, how surely, and in which cases."""

from scnas_deploy.pages.page import CHART_SCRIPTS, render
from scnas_deploy.reports.comparison_charts import difference_charts, scatter_charts
from scnas_deploy.reports.comparison_rows import FOREGROUND, changed_cases, difference_rows, newly_failed
from scnas_deploy.reports.evaluation import ROOM
from scnas_deploy.training.comparison import Comparison, compare
from scnas_deploy.training.evaluation import METRICS, Evaluation


def comparison_page(a: Evaluation, b: Evaluation) -> str:
    """Make the page of evaluation b against evaluation a.

    Raises:
        DataError: If they share no case, or differ in labels, in the tolerance of NSD or in a case's mask.
    """
    compared = compare(a, b)
    rows = difference_rows(compared)
    return render(
        "comparison.html.j2",
        room=ROOM,
        subjects=(a.subject, b.subject),
        facts=_facts(compared, a, b),
        verdicts=[(METRICS[row.metric], row) for row in rows if row.label == FOREGROUND],
        newly_failed=(newly_failed(a, b), newly_failed(b, a)),
        left_out=(compared.left_out_a, compared.left_out_b),
        rows=[(METRICS[row.metric], row) for row in rows],
        differences=difference_charts(rows),
        scatters=scatter_charts(a, b),
        changed=changed_cases(a, b),
        tolerance=f"{a.nsd_tolerance_mm:g}",
        scripts=CHART_SCRIPTS,
    )


def _facts(compared: Comparison, a: Evaluation, b: Evaluation) -> list[tuple[str, str]]:
    return [
        ("A", f"{a.subject}, fold {_fold(a)}, {a.engine}"),
        ("B", f"{b.subject}, fold {_fold(b)}, {b.engine}"),
        ("Cases in both", str(compared.num_cases)),
        ("Surface Dice tolerance", f"{compared.nsd_tolerance_mm:g} mm"),
    ]


def _fold(evaluation: Evaluation) -> str:
    return "-" if evaluation.fold is None else str(evaluation.fold)
