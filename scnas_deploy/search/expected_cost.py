"""What a network costs in expectation, differentiable with respect to the probabilities of its operations.

Legend: T cell types, E edges of a cell, O operations of the space; further axes may stand before them.

Edges are drawn independently of one another. The cost follows the network as it is built (networks/cells.py):
dense convolutions that leave one state are one wider convolution, whose cost is a function of how many they are;
a parameter-free operation runs once for all edges that take it; an input that no edge reads is not projected.
For probabilities that are 0 and 1 the expectation is the cost of that one network.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scnas_deploy.networks.complexity import count
from scnas_deploy.networks.costs import (
    MOST_MERGED,
    SKELETON,
    Costs,
    Place,
    activation_place,
    cell_levels,
    node_channels,
    operation_place,
    projection_places,
    skeleton_place,
    sum_place,
)
from scnas_deploy.networks.genotype import (
    ACTIVATED,
    DILATIONS,
    EDGES,
    NUM_INPUTS,
    NUM_NODES,
    PARAMETER_FREE,
    CellType,
    Operation,
    ScnasArchitecture,
    ScnasCells,
)
from scnas_deploy.types import Shape3

PlaceCost = Callable[[Place], float]
"""What a part costs at its place."""


@dataclass(frozen=True, slots=True)
class FanCosts:
    """Costs of the edges that leave one state, summed over all cells of a type."""

    merged: tuple[float, ...]
    """Of 0, 1, 2, ... dense convolutions as one."""
    each: Mapping[Operation, float]
    """Of every edge with the operation."""
    once: Mapping[Operation, float]
    """Of an operation that runs once, however many edges take it."""
    activation: float
    """Of the LeakyReLU, where any edge takes its result."""
    source: float
    """Of making the state, where any edge reads it."""


class ExpectedCost:
    """Expected cost of a network: a sum over its cells' states.

    Args:
        operations: The space, in the order of the last axis.
        fans: Costs by cell type and state that edges leave.
        sums: Cost of one addition in a node, by cell type.
        fixed: What every network costs.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        fans: Mapping[tuple[CellType, int], FanCosts],
        sums: Mapping[CellType, float],
        fixed: float,
    ) -> None:
        self._operations, self._fans, self._sums, self._fixed = tuple(operations), fans, sums, fixed
        alive = [float(operation is not Operation.ZERO) for operation in operations]
        active = [float(operation in ACTIVATED) for operation in operations]
        self._alive_O, self._active_O = (torch.tensor(flags, dtype=torch.float64) for flags in (alive, active))

    def __call__(self, probability_TEO: Tensor) -> Tensor:
        """Return the expected cost, one number for all of T, E and O."""
        total = torch.full(probability_TEO.shape[:-3], self._fixed, dtype=probability_TEO.dtype)
        for (cell_type, source), fan in self._fans.items():
            edges = [edge for edge, (state, _) in enumerate(EDGES) if state == source]
            total = total + self._fan(fan, probability_TEO[..., list(CellType).index(cell_type), edges, :])
        for cell, cell_type in enumerate(CellType):
            total = total + self._sums[cell_type] * self._num_sums(probability_TEO[..., cell, :, :])
        return total

    def _fan(self, fan: FanCosts, probability_EO: Tensor) -> Tensor:
        """Expected cost of the edges that leave one state."""
        cost = fan.source * any_of(probability_EO @ self._alive_O)
        cost = cost + fan.activation * any_of(probability_EO @ self._active_O)
        for index, operation in enumerate(self._operations):
            chosen_E = probability_EO[..., index]
            if operation is Operation.CONV:
                merged = torch.tensor(fan.merged[: chosen_E.shape[-1] + 1], dtype=chosen_E.dtype)
                cost = cost + (how_many(chosen_E) * merged).sum(-1)
            elif operation in fan.once:
                cost = cost + fan.once[operation] * any_of(chosen_E)
            elif operation in fan.each:
                cost = cost + fan.each[operation] * chosen_E.sum(-1)
        return cost

    def _num_sums(self, probability_EO: Tensor) -> Tensor:
        """Expected number of additions in a cell: each node's edges but one."""
        alive_E = probability_EO @ self._alive_O
        nodes = [[edge for edge, (_, target) in enumerate(EDGES) if target == node] for node in range(NUM_NODES)]
        num_fed = torch.stack([any_of(alive_E[..., edges]) for edges in nodes]).sum(0)
        return alive_E.sum(-1) - num_fed


