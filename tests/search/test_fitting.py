"""What is derived keeps the budget and gives up as little as it can."""

from types import SimpleNamespace

import pytest
import torch

from scnas_deploy.networks.complexity import count, peak_activation_bytes
from scnas_deploy.networks.genotype import CellType, Operation
from scnas_deploy.search import fitting
from scnas_deploy.search.budget import Budget, cost_function, cost_range
from scnas_deploy.search.derivation import derive_cells
from scnas_deploy.search.expected_cost import one_hot
from scnas_deploy.search.fitting import fit_budget, fit_cells
from tests.search.costs import made_up_costs

OPERATIONS = tuple(Operation)


@pytest.fixture
def alpha():
    return torch.randn(4, 14, 8, generator=torch.Generator().manual_seed(1))


def limit_between(cost, part):
    lowest, highest = cost_range(cost, OPERATIONS)
    return lowest + part * (highest - lowest)


def test_the_strongest_operations_are_kept_where_they_fit(phantom_plan, alpha):
    cost = cost_function("gmacs", OPERATIONS, 16, phantom_plan, None)
    assert fit_cells(alpha, OPERATIONS, cost, limit_between(cost, 1), spend=False) == derive_cells(alpha, OPERATIONS)


@pytest.mark.parametrize("kind", ["gmacs", "bytes", "ms"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.1])
def test_otherwise_the_cells_keep_the_limit(phantom_plan, alpha, kind, part):
    cost = cost_function(kind, OPERATIONS, 16, phantom_plan, made_up_costs(phantom_plan))
    limit = limit_between(cost, part)
    assert cost(one_hot(fit_cells(alpha, OPERATIONS, cost, limit, spend=False), OPERATIONS)).item() <= limit * (
        1 + 1e-9
    )


def test_no_single_change_regains_probability_and_still_fits(phantom_plan, alpha):
    cost = cost_function("gmacs", OPERATIONS, 16, phantom_plan, None)
    limit = limit_between(cost, 0.05)
    cells = one_hot(fit_cells(alpha, OPERATIONS, cost, limit, spend=False), OPERATIONS)
    for cell in range(len(CellType)):
        for edge in range(14):
            for better in (alpha[cell, edge] > alpha[cell, edge][cells[cell, edge].argmax()]).nonzero().flatten():
                changed = cells.clone()
                changed[cell, edge] = torch.eye(8)[better]
                assert cost(changed).item() > limit


@pytest.mark.parametrize("kind", ["gmacs", "bytes"])
def test_a_counted_budget_is_kept_exactly_and_recorded(phantom_plan, alpha, kind):
    cost = cost_function(kind, OPERATIONS, 16, phantom_plan, None)
    budget = Budget(kind=kind, limit=limit_between(cost, 0.3), stem_channels=16, wider=(32,))
    architecture, record = fit_budget(alpha, OPERATIONS, budget, phantom_plan, None, spend=False)
    shape = {"in_channels": 1, "num_classes": phantom_plan.num_classes, "patch_size": phantom_plan.patch_size}
    counted = count(architecture, **shape).gmacs if kind == "gmacs" else peak_activation_bytes(architecture, **shape)
    assert record.measured == pytest.approx(counted, abs=1e-4)
    assert record.measured <= budget.limit == record.limit
    assert record.engine is None
    assert architecture.stem_channels == 16


def test_the_widest_network_that_keeps_the_budget_is_taken(phantom_plan, alpha):
    cost = cost_function("gmacs", OPERATIONS, 64, phantom_plan, None)
    limit = 1.01 * cost(one_hot(derive_cells(alpha, OPERATIONS), OPERATIONS)).item()
    budget = Budget(kind="gmacs", limit=limit, stem_channels=32, wider=(64, 96))
    architecture, _ = fit_budget(alpha, OPERATIONS, budget, phantom_plan, None, spend=False)
    assert architecture.stem_channels == 64
    assert architecture.cells == derive_cells(alpha, OPERATIONS)


def test_where_the_prediction_is_off_the_measurement_corrects_it(phantom_plan, alpha, monkeypatch):
    costs = made_up_costs(phantom_plan)
    cost = cost_function("ms", OPERATIONS, 16, phantom_plan, costs)
    monkeypatch.setattr(fitting, "Pace", SimpleNamespace(of=lambda *_: None))
    monkeypatch.setattr(
        fitting, "measure_network", lambda _, found, *__: 1.3 * cost(one_hot(found.cells, OPERATIONS)).item()
    )
    strongest = cost(one_hot(derive_cells(alpha, OPERATIONS), OPERATIONS)).item()
    lowest, _ = cost_range(cost, OPERATIONS)
    limit = 1.3 * (lowest + strongest) / 2
    _, record = fit_budget(
        alpha, OPERATIONS, Budget(kind="ms", limit=limit, stem_channels=16), phantom_plan, costs, spend=False
    )
    assert 0.95 * limit <= record.measured <= limit
    assert record.predicted == pytest.approx(record.measured / 1.3, rel=1e-3)
    assert record.engine == costs.engine


@pytest.mark.parametrize("power", [0.6, 1.5])
def test_a_prediction_that_is_off_in_no_simple_way_is_corrected_from_both_sides(
    phantom_plan, alpha, monkeypatch, power
):
    """Measured as a power of the prediction: one factor, taken at the wrong end, leads past the limit and back."""
    costs = made_up_costs(phantom_plan)
    cost = cost_function("ms", OPERATIONS, 16, phantom_plan, costs)
    lowest, _ = cost_range(cost, OPERATIONS)
    strongest = cost(one_hot(derive_cells(alpha, OPERATIONS), OPERATIONS)).item()

    def measured(_, found, *__):
        return strongest * (cost(one_hot(found.cells, OPERATIONS)).item() / strongest) ** power

    monkeypatch.setattr(fitting, "Pace", SimpleNamespace(of=lambda *_: None))
    monkeypatch.setattr(fitting, "measure_network", measured)
    limit = strongest * ((lowest + strongest) / 2 / strongest) ** power
    budget = Budget(kind="ms", limit=limit, stem_channels=16)
    _, record = fit_budget(alpha, OPERATIONS, budget, phantom_plan, costs, spend=True)
    assert 0.93 * limit <= record.measured <= limit


def test_what_a_bound_search_leaves_of_its_budget_goes_to_the_next_operations(phantom_plan):
    """Convolutions have become second everywhere, on one edge by little."""
    space = (Operation.CONV, Operation.IDENTITY, Operation.ZERO)
    cost = cost_function("gmacs", space, 16, phantom_plan, None)
    alpha = torch.tensor([0.0, 1.0, -1.0]).repeat(4, 14, 1)
    alpha[1, 3, 0] = 0.99
    idle = fit_cells(alpha, space, cost, 1e9, spend=False)
    least, most = cost(one_hot(idle, space)).item(), cost_range(cost, space)[1]
    limit = least + 0.3 * (most - least)
    cells = fit_cells(alpha, space, cost, limit, spend=True)
    assert max(0.9 * limit, 1.001 * least) <= cost(one_hot(cells, space)).item() <= limit
    assert cells.encoder[3] is Operation.CONV
