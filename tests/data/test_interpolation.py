from itertools import permutations, product

import numpy as np
import pytest

from scnas_deploy.data import interpolation
from scnas_deploy.data.axis_weights import cubic_weights, linear_weights
from scnas_deploy.data.interpolation import interpolate
from tests.data.drawing import noise
from tests.data.test_axis_weights import positions

SHAPE, NEW_SHAPE = (41, 33, 37), (60, 30, 37)
ANY = (-np.inf, np.inf)


def axes(kind, shape=SHAPE, new_shape=NEW_SHAPE):
    return tuple(kind(positions(size, new), size) for size, new in zip(shape, new_shape, strict=True))


def directly(voxels, weights):
    """The definition: a product with each axis' whole matrix."""
    x, y, z = (axis.matrix_UX.astype(np.float64) for axis in weights)
    return np.einsum("ux,vy,wz,xyz->uvw", x, y, z, voxels.astype(np.float64), optimize=True)


def single(voxels):
    return voxels.astype(np.float32)


def in_memory(voxels, order):
    """The same voxels, their axes in another order in memory."""
    return np.ascontiguousarray(voxels.transpose(order)).transpose(np.argsort(order))


@pytest.mark.parametrize("kind", [cubic_weights, linear_weights])
@pytest.mark.parametrize(("order", "out_order"), list(product(permutations(range(3)), repeat=2))[::5])
def test_the_order_in_memory_makes_no_difference(kind, order, out_order):
    voxels = noise(SHAPE)
    out = in_memory(np.full(NEW_SHAPE, np.nan, np.float32), out_order)
    interpolate(in_memory(voxels, order), axes(kind), out, scale=single, bounds=ANY)
    np.testing.assert_allclose(out, directly(voxels, axes(kind)), atol=1e-3)


@pytest.mark.parametrize("window_bytes", [1, 300_000, 2**26])
@pytest.mark.parametrize("blended_voxels", [1, 2**20])
@pytest.mark.parametrize("length", [9, 40, 150])
def test_the_windows_size_makes_no_difference(monkeypatch, window_bytes, blended_voxels, length):
    monkeypatch.setattr(interpolation, "WINDOW_BYTES", window_bytes)
    monkeypatch.setattr(interpolation, "_BLENDED_VOXELS", blended_voxels)
    voxels, weights = noise((90, 20, 21)), axes(cubic_weights, (90, 20, 21), (length, 25, 15))
    out = np.full((length, 25, 15), np.nan, np.float32)
    interpolate(voxels, weights, out, scale=single, bounds=ANY)
    np.testing.assert_allclose(out, directly(voxels, weights), atol=1e-3)


@pytest.mark.parametrize("new_shape", [NEW_SHAPE, SHAPE])
def test_voxels_are_scaled_before_and_clipped_after(new_shape):
    voxels = noise(SHAPE)
    out = np.empty(new_shape, np.float32)
    interpolate(
        voxels, axes(cubic_weights, new_shape=new_shape), out, scale=lambda v: single(v) - 100, bounds=(-99.0, 99.0)
    )
    expected = directly(voxels.astype(np.float64) - 100, axes(cubic_weights, new_shape=new_shape))
    np.testing.assert_allclose(out, expected.clip(-99, 99), atol=1e-3)


def test_a_plane_is_read_once():
    """Planes are scaled and interpolated within themselves no more often than there are planes."""
    read = []
    out = np.empty((200, *NEW_SHAPE[1:]), np.float32)
    weights = axes(cubic_weights, (120, *SHAPE[1:]), out.shape)
    interpolate(
        noise((120, *SHAPE[1:])), weights, out, scale=lambda plane: read.append(plane) or single(plane), bounds=ANY
    )
    assert len(read) == 120


def test_half_precision_is_rounded_once():
    voxels = np.random.default_rng(0).random(SHAPE).astype(np.float16)
    out = np.empty(NEW_SHAPE, np.float16)
    interpolate(voxels, axes(linear_weights), out, scale=single, bounds=(0.0, 1.0))
    np.testing.assert_allclose(out, directly(voxels, axes(linear_weights)), atol=3e-4)