def any_of(probability_E: Tensor) -> Tensor:
    """Probability that at least one of independent events happens."""
    return 1 - (1 - probability_E).prod(-1)


def how_many(probability_E: Tensor) -> Tensor:
    """Distribution of how many of independent events happen (Poisson binomial): their number plus one entries."""
    distribution = torch.ones((*probability_E.shape[:-1], 1), dtype=probability_E.dtype)
    for chance in torch.split(probability_E, 1, dim=-1):
        none, one_more = distribution * (1 - chance), distribution * chance
        distribution = torch.nn.functional.pad(none, (0, 1)) + torch.nn.functional.pad(one_more, (1, 0))
    return distribution


def one_hot(cells: ScnasCells, operations: Sequence[Operation]) -> Tensor:
    """Probabilities (T, E, O) of one network: 0 and 1."""
    indices = torch.tensor([[operations.index(operation) for operation in cells.of(kind)] for kind in CellType])
    return torch.nn.functional.one_hot(indices, len(operations)).double()


def expected_gmacs(
    operations: Sequence[Operation], stem_channels: int, *, in_channels: int, num_classes: int, patch_size: Shape3
) -> ExpectedCost:
    """Multiply-accumulates of one patch in 10^9, as :func:`scnas_deploy.networks.complexity.count` counts them."""
    skeleton = ScnasArchitecture(cells=SKELETON, stem_channels=stem_channels)
    fixed = count(skeleton, in_channels=in_channels, num_classes=num_classes, patch_size=patch_size).gmacs
    fans = _fans(lambda place: 0.0 if place.part == "projection" else place.gmacs(patch_size), stem_channels)
    return ExpectedCost(operations, fans, dict.fromkeys(CellType, 0.0), fixed)


def expected_ms(operations: Sequence[Operation], stem_channels: int, costs: Costs) -> ExpectedCost:
    """Milliseconds of one patch on the engine that was measured.

    Raises:
        KeyError: If the costs lack a part at this width.
    """
    measured = {entry.place: entry.milliseconds for entry in costs.entries}
    fans = _fans(lambda place: 0.0 if _is_plain_identity(place) else measured[place], stem_channels)
    sums = {
        cell_type: sum(
            measured[sum_place(level, node_channels(stem_channels, level))] for level in cell_levels(cell_type)
        )
        for cell_type in CellType
    }
    every = tuple(Operation)
    of_skeleton = ExpectedCost(every, fans, sums, 0.0)(one_hot(SKELETON, every)).item()
    return ExpectedCost(operations, fans, sums, measured[skeleton_place(stem_channels)] - of_skeleton)


def _is_plain_identity(place: Place) -> bool:
    """The identity at stride one, which is the state itself."""
    return place.part is Operation.IDENTITY and place.from_level == place.level


def _fans(cost: PlaceCost, stem_channels: int) -> dict[tuple[CellType, int], FanCosts]:
    """Costs of all cells of a type at all their levels, by state."""
    return {
        (cell_type, source): _fan(cost, cell_type, source, stem_channels)
        for cell_type in CellType
        for source in range(NUM_INPUTS + NUM_NODES - 1)
    }


def _fan(cost: PlaceCost, cell_type: CellType, source: int, stem_channels: int) -> FanCosts:
    levels = cell_levels(cell_type)
    stride = 2 if cell_type is CellType.REDUCTION and source < NUM_INPUTS else 1

    def total(operation: Operation, number: int = 1) -> float:
        return sum(cost(operation_place(operation, stride, level, stem_channels, number)) for level in levels)

    projections = [projection_places(cell_type, level, stem_channels) for level in levels]
    return FanCosts(
        merged=(0.0, *(total(Operation.CONV, number) for number in range(1, MOST_MERGED + 1))),
        each={operation: total(operation) for operation in DILATIONS},
        once={operation: total(operation) for operation in PARAMETER_FREE},
        activation=sum(cost(activation_place(stride, level, stem_channels)) for level in levels),
        source=sum(cost(places[source]) for places in projections) if source < NUM_INPUTS else 0.0,
    )
