"""The expected cost is the table's sum for one network, its mean over random ones, and differentiable."""

import itertools

import pytest
import torch

from scnas_deploy.networks.complexity import count
from scnas_deploy.networks.costs import (
    SKELETON,
    activation_place,
    node_channels,
    operation_place,
    projection_places,
    skeleton_place,
    sum_place,
)
from scnas_deploy.networks.genotype import DILATIONS, EDGES, LAYOUT, NUM_NODES, PARAMETER_FREE, CellType, Operation
from scnas_deploy.search.expected_cost import any_of, expected_gmacs, expected_ms, how_many, one_hot
from scnas_deploy.search.random import random_architecture
from tests.search.costs import made_up_costs

OPERATIONS = tuple(Operation)
SHAPE = {"in_channels": 1, "num_classes": 3, "patch_size": (24, 32, 24)}


def shape_of(plan):
    return {"in_channels": len(plan.channels), "num_classes": plan.num_classes, "patch_size": plan.patch_size}


def sum_by_hand(cells, stem, costs):
    """Cell by cell and state by state, what networks/cells.py builds."""
    table = {entry.place: entry.milliseconds for entry in costs.entries}
    total, level = 0.0, 0
    for kind in LAYOUT:
        level += {CellType.REDUCTION: 1, CellType.EXPANSION: -1}.get(kind, 0)
        edges = [(source, node, op) for (source, node), op in zip(EDGES, cells.of(kind), strict=True) if op != "zero"]
        for source in range(5):
            stride = 2 if kind is CellType.REDUCTION and source < 2 else 1
            taken = [op for state, _, op in edges if state == source]
            if source < 2 and taken:
                total += table[projection_places(kind, level, stem)[source]]
            if Operation.CONV in taken:
                total += table[operation_place(Operation.CONV, stride, level, stem, taken.count(Operation.CONV))]
            if any(op is Operation.CONV or op in DILATIONS for op in taken):
                total += table[activation_place(stride, level, stem)]
            alone = [op for op in taken if op in DILATIONS] + [op for op in PARAMETER_FREE if op in taken]
            total += sum(table.get(operation_place(op, stride, level, stem), 0.0) for op in alone)
        fed = [sum(target == node for _, target, _ in edges) for node in range(NUM_NODES)]
        total += sum(max(0, number - 1) for number in fed) * table[sum_place(level, node_channels(stem, level))]
    return total


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("operations", [OPERATIONS, (Operation.ZERO, Operation.CONV, Operation.IDENTITY)])
def test_the_cost_of_one_network_is_the_sum_over_its_parts(phantom_plan, seed, operations):
    costs = made_up_costs(phantom_plan, stems=(16,))
    cells = random_architecture(seed, 16, operations).cells
    fixed = next(e.milliseconds for e in costs.entries if e.place == skeleton_place(16)) - sum_by_hand(
        SKELETON, 16, costs
    )
    predicted = expected_ms(operations, 16, costs)(one_hot(cells, operations))
    assert predicted.item() == pytest.approx(fixed + sum_by_hand(cells, 16, costs))


def test_the_skeleton_costs_what_was_measured(phantom_plan):
    costs = made_up_costs(phantom_plan)
    predicted = expected_ms(OPERATIONS, 32, costs)(one_hot(SKELETON, OPERATIONS))
    assert predicted.item() == pytest.approx(20.0 * 32)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("stem", [8, 16])
def test_gmacs_are_exactly_those_that_are_counted(seed, stem):
    architecture = random_architecture(seed, stem)
    predicted = expected_gmacs(OPERATIONS, stem, **SHAPE)(one_hot(architecture.cells, OPERATIONS))
    assert predicted.item() == pytest.approx(count(architecture, **SHAPE).gmacs, rel=1e-12)


@pytest.mark.parametrize("kind", ["gmacs", "ms"])
def test_the_expectation_is_the_mean_over_networks_drawn_at_random(phantom_plan, kind):
    torch.manual_seed(0)
    costs = made_up_costs(phantom_plan, stems=(16,))
    cost = expected_gmacs(OPERATIONS, 16, **SHAPE) if kind == "gmacs" else expected_ms(OPERATIONS, 16, costs)
    probability = torch.softmax(torch.randn(4, 14, 8).double(), dim=-1)
    drawn = torch.multinomial(probability.flatten(0, 1), 20_000, replacement=True).T.reshape(-1, 4, 14)
    values = cost(torch.nn.functional.one_hot(drawn, 8).double())
    assert cost(probability).item() == pytest.approx(values.mean().item(), abs=4 * values.std().item() / 20_000**0.5)


def test_the_gradient_is_that_of_finite_differences(phantom_plan):
    torch.manual_seed(0)
    cost = expected_ms(OPERATIONS, 16, made_up_costs(phantom_plan, stems=(16,)))
    alpha = torch.randn(4, 14, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda alpha: cost(torch.softmax(alpha, -1)), (alpha,), fast_mode=True)


def test_how_many_of_independent_events_happen():
    chances = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    expected = torch.zeros(4, dtype=torch.float64)
    for outcome in itertools.product([0, 1], repeat=3):
        expected[sum(outcome)] += torch.where(torch.tensor(outcome) == 1, chances, 1 - chances).prod()
    torch.testing.assert_close(how_many(chances), expected)
    torch.testing.assert_close(any_of(chances), 1 - expected[0])
