"""Counted over patches, the scores are those of all voxels together."""

import numpy as np
import pytest

from scnas_deploy.inference.overlap import Overlap


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    return [(rng.integers(0, 4, (5, 6, 7)).astype(np.uint8), rng.integers(0, 4, (5, 6, 7))) for _ in range(3)]


def overlap_of(*pairs, num_classes=4) -> Overlap:
    overlap = Overlap(num_classes)
    for first, second in pairs:
        overlap.add(first, second)
    return overlap


def test_the_scores_are_those_of_all_voxels_together(maps):
    first, second = (np.concatenate([pair[n] for pair in maps]) for n in (0, 1))
    overlap = overlap_of(*maps)
    assert overlap.agreement == pytest.approx((first == second).mean())
    for index, dice in enumerate(overlap.dice()):
        a, b = first == index, second == index
        assert dice == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_equal_maps_agree_in_all_and_opposite_ones_in_nothing(maps):
    first = maps[0][0]
    assert overlap_of((first, first)).agreement == overlap_of((first, first)).least_dice() == 1
    assert overlap_of((first, (first + 1) % 4)).agreement == overlap_of((first, (first + 1) % 4)).least_dice() == 0


def test_a_class_that_neither_map_has_is_left_out():
    ones = np.ones((2, 2, 2), dtype=np.uint8)
    overlap = overlap_of((ones, ones), num_classes=3)
    np.testing.assert_array_equal(overlap.dice(), [np.nan, 1, np.nan])
    assert overlap.least_dice() == 1


def test_background_is_no_structure():
    zeros = np.zeros((2, 2, 2), dtype=np.uint8)
    assert overlap_of((zeros, zeros)).least_dice() == 1
    assert overlap_of((zeros, zeros + 1), num_classes=2).least_dice() == 0
