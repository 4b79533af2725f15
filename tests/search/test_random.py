"""Random genotypes are a function of their seed and reach the whole space."""

from collections import Counter

from scnas_deploy.networks.genotype import CellType, Operation
from scnas_deploy.search.random import random_architecture, random_child
from scnas_deploy.search.ronasmis_space import RonasmisSpace


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


def test_a_random_child_is_any_of_its_space():
    space = RonasmisSpace((40, 56, 40), 8)
    assert random_child(1, space) == random_child(1, space)
    children = [random_child(seed, space) for seed in range(200)]
    assert {child.strides for child in children} == {(2, third, fourth) for third in (1, 2) for fourth in (1, 2)}
    assert {child.patch_size for child in children} == {
        (plane, plane, depth) for plane in (48, 32, 16) for depth in (32, 16)
    }
    assert all(80 < sum(child.skips[number] for child in children) < 120 for number in range(6))
