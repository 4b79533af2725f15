"""The genotype over all eight operations is what it says, and can be drawn again."""

from pathlib import Path

import pytest

from scnas_deploy.networks.complexity import count
from scnas_deploy.networks.genotype import EDGES, NUM_NODES, CellType, Operation, load_genotype
from scnas_deploy.search.random import random_architecture


@pytest.fixture(scope="module")
def genotype():
    return load_genotype(Path(__file__).parents[2] / "benchmarks" / "all_operations.genotype.json")


def test_every_cell_holds_each_operation_and_every_node_is_fed(genotype):
    for cell_type in CellType:
        cell = genotype.architecture.cells.of(cell_type)
        assert set(cell) == set(Operation)
        fed = {node for operation, (_, node) in zip(cell, EDGES, strict=True) if operation is not Operation.ZERO}
        assert fed == set(range(NUM_NODES))


def test_its_seed_draws_it_again(genotype):
    assert genotype.architecture == random_architecture(genotype.provenance.seed, stem_channels=32)


def test_its_costs_are_those_of_a_patch_of_64_cubed(genotype):
    cost = count(genotype.architecture, in_channels=1, num_classes=3, patch_size=(64, 64, 64))
    assert (genotype.gmacs, genotype.num_parameters) == (pytest.approx(cost.gmacs, abs=1e-4), cost.num_parameters)
