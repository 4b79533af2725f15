"""From architecture parameters to cells and a width that keep a budget, measured on the whole network."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from math import inf, isclose
from typing import Final

import torch
from torch import Tensor

from scnas_deploy.data.plan import Plan
from scnas_deploy.export.op_costs import Measuring, Pace, measure_network
from scnas_deploy.networks.complexity import count, peak_activation_bytes
from scnas_deploy.networks.costs import Costs
from scnas_deploy.networks.genotype import (
    EDGES,
    BudgetRecord,
    CellType,
    Operation,
    ScnasArchitecture,
    ScnasCells,
    is_connected,
)
from scnas_deploy.search.budget import Budget, CostFunction, cheapest, cost_function
from scnas_deploy.search.derivation import derive_cells
from scnas_deploy.search.expected_cost import one_hot

MOST_ROUNDS: Final = 8
"""Networks that are measured at most."""
WASTED: Final = 0.05
"""Part of the budget that a network which gave up operations for it may leave unused."""
_FURTHER: Final = 1.1
_NARROW: Final = 0.01
"""Of the limit: between aims that close no other network lies."""


def fit_budget(
    alpha_TEO: Tensor,
    operations: tuple[Operation, ...],
    budget: Budget,
    plan: Plan,
    costs: Costs | None,
    *,
    spend: bool,
) -> tuple[ScnasArchitecture, BudgetRecord]:
    """Derive the likeliest network that keeps the budget.

    The strongest operations, at the widest width at which they are predicted to keep it; where they keep it at none,
    the likeliest cells that do so at the width the search was for. The network is measured, and where the prediction
    was off, corrected by the factor and derived again.

    Args:
        alpha_TEO: Architecture parameters.
        operations: The space.
        budget: The limit and the widths.
        plan: Patch size, channels and classes.
        costs: What was measured, for milliseconds.
        spend: Whether the budget has held the search back: it then pulls alpha below the limit, and what the
            strongest operations leave of it at the width of the search is given to the costlier ones that come next.
    """
    strongest = derive_cells(alpha_TEO, operations)
    wider = () if spend else budget.wider
    stem, cost = _widest(strongest, operations, dataclasses.replace(budget, wider=wider), plan, costs)
    aim, measure = _Aim(budget.limit), meter(budget, plan, costs)
    tried: list[tuple[ScnasArchitecture, float, float]] = []
    for _ in range(MOST_ROUNDS):
        cells = fit_cells(alpha_TEO, operations, cost, aim.predicted, spend=spend)
        architecture = ScnasArchitecture(cells=cells, stem_channels=stem)
        known = next((each for each in tried if each[0] == architecture), None)
        if known is None:
            predicted = cost(one_hot(cells, operations)).item()
            known = (architecture, predicted, measure(architecture))
            tried.append(known)
        _, predicted, measured = known
        kept = measured <= budget.limit
        if kept and (cells == strongest or measured >= (1 - WASTED) * budget.limit):
            break
        if not aim.correct(predicted, measured):
            break
    architecture, predicted, measured = min(
        tried, key=lambda each: (each[2] > budget.limit, abs(each[2] - budget.limit))
    )
    engine = costs.engine if budget.kind == "ms" and costs is not None else None
    return architecture, BudgetRecord(
        kind=budget.kind, limit=budget.limit, predicted=round(predicted, 4), measured=round(measured, 4), engine=engine
    )


@dataclasses.dataclass
class _Aim:
    """The predicted cost at which the measured one comes closest to the limit, narrowed down from both sides."""

    limit: float
    kept: float = 0.0
    """The highest that was aimed at and kept the limit."""
    exceeded: float = inf
    """The lowest that was aimed at and did not."""

    def __post_init__(self) -> None:
        self.predicted = self.limit

    def correct(self, predicted: float, measured: float) -> bool:
        """Aim anew, as if the prediction were off by a factor, but between what is known; whether that is worth it."""
        if measured <= self.limit:
            self.kept = max(self.kept, self.predicted)
        else:
            self.exceeded = min(self.exceeded, self.predicted)
        aim = self.limit * predicted / measured
        if not self.kept < aim < self.exceeded:
            aim = (self.kept + self.exceeded) / 2 if self.exceeded < inf else _FURTHER * self.kept
        self.predicted = aim
        exact = isclose(predicted, measured, rel_tol=1e-6)
        return not exact and self.exceeded - self.kept > _NARROW * self.limit


def meter(budget: Budget, plan: Plan, costs: Costs | None) -> Callable[[ScnasArchitecture], float]:
    """What a network costs as a whole: counted, or timed as exported on the engine of the costs and at their pace."""
    shape = {"in_channels": len(plan.channels), "num_classes": plan.num_classes, "patch_size": plan.patch_size}
    if budget.kind == "gmacs":
        return lambda architecture: count(architecture, **shape).gmacs  # type: ignore[arg-type]
    if budget.kind == "bytes":
        return lambda architecture: peak_activation_bytes(architecture, **shape)  # type: ignore[arg-type]
    assert costs is not None
    measuring = Measuring(engine=costs.engine_name, num_threads=costs.num_threads)
    pace = Pace.of(costs, plan)
    return lambda architecture: measure_network(measuring, architecture, plan, pace)


def fit_cells(
    alpha_TEO: Tensor, operations: tuple[Operation, ...], cost: CostFunction, limit: float, *, spend: bool
) -> ScnasCells:
    """Cells of high probability that keep a limit: the strongest operations where they do.

    Otherwise greedily: as long as the cells cost too much, the change that gives up the least log-probability for
    what it saves; then every change that regains probability and still fits. A change is another operation on one
    edge or on all edges that leave one state, for these are computed together.

    Args:
        alpha_TEO: Architecture parameters.
        operations: The space.
        cost: Expected cost of probabilities.
        limit: The most they may cost. Where nothing keeps it, the cheapest cells are returned.
        spend: Whether to go on to the limit, by the changes that give up the least log-probability for what they add.
    """
    log_probability = torch.log_softmax(alpha_TEO.detach().double(), dim=-1)
    cells = one_hot(derive_cells(alpha_TEO, operations), operations)
    changes = list(_changes(len(operations)))
    while (now := cost(cells).item()) > limit:
        neighbours = _neighbours(cells, changes, operations)
        saved = now - cost(neighbours)
        given_up = (log_probability * (cells - neighbours)).sum((-3, -2, -1))
        price = torch.where(saved > 0, given_up / saved, torch.inf)
        if not torch.isfinite(price).any():
            return _cells(cheapest(cost, operations), operations)
        cells = neighbours[int(price.argmin())]
    while True:
        neighbours = _neighbours(cells, changes, operations)
        gain = (log_probability * (neighbours - cells)).sum((-3, -2, -1))
        gain = torch.where(cost(neighbours) <= limit, gain, -torch.inf)
        if gain.max() <= 0:
            break
        cells = neighbours[int(gain.argmax())]
    return _cells(_spend(cells, log_probability, operations, cost, limit) if spend else cells, operations)


def _spend(
    cells: Tensor, log_probability: Tensor, operations: tuple[Operation, ...], cost: CostFunction, limit: float
) -> Tensor:
    """Costlier cells that still keep the limit, by the changes that give up the least for what they add."""
    changes = list(_changes(len(operations)))
    while (now := cost(cells).item()) < (1 - WASTED / 2) * limit:
        neighbours = _neighbours(cells, changes, operations)
        costs = cost(neighbours)
        given_up = (log_probability * (cells - neighbours)).sum((-3, -2, -1))
        fits = (costs > now) & (costs <= limit)
        if not fits.any():
            break
        cells = neighbours[int(torch.where(fits, given_up / (costs - now), torch.inf).argmin())]
    return cells


def _changes(num_operations: int) -> Iterator[tuple[int, list[int], int]]:
    """(cell type, edges, operation) of every change."""
    groups = [[edge] for edge in range(len(EDGES))]
    sources = sorted({source for source, _ in EDGES})
    groups += [[edge for edge, (state, _) in enumerate(EDGES) if state == source] for source in sources]
    for cell in range(len(CellType)):
        for edges in groups:
            for index in range(num_operations):
                yield cell, edges, index


def _neighbours(
    cells_TEO: Tensor, changes: Sequence[tuple[int, list[int], int]], operations: tuple[Operation, ...]
) -> Tensor:
    """All networks one change away of which every cell is still alive."""
    found = cells_TEO.repeat(len(changes), 1, 1, 1)
    for network, (cell, edges, index) in zip(found, changes, strict=True):
        network[cell, edges] = torch.eye(len(operations), dtype=torch.float64)[index]
    alive = [
        is_connected(_cell(network[cell], operations)) for network, (cell, _, _) in zip(found, changes, strict=True)
    ]
    return found[torch.tensor(alive)]


def _cell(cell_EO: Tensor, operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    return tuple(operations[index] for index in cell_EO.argmax(-1).tolist())


def _cells(cells_TEO: Tensor, operations: tuple[Operation, ...]) -> ScnasCells:
    cells = {kind.value: _cell(cell, operations) for kind, cell in zip(CellType, cells_TEO, strict=True)}
    return ScnasCells(**cells)


def _widest(
    cells: ScnasCells, operations: tuple[Operation, ...], budget: Budget, plan: Plan, costs: Costs | None
) -> tuple[int, CostFunction]:
    """The widest width at which cells keep the budget, else the one the search was for; and its costs."""
    for stem in sorted(budget.wider, reverse=True):
        cost = cost_function(budget.kind, operations, stem, plan, costs)
        if cost(one_hot(cells, operations)).item() <= budget.limit:
            return stem, cost
    return budget.stem_channels, cost_function(budget.kind, operations, budget.stem_channels, plan, costs)
