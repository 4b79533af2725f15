"""scnas bench --ops and scnas search under a budget, as a user calls them."""

import json

import pytest

from scnas_deploy.networks.costs import load_costs
from scnas_deploy.networks.genotype import load_genotype

SHORT = ("--preset", "cpu", "--epochs", "1", "--steps-per-epoch", "2")


def test_what_to_measure_must_be_said(project):
    assert "--ops" in project.refused("bench", status=2)


@pytest.mark.soak
def test_costs_are_measured_searched_with_and_verified(project):
    bench = project("bench", "--ops", "--engine", "openvino", "--threads", "1", "--stem-channels", "8")
    assert "conv_3x3x3 x 4" in bench.stdout
    costs = load_costs(project.folder / "costs.json")
    assert costs.stems == (8,)
    assert "between" in project.refused("search", *SHORT, "--budget-ms", "0.001", "--costs", "costs.json", status=2)
    budget = ("--budget-ms", "1000", "--costs", "costs.json")
    printed = project("search", *SHORT, *budget).stdout
    found = load_genotype(project.folder / "runs" / "search" / "genotype.json")
    assert (found.budget.kind, found.budget.limit, found.budget.engine) == ("ms", 1000, costs.engine)
    assert 0 < found.budget.measured < 1000
    assert found.architecture.stem_channels == 8
    assert costs.engine in printed
    assert load_costs(project.folder / "runs" / "search" / "costs.json") == costs
    costs.model_copy(update={"engine": "openvino 1.0"}).save(project.folder / "old.json")
    assert "openvino 1.0" in project.refused("search", *SHORT, *budget[:2], "--costs", "old.json", status=2)
    wider = ("--stem-channels", "64", "--name", "wider")
    assert "bench --ops" in project.refused("search", *SHORT, *budget, *wider, status=2)


@pytest.mark.soak
def test_a_networks_width_stays_with_its_budget(project):
    project("search", *SHORT, "--budget-gmacs", "0.05", "--stem-channels", "12")
    found = load_genotype(project.folder / "runs" / "search" / "genotype.json")
    assert found.gmacs == pytest.approx(found.budget.measured, abs=1e-4)
    assert found.budget.measured <= 0.05
    train = ("train", *SHORT)
    project(*train)
    trained = load_genotype(project.folder / "runs" / "train" / "genotype.json")
    assert (trained.architecture, trained.budget) == (found.architecture, found.budget)
    assert json.loads((project.folder / "runs" / "train" / "run.json").read_text())["config"]["stem_channels"] == 12
    project(*train, "--stem-channels", "8", "--name", "narrow")
    narrow = load_genotype(project.folder / "runs" / "narrow" / "genotype.json")
    assert (narrow.architecture.stem_channels, narrow.budget) == (8, None)


@pytest.mark.soak
def test_a_resumed_search_keeps_its_budget(project):
    project("search", *SHORT, "--budget-gmacs", "0.2")
    assert "--budget-gmacs" in project.refused("search", "--resume", "--budget-gmacs", "0.1", status=2)
