"""A budget: what the deployed network may cost, as a constraint on the search.

The search runs a narrow supernet; the budget speaks of the network at the width at which it is trained and deployed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal

import torch
from torch import Tensor

from scnas_deploy.data.plan import Plan
from scnas_deploy.errors import ConfigError
from scnas_deploy.networks.costs import Costs
from scnas_deploy.networks.genotype import EDGES, NUM_EDGES, NUM_INPUTS, CellType, Operation
from scnas_deploy.search.expected_cost import expected_gmacs, expected_ms
from scnas_deploy.search.peak_bytes import ExpectedPeakBytes

Kind = Literal["gmacs", "bytes", "ms"]

UNITS: Final[dict[Kind, str]] = {"gmacs": "GMAC", "bytes": "bytes", "ms": "ms"}

STEMS: Final = (16, 32, 64, 96, 128)
"""Widths to choose from: node widths 4, 8, 16, 24 and 32 fill vector lanes (8 in AVX2, 16 in AVX-512)."""

CostFunction = Callable[[Tensor], Tensor]
"""Expected cost of probabilities (..., T, E, O)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What the network may cost for one patch."""

    kind: Kind
    limit: float
    """In 10^9 multiply-accumulates, bytes or milliseconds."""
    stem_channels: int
    """Width at which the search keeps the limit."""
    wider: tuple[int, ...] = ()
    """Widths to take instead if what was found keeps the limit there as well."""

    def __str__(self) -> str:
        """The limit with its unit."""
        return f"{self.limit:g} {UNITS[self.kind]}"


def cost_function(
    kind: Kind, operations: Sequence[Operation], stem_channels: int, plan: Plan, costs: Costs | None
) -> CostFunction:
    """The expected cost of a network of some width on the plan's patch.

    Args:
        kind: What is counted.
        operations: The space, in the order of the last axis.
        stem_channels: Width of the network.
        plan: Patch size, channels and classes.
        costs: What was measured, for milliseconds.
    """
    in_channels, patch_size = len(plan.channels), plan.patch_size
    if kind == "ms":
        assert costs is not None
        return expected_ms(operations, stem_channels, costs)
    if kind == "bytes":
        return ExpectedPeakBytes(operations, stem_channels, in_channels=in_channels, patch_size=patch_size)
    shape = {"in_channels": in_channels, "num_classes": plan.num_classes}
    return expected_gmacs(operations, stem_channels, **shape, patch_size=patch_size)


def make_budget(
    kind: Kind, limit: float, stems: Sequence[int], operations: Sequence[Operation], plan: Plan, costs: Costs | None
) -> Budget:
    """Choose the width to search for: the one whose average network comes nearest to the limit.

    Args:
        kind: What is counted.
        limit: The most of it.
        stems: Widths to choose from, in any order.
        operations: The space.
        plan: Patch size, channels and classes.
        costs: What was measured, for milliseconds.

    Raises:
        ConfigError: If the cheapest network of the narrowest width costs more than the limit.
    """
    functions = {stem: cost_function(kind, operations, stem, plan, costs) for stem in sorted(stems)}
    ranges = {stem: cost_range(function, operations) for stem, function in functions.items()}
    possible = [stem for stem, (lowest, _) in ranges.items() if lowest <= limit]
    if not possible:
        lowest, highest = min(low for low, _ in ranges.values()), max(high for _, high in ranges.values())
        raise ConfigError(
            f"--budget-{kind}",
            expected=f"between {lowest:.3g} and {highest:.3g} {UNITS[kind]}, what networks of this space cost "
            f"at {min(ranges)} to {max(ranges)} channels",
            found=f"{limit:g}",
            remedy="Raise the budget, or allow narrower networks",
        )
    average = torch.full((len(CellType), NUM_EDGES, len(operations)), 1 / len(operations), dtype=torch.float64)
    chosen = min(possible, key=lambda stem: abs(float(functions[stem](average).log()) - torch.tensor(limit).log()))
    return Budget(kind=kind, limit=limit, stem_channels=chosen, wider=tuple(stem for stem in possible if stem > chosen))


def cost_range(cost: CostFunction, operations: Sequence[Operation]) -> tuple[float, float]:
    """Cost of the cheapest network of the space, and of the dearest whose edges are all alike."""
    alike = torch.eye(len(operations), dtype=torch.float64)[:, None, None, :]
    dearest = cost(alike.expand(-1, len(CellType), NUM_EDGES, -1)).max().item()
    return cost(cheapest(cost, operations)).item(), dearest


def cheapest(cost: CostFunction, operations: Sequence[Operation]) -> Tensor:
    """Probabilities (T, E, O), 0 and 1, of the cheapest network.

    All edges of the cheapest operation, and in each cell the one edge from an input that keeps it alive most cheaply.
    """
    eye = torch.eye(len(operations), dtype=torch.float64)
    alive = [index for index, operation in enumerate(operations) if operation is not Operation.ZERO]
    idle = operations.index(Operation.ZERO) if Operation.ZERO in operations else alive[0]
    network = eye[idle].expand(len(CellType), NUM_EDGES, -1).clone()
    from_inputs = [edge for edge, (source, _) in enumerate(EDGES) if source < NUM_INPUTS]
    for cell in range(len(CellType)):
        candidates = []
        for edge, index in product(from_inputs, alive):
            candidate = network.clone()
            candidate[cell, edge] = eye[index]
            candidates.append(candidate)
        stacked = torch.stack(candidates)
        network = stacked[int(cost(stacked).argmin())]
    return network


class Constraint:
    """Keeps the cost below a limit: an augmented Lagrangian whose multiplier rises while it is violated.

    With excess g = cost / limit - 1 and multiplier m >= 0, the penalty is (max(0, m + g)^2 - m^2) / 2 and m becomes
    max(0, m + r g), where r brings it from 0 to 10 in a whole search at twice the limit.

    The value of g is that of the strongest operations, which will be derived, its gradient that of the expected cost
    (straight-through): probabilities stay spread for long, and their mean says little about the network that a limit
    is for. The constraint sets in after a quarter of the steps. Before, all edges are nearly alike, and it would turn
    them all away from the costly operations at once.

    Args:
        cost: Expected cost of probabilities.
        limit: The most it may be.
        num_steps: Steps of the whole search.

    Reference:
        Nocedal and Wright, Numerical Optimization, 2006, section 17.3 (the method); the rest is ours to choose.
    """

    def __init__(self, cost: CostFunction, limit: float, num_steps: int) -> None:
        self._cost, self._limit, self._rate, self._first_step = cost, limit, 10 / num_steps, num_steps // 4
        self.multiplier = 0.0
        self.was_violated = False
        """Whether the strongest operations have cost too much since the constraint set in."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"multiplier": self.multiplier, "was_violated": self.was_violated}

    def restore(self, state: dict[str, Any]) -> None:
        """Load what :meth:`state` gave."""
        self.multiplier, self.was_violated = state["multiplier"], state["was_violated"]

    def record(self, alpha_TEO: Tensor) -> dict[str, float]:
        """Expected cost, that of the strongest operations, and the multiplier, for an epoch's figures."""
        expected, strongest = self._costs(alpha_TEO.detach())
        return {"expected_cost": expected.item(), "strongest_cost": strongest.item(), "multiplier": self.multiplier}

    def penalty(self, alpha_TEO: Tensor, step: int) -> Tensor:
        """What to add to the architecture's loss in a step; the multiplier moves on."""
        if step < self._first_step:
            return torch.zeros(())
        expected, strongest = self._costs(alpha_TEO)
        excess = (strongest + expected - expected.detach()) / self._limit - 1
        penalty = (torch.clamp(self.multiplier + excess, min=0) ** 2 - self.multiplier**2) / 2
        self.multiplier = max(0.0, self.multiplier + self._rate * excess.item())
        self.was_violated = self.was_violated or excess.item() > 0
        return penalty.float()

    def _costs(self, alpha_TEO: Tensor) -> tuple[Tensor, Tensor]:
        """Cost expected of the architecture parameters' softmax, and cost of their strongest operations."""
        strongest = torch.nn.functional.one_hot(alpha_TEO.detach().argmax(-1), alpha_TEO.shape[-1]).double()
        return self._cost(torch.softmax(alpha_TEO.double(), dim=-1)), self._cost(strongest)
