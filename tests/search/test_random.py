"""Random genotypes are a function of their seed and reach the whole space."""

from collections import Counter

from scnas_deploy.networks.genotype import CellType, Operation
from scnas_deploy.search.random import random_architecture


def test_a_seed_is_a_genotype():
    first, again, other = (random_architecture(seed, 16) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_every_operation_is_as_likely():
    counts = Counter(
        operation
        for seed in range(200)
        for cell_type in CellType
        for operation in random_architecture(seed, 16).cells.of(cell_type)
    )
    share = 200 * 4 * 14 / len(Operation)
    assert all(abs(counts[operation] / share - 1) < 0.1 for operation in Operation)
