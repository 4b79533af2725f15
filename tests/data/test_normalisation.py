import numpy as np
import pytest

from scnas_deploy.data.normalisation import scaling_of
from scnas_deploy.data.plan import ClippedZScore, ZScore
from tests.data.drawing import noise


def normalise(voxels, normalisation):
    return scaling_of(voxels, normalisation)(voxels)


def test_zscore_looks_at_non_zero_voxels_only():
    voxels = noise((8, 8, 8), np.float32)
    alone = normalise(voxels, ZScore())
    assert alone.mean() == pytest.approx(0, abs=1e-5)
    assert alone.std() == pytest.approx(1, abs=1e-5)
    padded = np.pad(voxels, 5)
    np.testing.assert_allclose(normalise(padded, ZScore())[5:-5, 5:-5, 5:-5], alone, atol=1e-5)


@pytest.mark.parametrize("factor", [0.01, 1.0, 1e5])
def test_zscore_does_not_depend_on_the_scanners_gain(factor):
    voxels = noise((8, 8, 8), np.float32)
    np.testing.assert_allclose(normalise(voxels * np.float32(factor), ZScore()), normalise(voxels, ZScore()), atol=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("offset", [0, 20_000])
def test_mean_and_deviation_are_those_of_all_non_zero_voxels_at_once(dtype, order, offset):
    """In pieces of several sizes, whole planes of zeros among them."""
    if np.dtype(dtype).itemsize == 1:
        offset = 0
    voxels = np.asarray(noise((5, 700, 900)).astype(dtype) + np.asarray(offset, dtype), order=order)
    voxels[1] = voxels[:, ::3] = 0
    scaling = scaling_of(voxels, ZScore())
    inside = voxels[voxels != 0].astype(np.float64)
    assert scaling.mean == pytest.approx(inside.mean(), rel=1e-9)
    assert scaling.std == pytest.approx(inside.std(), rel=1e-9)


def test_a_constant_does_not_divide_by_zero():
    assert not normalise(np.full((3, 4, 5), 7, np.int16), ZScore()).any()


def test_calibrated_units_are_clipped_and_scaled_by_fixed_figures():
    voxels = np.array([-2000, -100, 0, 100, 300, 400, 3000], np.int16).reshape(7, 1, 1)
    result = normalise(voxels, ClippedZScore(low=-100, high=300, mean=100, std=50))
    np.testing.assert_allclose(result.ravel(), [-4, -4, -2, 0, 4, 4, 4])


@pytest.mark.parametrize("normalisation", [ZScore(), ClippedZScore(low=50, high=150, mean=100, std=30)])
@pytest.mark.parametrize("shift", [-1000, -100, 0, 1000])
def test_the_bounds_are_the_lowest_and_the_highest_normalised_voxel(normalisation, shift):
    voxels = noise((9, 8, 7)) + np.int16(shift)
    result = normalise(voxels, normalisation)
    assert scaling_of(voxels, normalisation).bounds == (result.min(), result.max())
