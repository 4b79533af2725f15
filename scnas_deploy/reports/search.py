"""The page of a search: what it decides, what it costs, and what it has found."""

from itertools import accumulate
from typing import Any, Final

from scnas_deploy.networks.genotype import (
    NUM_EDGES,
    NUM_INPUTS,
    NUM_NODES,
    BudgetRecord,
    CellType,
    Genotype,
    ScnasArchitecture,
)
from scnas_deploy.networks.ronasmis_settings import RonasmisArchitecture
from scnas_deploy.pages.page import render
from scnas_deploy.reports import search_charts
from scnas_deploy.reports.search_cells import (
    SHORT_EDGE_NAMES,
    HeatMaps,
    chosen_counts,
    described,
    drawing_of,
    edge_lists,
    heat_maps,
    stage_list,
)
from scnas_deploy.reports.search_data import SearchState
from scnas_deploy.reports.training_charts import loss_charts, resource_charts
from scnas_deploy.reports.training_words import Facts, dice, run_facts, run_scripts, run_values

_ROOM: Final = "scnas_deploy.reports"
_CELL_TYPES: Final = tuple(cell_type.value for cell_type in CellType)
_NODE_ENDS: Final = tuple(accumulate(NUM_INPUTS + node for node in range(NUM_NODES)))
"""Edges after which another node's begin."""


def search_page(state: SearchState, version: str | None = None) -> str:
    """Draw a search as one HTML file.

    Args:
        state: The search at a moment.
        version: What the page's server answers while this state holds; None for a page that stands alone.
    """
    sampled = state.progress.record.space == "ronasmis"
    heat = heat_maps(state.progress, state.operations)
    return render(
        "search.html.j2",
        room=_ROOM,
        scripts=[*run_scripts(version), *([] if sampled else ["heat_maps.js"])],
        **run_values(state.progress, version=version),
        facts=(("Space", state.progress.record.space or "scnas"), *run_facts(state.progress)),
        warnings=state.warnings,
        found=None if state.genotype is None else _found(state.genotype),
        heat=None if heat is None else _heat_values(heat),
        **_charts(state, sampled=sampled),
    )


def _charts(state: SearchState, *, sampled: bool) -> dict[str, Any]:
    progress = state.progress
    unit = "episode" if sampled else "epoch"
    tracks = {"weights' part": progress.track("loss"), "architecture's part": progress.track("architecture_loss")}
    children = {"children": progress.track("loss")}
    return {
        "unit": unit,
        "rewards": search_charts.reward_charts(progress) if sampled else (),
        "decision": () if sampled else search_charts.decision_charts(progress, len(state.operations)),
        "operations": () if sampled else search_charts.operation_charts(progress, state.operations),
        "losses": loss_charts(progress, "Dice loss", children, unit)
        if sampled
        else loss_charts(progress, "Jaccard distance", tracks),
        "budget": search_charts.budget_charts(state),
        "resources": resource_charts(progress, unit),
        "gap": search_charts.gap_chart(state),
        "gap_rows": [(what, dice(value)) for what, value in search_charts.gap_rows(state)],
        "trainings": state.trainings,
    }


def _found(genotype: Genotype) -> dict[str, Any]:
    """What the section of the network found names."""
    architecture = genotype.architecture
    values: dict[str, Any] = {
        "facts": _network_facts(genotype),
        "edges": {},
        "stages": [],
        "counts": {},
        "drawing": None,
        "description": "",
    }
    values |= {"cell_types": _CELL_TYPES, "num_edges": NUM_EDGES}
    if isinstance(architecture, ScnasArchitecture):
        values |= {"edges": edge_lists(architecture.cells), "counts": chosen_counts(architecture.cells)}
    if isinstance(architecture, RonasmisArchitecture):
        values |= {"stages": stage_list(architecture)}
    if isinstance(architecture, ScnasArchitecture | RonasmisArchitecture):
        values |= {"drawing": drawing_of(genotype), "description": described(architecture)}
    return values


def _network_facts(genotype: Genotype) -> Facts:
    known = [
        ("Channels", str(genotype.architecture.stem_channels)),
        ("GMAC a patch", "-" if genotype.gmacs is None else f"{genotype.gmacs:.3g}"),
        ("Parameters", "-" if genotype.num_parameters is None else f"{genotype.num_parameters:,}"),
    ]
    entropy = genotype.provenance.final_entropy
    if entropy is not None:
        known.append(("Entropy at the end", f"{entropy:.2f} nats"))
    return (*known, *(_budget_facts(genotype.budget) if genotype.budget else ()))


def _budget_facts(budget: BudgetRecord) -> Facts:
    def amount(value: float) -> str:
        return search_charts.budget_amount(budget.kind, value)

    how = "counted" if budget.engine is None else f"on {budget.engine}"
    return (
        ("Budget", amount(budget.limit)),
        ("Predicted", amount(budget.predicted)),
        (
            f"Measured, {how}",
            f"{amount(budget.measured)}, {'within' if budget.measured <= budget.limit else 'over'} the budget",
        ),
    )


def _heat_values(heat: HeatMaps) -> dict[str, Any]:
    return {
        "operations": heat.operations,
        "cell_types": _CELL_TYPES,
        "edges": SHORT_EDGE_NAMES,
        "node_ends": _NODE_ENDS,
        "epochs": heat.epochs,
        "last": heat.frames[-1],
        "embedded": heat.embedded,
    }
