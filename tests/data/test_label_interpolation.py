from itertools import permutations, product

import numpy as np
import pytest

from scnas_deploy.data.axis_weights import linear_weights
from scnas_deploy.data.label_interpolation import strongest_labels
from tests.data.drawing import noise
from tests.data.test_axis_weights import positions
from tests.data.test_interpolation import axes, directly, in_memory

SHAPE = (17, 14, 19)


def resampled(labels, new_shape, out=None):
    out = np.full(new_shape, -1, labels.dtype) if out is None else out
    along = tuple(positions(size, new) for size, new in zip(labels.shape, new_shape, strict=True))
    strongest_labels(labels, along, out)
    return out


def by_definition(labels, new_shape):
    """One volume a label; of equally strong labels the lowest."""
    weights = axes(linear_weights, labels.shape, new_shape)
    values = np.unique(labels)
    return values[np.argmax([directly(labels == value, weights).round(6) for value in values], axis=0)]


def blocks(shape, num_labels, size=3, seed=0):
    coarse = np.random.default_rng(seed).integers(0, num_labels, [-(-n // size) for n in shape])
    return np.kron(coarse, np.ones((size,) * 3, np.int64))[tuple(map(slice, shape))].astype(np.int16)


@pytest.mark.parametrize("new_shape", [(40, 40, 40), (9, 8, 7), (23, 14, 5), (1, 1, 1)])
@pytest.mark.parametrize("num_labels", [1, 2, 100])
@pytest.mark.parametrize("size", [1, 3])
def test_the_strongest_label_wins(new_shape, num_labels, size):
    labels = blocks(SHAPE, num_labels, size)
    np.testing.assert_array_equal(resampled(labels, new_shape), by_definition(labels, new_shape))


@pytest.mark.parametrize("shape", [(1, 5, 6), (5, 1, 6), (5, 6, 1), (1, 1, 1), (2, 2, 2), (1, 2, 1)])
def test_axes_of_one_or_two_voxels(shape):
    labels = blocks(shape, 3, 1)
    np.testing.assert_array_equal(resampled(labels, (4, 5, 7)), by_definition(labels, (4, 5, 7)))


@pytest.mark.parametrize(("order", "out_order"), list(product(permutations(range(3)), repeat=2))[::5])
def test_the_order_in_memory_makes_no_difference(order, out_order):
    labels = blocks(SHAPE, 5)
    out = resampled(in_memory(labels, order), (30, 9, 25), in_memory(np.zeros((30, 9, 25), np.int16), out_order))
    np.testing.assert_array_equal(out, resampled(labels, (30, 9, 25)))


@pytest.mark.soak
def test_planes_of_many_parts_and_places_of_many_chunks():
    labels = noise((3, 90, 80))
    found = resampled(labels, (4, 400, 350))
    np.testing.assert_array_equal(found[:, :200], by_definition(labels, (4, 400, 350))[:, :200])
