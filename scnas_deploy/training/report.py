"""An evaluation as one HTML page for people: no scripts, nothing loaded from elsewhere. Torch-free."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from statistics import median, stdev

from scnas_deploy.training.evaluation import METRICS, CaseScore, Evaluation, Metric, mean_of_known
from scnas_deploy.training.strip_plot import strip_plot

_STYLE = """
:root { color-scheme: light; --ink: #1c2530; --soft: #5b6775; --line: #dde3e9; --dot: #2563a8; --wash: #f5f7f9 }
body { margin: 0; background: var(--wash); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Arial, sans-serif }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 3rem }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.25; overflow-wrap: anywhere }
h2 { margin: 0 0 .6rem; font-size: 1.1rem }
p { margin: .3rem 0; color: var(--soft) }
section { margin-top: 1.5rem; padding: 1.1rem 1.25rem; background: #fff; border: 1px solid var(--line);
  border-radius: 8px; overflow-x: auto }
dl { display: flex; flex-wrap: wrap; gap: .4rem 2.2rem; margin: .9rem 0 0 }
dt { color: var(--soft); font-size: .85rem }
dd { margin: 0; font-weight: 600 }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line) }
th { color: var(--soft); font-weight: 600; font-size: .88rem }
th:first-child, td:first-child { padding-left: 0; text-align: left }
thead tr:first-child th[colspan] { text-align: center }
tbody tr:hover { background: var(--wash) }
tr.mean td { font-weight: 600; border-bottom: 0 }
td small { color: var(--soft); font-size: .88em }
figure { margin: .9rem 0 0 }
figcaption { font-weight: 600; font-size: .95rem }
figcaption small { color: var(--soft); font-weight: 400 }
svg { display: block; width: 100%; height: auto }
svg line { stroke: var(--line) }
svg line.median { stroke: #c2410c; stroke-width: 2 }
svg circle { fill: var(--dot); fill-opacity: .55; stroke: var(--dot); stroke-width: .6 }
svg text { fill: var(--soft); font-size: 11px; text-anchor: middle }
@media print { body { background: #fff } section { break-inside: avoid; border: 0; padding: 0 } }
"""


def to_html(evaluation: Evaluation) -> str:
    """Return the page: what was evaluated, a summary, Dice over cases, and the cases sorted worst first."""
    body = (_heading(evaluation), _summary(evaluation), _plots(evaluation), _cases(evaluation), _notes(evaluation))
    title = f"Evaluation of {escape(evaluation.subject)}"
    head = f'<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n<title>{title}</title>'
    page = f"<head>\n{head}\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{''.join(body)}</main>\n</body>"
    return f'<!DOCTYPE html>\n<html lang="en">\n{page}\n</html>\n'


def _heading(evaluation: Evaluation) -> str:
    facts = {
        "Fold held out": "-" if evaluation.fold is None else str(evaluation.fold),
        "Cases": str(len(evaluation.cases)),
        "Engine": evaluation.engine,
        "Surface Dice tolerance": f"{evaluation.nsd_tolerance_mm:g} mm",
        "Mean foreground Dice": _number("dice", evaluation.mean_foreground()),
    }
    listed = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    return f"<h1>Evaluation of {escape(evaluation.subject)}</h1>\n<dl>{listed}</dl>\n"


def _summary(evaluation: Evaluation) -> str:
    head = [_headers(["Label", *METRICS.values()])]
    rows = [_row([escape(label), *(_spread(metric, evaluation.values(metric, label)) for metric in METRICS)])
            for label in evaluation.labels]  # fmt: skip
    means = [_number(metric, evaluation.mean_foreground(metric)) for metric in METRICS]
    rows.append(_row(["Mean of labels", *means], kind="mean"))
    caption = "<p>Mean &plusmn; standard deviation, median and number of cases in which the score is defined.</p>"
    return _section("Summary", caption + _table(head, rows))


def _plots(evaluation: Evaluation) -> str:
    known = [value for label in evaluation.labels for value in evaluation.values("dice", label) if value is not None]
    start = math.floor(min(known, default=0.0) * 10) / 10
    figures = "".join(_figure(evaluation, label, start=min(start, 0.9)) for label in evaluation.labels)
    return _section("Dice over cases", f"<p>One dot a case; the bar is the median. All axes agree.</p>{figures}")


def _figure(evaluation: Evaluation, label: str, *, start: float) -> str:
    dices = {case.case_id: case.dice[label] for case in evaluation.cases}
    points = {case_id: value for case_id, value in dices.items() if value is not None}
    if not points:
        return f"<figure><figcaption>{escape(label)} <small>in no case</small></figcaption></figure>"
    middle = f"median {median(points.values()):.4f}, worst {min(points.values()):.4f}"
    return (
        f"<figure><figcaption>{escape(label)} <small>{middle}</small></figcaption>{strip_plot(points, start)}</figure>"
    )


def _cases(evaluation: Evaluation) -> str:
    labels = [escape(label) for label in evaluation.labels]
    groups = "".join(f'<th colspan="{len(labels)}">{name}</th>' for name in METRICS.values())
    head = [f"<tr><th></th><th></th>{groups}</tr>", _headers(["Case", "Mean Dice", *labels * len(METRICS)])]
    ranked = sorted(evaluation.cases, key=_rank)
    return _section("Cases, worst first", _table(head, [_case_row(case, evaluation.labels) for case in ranked]))


def _case_row(case: CaseScore, labels: Sequence[str]) -> str:
    scores = [_number(metric, getattr(case, metric)[label]) for metric in METRICS for label in labels]
    return _row([escape(case.case_id), _number("dice", mean_of_known(list(case.dice.values()))), *scores])


def _rank(case: CaseScore) -> tuple[float, str]:
    """Cases by mean Dice; those in which no label occurs come last."""
    mean = mean_of_known(list(case.dice.values()))
    return math.inf if mean is None else mean, case.case_id


def _notes(evaluation: Evaluation) -> str:
    notes = (
        "HD95: the larger of the two directed 95th percentile distances between surfaces, in mm; less is better. "
        "It is undefined where a structure is missing in the mask or in the result.",
        f"NSD: share of both surfaces that lies within {evaluation.nsd_tolerance_mm:g} mm of the other; "
        "0 where a structure is missing in one of mask and result.",
        "A dash stands for an undefined score. Undefined scores count in no mean. For research use only.",
    )
    return _section("How to read this", "".join(f"<p>{note}</p>" for note in notes))


def _spread(metric: Metric, scores: Sequence[float | None]) -> str:
    known = [score for score in scores if score is not None]
    if not known:
        return "-"
    around = f" &plusmn; {_number(metric, stdev(known))}" if len(known) > 1 else ""
    more = f"median {_number(metric, median(known))}, n {len(known)}"
    return f"{_number(metric, mean_of_known(known))}{around}<br><small>{more}</small>"


def _number(metric: Metric, score: float | None) -> str:
    if score is None:
        return "-"
    return f"{score:.2f}" if metric == "hd95_mm" else f"{score:.4f}"


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{content}\n</section>\n"


def _table(head: Iterable[str], rows: Iterable[str]) -> str:
    return f"<table>\n<thead>{''.join(head)}</thead>\n<tbody>\n{''.join(rows)}</tbody>\n</table>"


def _headers(names: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>"


def _row(cells: Iterable[str], *, kind: str = "case") -> str:
    return f'<tr class="{kind}">{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>\n'
