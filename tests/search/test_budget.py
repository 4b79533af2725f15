"""A budget chooses a width, refuses what cannot be, and bends the search."""

import dataclasses
import re

import pytest
import torch

from scnas_deploy.errors import ConfigError
from scnas_deploy.networks.complexity import count
from scnas_deploy.networks.genotype import Operation, ScnasArchitecture
from scnas_deploy.search.bilevel import BilevelTask
from scnas_deploy.search.budget import Budget, Constraint, cheapest, cost_function, cost_range, make_budget
from scnas_deploy.search.config import SearchConfig
from scnas_deploy.search.derivation import derive_cells
from scnas_deploy.training.prepared import PreparedCases
from tests.search.costs import made_up_costs

OPERATIONS = tuple(Operation)


@pytest.fixture(scope="module")
def cases(phantom_dataset, phantom_plan, tmp_path_factory):
    ids = [case.id for case in phantom_dataset.cases]
    return PreparedCases(phantom_dataset, phantom_plan, tmp_path_factory.mktemp("cache")).load(ids)


def gmacs_of(cells, plan, stem):
    shape = {"in_channels": len(plan.channels), "num_classes": plan.num_classes, "patch_size": plan.patch_size}
    return count(ScnasArchitecture(cells=cells, stem_channels=stem), **shape).gmacs


@pytest.mark.parametrize("kind", ["gmacs", "bytes", "ms"])
def test_no_network_of_the_space_lies_outside_the_range(phantom_plan, kind):
    cost = cost_function(kind, OPERATIONS, 16, phantom_plan, made_up_costs(phantom_plan))
    lowest, highest = cost_range(cost, OPERATIONS)
    torch.manual_seed(0)
    drawn = torch.nn.functional.one_hot(torch.randint(0, 8, (500, 4, 14)), 8).double()
    assert lowest == cost(cheapest(cost, OPERATIONS)).item()
    assert lowest <= cost(drawn).min() <= cost(drawn).max() <= highest * 1.0001


@pytest.mark.parametrize("kind", ["gmacs", "bytes", "ms"])
def test_an_impossible_budget_is_refused_with_the_possible_range(phantom_plan, kind):
    costs = made_up_costs(phantom_plan)
    lowest, _ = cost_range(cost_function(kind, OPERATIONS, 16, phantom_plan, costs), OPERATIONS)
    with pytest.raises(ConfigError, match=re.escape(f"--budget-{kind}: expected between {lowest:.3g} and ")):
        make_budget(kind, 0.99 * lowest, (32, 16), OPERATIONS, phantom_plan, costs)
    assert make_budget(kind, 1.01 * lowest, (32, 16), OPERATIONS, phantom_plan, costs).stem_channels == 16


def test_a_larger_budget_is_for_a_wider_network(phantom_plan):
    chosen = [make_budget("gmacs", limit, (16, 32, 64), OPERATIONS, phantom_plan, None) for limit in (0.12, 0.4, 9.0)]
    assert [budget.stem_channels for budget in chosen] == [16, 32, 64]
    assert chosen[0].wider == (32,), "at 64 channels even the cheapest network costs more"
    assert chosen[2].wider == ()


def test_the_multiplier_rises_while_the_cost_is_above_the_limit_and_falls_below_it():
    cost = lambda probability: probability[..., 0].sum((-1, -2))  # noqa: E731
    dear = torch.zeros(4, 14, 2).index_fill(-1, torch.tensor(0), 1.0)  # all 56 edges take what is counted
    constraint = Constraint(cost, 28.0, num_steps=10)
    assert constraint.penalty(dear, 1).item() == constraint.multiplier == 0, "the first quarter is free"
    multipliers = []
    for step in (2, 3, 4):
        constraint.penalty(dear, step)
        multipliers.append(constraint.multiplier)
    assert multipliers == pytest.approx([1.0, 2.0, 3.0])
    constraint.penalty(-dear, 5)
    assert constraint.multiplier == pytest.approx(2.0)
    below = Constraint(cost, 57.0, num_steps=10)
    assert below.penalty(dear, 9).item() == below.multiplier == 0


def test_the_penalty_pulls_every_edge_away_from_what_costs():
    constraint = Constraint(lambda probability: probability[..., 0].sum((-1, -2)), 14.0, num_steps=4)
    alpha = torch.zeros(4, 14, 2, requires_grad=True)
    constraint.penalty(alpha, 3).backward()
    assert (alpha.grad[..., 0] > 0).all()
    assert (alpha.grad[..., 1] < 0).all()


def test_descending_the_penalty_alone_keeps_the_limit(phantom_plan):
    cost = cost_function("gmacs", OPERATIONS, 16, phantom_plan, None)
    lowest, highest = cost_range(cost, OPERATIONS)
    limit = 0.8 * lowest + 0.2 * highest
    alpha = torch.randn(4, 14, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    constraint = Constraint(cost, limit, num_steps=200)
    optimizer = torch.optim.Adam([alpha], lr=0.05)
    for step in range(50, 200):
        optimizer.zero_grad()
        constraint.penalty(alpha, step).backward()
        optimizer.step()
    assert constraint.record(alpha)["strongest_cost"] <= 1.05 * limit


def test_a_search_under_a_tight_budget_ends_cheaper_and_records_how(cases, phantom_plan):
    operations = (Operation.CONV, Operation.IDENTITY, Operation.ZERO)

    def search(budget):
        config = SearchConfig(
            operations=operations, stem_channels=4, batch_size=1, num_epochs=2, steps_per_epoch=8,
            alpha_learning_rate=0.1, budget=budget,
        )  # fmt: skip
        task = BilevelTask(config, phantom_plan, cases[:8], cases[8:])
        task.begin(0, 16)
        for step in range(16):
            task.step(step)
        return task.finish_epoch(1, 0.5), gmacs_of(derive_cells(task.alpha_TEO, operations), phantom_plan, 16)

    free_record, free = search(None)
    lowest, _ = cost_range(cost_function("gmacs", operations, 16, phantom_plan, None), operations)
    record, tight = search(Budget(kind="gmacs", limit=1.2 * lowest, stem_channels=16))
    assert tight < free
    assert record["strongest_cost"] == pytest.approx(tight)
    assert record["expected_cost"] > lowest
    assert "multiplier" not in free_record


def test_the_multiplier_is_part_of_the_state(cases, phantom_plan):
    budget = Budget(kind="gmacs", limit=0.01, stem_channels=16)
    config = SearchConfig(stem_channels=4, batch_size=2, num_epochs=1, steps_per_epoch=4, budget=budget)
    tasks = [BilevelTask(config, phantom_plan, cases[:8], cases[8:]) for _ in range(2)]
    tasks[0].begin(3, 1)
    tasks[0].step(3)
    tasks[1].restore(tasks[0].state())
    assert tasks[1].state()["constraint"] == tasks[0].state()["constraint"]
    assert tasks[1].state()["constraint"]["multiplier"] > 0
    assert dataclasses.asdict(config)["budget"]["limit"] == 0.01
