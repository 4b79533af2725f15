"""Charts of a search: how it decides, what it costs, and what the hand-over loses."""

import math
from collections.abc import Sequence
from typing import Any, Final

from scnas_deploy.drawing.cells import COLORS
from scnas_deploy.networks.genotype import CellType, Operation
from scnas_deploy.pages.charts import Chart
from scnas_deploy.reports.search_cells import operation_name
from scnas_deploy.reports.search_data import SearchState
from scnas_deploy.reports.training_charts import Lines, drawn, lines_chart
from scnas_deploy.reports.training_run import RunProgress
from scnas_deploy.reports.training_words import size

_ZERO_COLOR: Final = "#d6dde4"
_COLLAPSE: Final = 0.5
"""Share of edges from which the search warns of a collapse."""

_BUDGETS: Final = {"gmacs": ("GMAC", 1.0), "bytes": ("MB", 1e-6), "ms": ("ms", 1.0)}
"""Unit, and what a figure is multiplied with for it."""


def decision_charts(progress: RunProgress, num_operations: int) -> tuple[Chart, ...]:
    """Entropy, temperature, and what the edges do."""
    undecided = math.log(num_operations)
    return drawn(
        lines_chart(
            Lines(
                name="entropy",
                title="Entropy of the decisions",
                note=f"Mean over the edges' softmax of alpha: ln {num_operations} is undecided, 0 decided.",
                tracks={"entropy": progress.track("alpha_entropy")},
                y_title="nats",
                from_zero=True,
                limit=(undecided, "undecided"),
            )
        ),
        lines_chart(
            Lines(
                name="temperature",
                title="Temperature of the draws",
                tracks={"temperature": progress.track("tau")},
                y_title="temperature",
                from_zero=True,
            )
        ),
        lines_chart(
            Lines(
                name="edges",
                title="Strongest operations",
                note="Unchanged: as the epoch before. No gradient: drawn without an alternative.",
                tracks={
                    "unchanged": progress.track("unchanged_fraction")[1:],
                    "identity strongest": progress.track("identity_fraction"),
                    "zero strongest": progress.track("zero_fraction"),
                    "no gradient": progress.track("edges_without_alpha_gradient"),
                },
                y_title="% of the edges",
                scale=100,
                from_zero=True,
                limit=(100 * _COLLAPSE, "collapse"),
            )
        ),
    )


def operation_charts(progress: RunProgress, operations: Sequence[Operation]) -> tuple[Chart, ...]:
    """Mean softmax of alpha over each cell type's edges."""
    known = [epoch for epoch in progress.epochs if epoch.get("probability")]
    if not known:
        return ()
    return tuple(_areas(cell_type, known, operations) for cell_type in CellType)


def _areas(cell_type: CellType, epochs: Sequence[dict[str, Any]], operations: Sequence[Operation]) -> Chart:
    names = [operation_name(op) for op in operations]
    values = [
        {"epoch": epoch["epoch"] + 1, "operation": name, "place": place, "share": round(100 * shares[op.value], 2)}
        for epoch in epochs
        for shares in [epoch["probability"][cell_type.value]]
        for place, (op, name) in enumerate(zip(operations, names, strict=True))
    ]
    color = {
        "field": "operation",
        "scale": {"domain": names, "range": [COLORS.get(op, _ZERO_COLOR) for op in operations]},
        "legend": {"orient": "top", "title": None, "columns": 4, "symbolType": "square"},
    }
    spec = {
        "height": 170,
        "data": {"values": values},
        "mark": {"type": "bar", "strokeWidth": 0},
        "encoding": {
            "x": {
                "field": "epoch",
                "type": "ordinal",
                "scale": {"padding": 0},
                "axis": {"labelOverlap": True, "labelAngle": 0, "ticks": False},
            },
            "y": {"field": "share", "type": "quantitative", "title": "% of the softmax", "scale": {"domain": [0, 100]}},
            "color": color,
            "order": {"field": "place"},
            "tooltip": [{"field": "epoch"}, {"field": "operation"}, {"field": "share", "title": "%"}],
        },
    }
    last = epochs[-1]["probability"][cell_type.value]
    shares = ", ".join(f"{name} {100 * last[op.value]:.0f} %" for op, name in zip(operations, names, strict=True))
    title = f"{cell_type.value.capitalize()} cell"
    words = f"{title}: mean softmax of alpha over its edges, by epoch. In epoch {epochs[-1]['epoch'] + 1}: {shares}."
    return Chart(f"operations-{cell_type.value}", title, spec, words)


