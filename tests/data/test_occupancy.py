"""Only what holds nothing but zeros in the study itself is called empty."""

import numpy as np
import pytest

from scnas_deploy.data.occupancy import Occupancy
from scnas_deploy.data.preprocess import prepare
from scnas_deploy.data.volume import Volume
from tests.data.drawing import ORIENTATIONS, make_plan, oblique_affine, stored_as

SHAPE = (70, 61, 52)
SPACINGS = {"same grid": (1.0, 1.0, 1.0), "finer": (0.7, 0.6, 0.8), "coarser": (1.9, 2.3, 1.7)}


def islands() -> np.ndarray:
    """Two islands in a sea of zeros, far from each other."""
    data = np.zeros((1, *SHAPE), dtype=np.int16)
    rng = np.random.default_rng(0)
    data[0, 3:15, 4:12, 5:16] = rng.integers(1, 100, (12, 8, 11))
    data[0, 55:66, 44:57, 33:49] = rng.integers(1, 100, (11, 13, 16))
    return data


def boxes(shape, size, count=300):
    rng = np.random.default_rng(1)
    for _ in range(count):
        first = [int(rng.integers(0, max(1, n - size))) for n in shape]
        yield tuple(slice(start, min(start + size, n)) for start, n in zip(first, shape, strict=True))


@pytest.mark.parametrize("name", SPACINGS)
@pytest.mark.parametrize("size", [5, 17])
def test_an_empty_box_holds_only_interpolated_zeros_and_most_such_boxes_are_found(name, size):
    volume = Volume(data=islands(), affine_ras=np.eye(4))
    image, back = prepare(volume, make_plan(spacing_mm=SPACINGS[name]))
    occupancy = Occupancy(volume, back)
    zero = image[0][20:30, 20:30, 20:30].min() if name == "same grid" else np.median(image)
    empty = blank = 0
    for box in boxes(image.shape[1:], size):
        is_blank = np.abs(image[0][box] - zero).max() < 1e-3
        if occupancy.is_empty(box):
            assert np.abs(image[0][box] - zero).max() < 0.05 * (image.max() - zero)
            empty += 1
        blank += is_blank
    assert empty >= 0.2 * blank > 0


@pytest.mark.parametrize("codes", [ORIENTATIONS[5], ORIENTATIONS[30], ORIENTATIONS[-1]])
def test_it_follows_the_studys_orientation(codes):
    """The same patient stored along other axes has its empty boxes at the same places of the prepared image."""
    affine = oblique_affine((1.0, 1.0, 1.0))
    volume = Volume(data=islands(), affine_ras=affine)
    voxels, turned = stored_as(codes, islands()[0], affine)
    other = Volume(data=voxels[None], affine_ras=turned)
    (image, back), (_, other_back) = prepare(volume, make_plan()), prepare(other, make_plan())
    first, second = Occupancy(volume, back), Occupancy(other, other_back)
    found = 0
    for box in boxes(image.shape[1:], 24, 100):
        if first.is_empty(box):  # blocks of voxels lie elsewhere: a margin of one
            assert second.is_empty(tuple(slice(part.start + 8, part.stop - 8) for part in box))
            found += 1
    assert found > 5


def test_any_channel_occupies():
    data = np.zeros((2, 48, 48, 48), dtype=np.float32)
    data[0, 0, 0, 0] = data[0, -1, -1, -1] = 1
    data[1, 20, 20, 20] = 1
    volume = Volume(data=data, affine_ras=np.eye(4))
    plan = make_plan()
    plan = plan.model_copy(update={"channels": plan.channels * 2})
    _, back = prepare(volume, plan)
    occupancy = Occupancy(volume, back)
    assert not occupancy.is_empty((slice(18, 22),) * 3)
    assert occupancy.is_empty((slice(28, 32),) * 3)