def budget_charts(state: SearchState) -> tuple[Chart, ...]:
    """Cost over time against its limit; none of a search without a budget."""
    budget, progress = state.budget, state.progress
    if budget is None:
        return ()
    unit, scale = _BUDGETS[budget["kind"]]
    limit = scale * budget["limit"]
    return drawn(
        lines_chart(
            Lines(
                name="cost",
                title="Cost of the network, one patch",
                note=f"At {budget['stem_channels']} channels. Limit: {limit:g} {unit}.",
                tracks={
                    "strongest operations": progress.track("strongest_cost"),
                    "expected of the softmax": progress.track("expected_cost"),
                },
                y_title=unit,
                scale=scale,
                from_zero=True,
                limit=(limit, f"limit {limit:g}"),
            )
        ),
        lines_chart(
            Lines(
                name="multiplier",
                title="Multiplier of the constraint",
                note="Rises while the strongest operations cost too much.",
                tracks={"multiplier": progress.track("multiplier")},
                y_title="multiplier",
                from_zero=True,
            )
        ),
    )


def budget_amount(kind: str, value: float) -> str:
    """A cost with its unit."""
    return size(value) if kind == "bytes" else f"{value:.3g} {_BUDGETS[kind][0]}"


def reward_charts(progress: RunProgress) -> tuple[Chart, ...]:
    """Of a search by a controller."""
    return drawn(
        lines_chart(
            Lines(
                name="rewards",
                title="Rewards of the children",
                note="Mean Dice of whole volumes of the reward's cases.",
                tracks={
                    "best child": progress.track("best_reward"),
                    "mean": progress.track("mean_reward"),
                    "baseline": progress.track("baseline"),
                },
                y_title="Dice",
                unit="episode",
            )
        ),
        lines_chart(
            Lines(
                name="controller",
                title="Entropy of the controller's decisions",
                tracks={"entropy": progress.track("controller_entropy")},
                y_title="nats",
                unit="episode",
                from_zero=True,
            )
        ),
    )


def gap_chart(state: SearchState) -> Chart | None:
    """Supernet, derived and retrained Dice as bars; None where nothing was measured."""
    rows = gap_rows(state)
    known = [(what, value) for what, value in rows if value is not None]
    if not known:
        return None
    names = [what for what, _ in known]
    y = {"field": "network", "type": "nominal", "sort": names, "title": None, "axis": {"labelLimit": 320}}
    bars = {
        "x": {
            "field": "dice",
            "type": "quantitative",
            "title": "mean foreground Dice",
            "scale": {"domain": [0, 1]},
            "axis": {"tickCount": 6},
        }
    }
    layers = [
        {"mark": {"type": "bar", "color": "#1d5a9c", "height": {"band": 0.62}}, "encoding": bars},
        {
            "mark": {"type": "text", "align": "left", "dx": 5, "color": "#1c2530"},
            "encoding": {**bars, "text": {"field": "dice", "format": ".4f"}},
        },
    ]
    values = [{"network": what, "dice": value} for what, value in known]
    spec = {"height": 32 * len(known), "data": {"values": values}, "encoding": {"y": y}, "layer": layers}
    words = "; ".join(f"{what} {value:.4f}" for what, value in known)
    return Chart("gap", "From the supernet to the trained network", spec, f"Mean foreground Dice: {words}.")


def gap_rows(state: SearchState) -> list[tuple[str, float | None]]:
    """Networks from the search to its trainings, and their mean foreground Dice."""
    if state.genotype is None:
        return []
    found = state.genotype.provenance
    return [
        ("supernet", found.supernet_dice),
        ("derived, with shared weights", found.derived_dice),
        *((f"retrained in {training.run}", training.dice) for training in state.trainings),
    ]
