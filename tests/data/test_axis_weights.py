import numpy as np
import pytest

from scnas_deploy.data.axis_weights import cubic_weights, linear_weights, multiply

KINDS = [cubic_weights, linear_weights]


def positions(size, new_size):
    """Centres of an axis' new voxels over the same field of view."""
    return (np.arange(new_size) + 0.5) * size / new_size - 0.5


@pytest.mark.parametrize("weights", KINDS)
@pytest.mark.parametrize(("size", "new_size"), [(4, 9), (50, 31), (60, 200), (200, 60)])
def test_weights_of_a_voxel_sum_to_one(weights, size, new_size):
    matrix = weights(positions(size, new_size), size).matrix_UX
    assert matrix.shape == (new_size, size)
    np.testing.assert_allclose(matrix.sum(axis=1, dtype=np.float64), 1, atol=1e-6)


@pytest.mark.parametrize("weights", KINDS)
def test_at_voxel_centres_the_voxels_themselves_come_out(weights):
    assert weights(np.arange(30.0), 30).is_identity
    every_second = weights(np.arange(0.0, 30, 2), 30)
    assert not every_second.is_identity
    np.testing.assert_array_equal(every_second.matrix_UX, np.eye(30)[::2])


@pytest.mark.parametrize("weights", KINDS)
def test_far_beyond_the_outermost_voxels_these_repeat(weights):
    matrix = weights(np.array([-9.0, -0.6, 4.6, 30.0]), 5).matrix_UX
    np.testing.assert_array_equal(matrix, np.eye(5)[[0, 0, 4, 4]])


def test_cubic_weights_mirror_about_the_outermost_centres():
    matrix = cubic_weights(np.array([-0.4, 0.4, 8.6, 9.4]), 10).matrix_UX
    np.testing.assert_allclose(matrix[0], matrix[1], atol=1e-7)
    np.testing.assert_allclose(matrix[2], matrix[3], atol=1e-7)


def test_a_cubic_is_met_by_cubic_weights_and_a_line_by_linear_ones():
    x, at = np.arange(80.0), np.linspace(30, 50, 77)
    np.testing.assert_allclose(cubic_weights(at, 80).matrix_UX @ (x / 40 - 1) ** 3, (at / 40 - 1) ** 3, atol=1e-5)
    np.testing.assert_allclose(linear_weights(at, 80).matrix_UX @ x, at, rtol=1e-6)


@pytest.mark.parametrize(("weights", "reach"), [(cubic_weights, 14), (linear_weights, 1)])
@pytest.mark.parametrize("new_size", [90, 300, 700])
def test_voxels_are_needed_nearby_only(weights, reach, new_size):
    axis = weights(positions(300, new_size), 300)
    for first in range(0, new_size, 32):
        needed = axis.needed(slice(first, first + 32))
        assert needed.stop - needed.start <= 32 * 300 / new_size + 2 * reach + 1
        assert needed.stop - needed.start <= axis.most_needed(32)


@pytest.mark.parametrize("weights", KINDS)
@pytest.mark.parametrize("across", [1, 7, 5000])
def test_applying_weights_is_a_matrix_product(weights, across):
    axis = weights(positions(70, 101), 70)
    voxels = np.random.default_rng(0).normal(size=(70, across)).astype(np.float32)
    out = np.full((101, across), np.nan, np.float32)
    axis.apply(voxels, out)
    np.testing.assert_allclose(out, axis.matrix_UX @ voxels, atol=1e-5)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("across", [1, 64, 1001])
def test_products_are_right_in_any_order_of_memory(turned, across):
    random = np.random.default_rng(0)
    weights, voxels = (random.normal(size=shape).astype(np.float32) for shape in ((32, 60), (60, across)))
    out = np.zeros((across, 32), np.float32).T if turned else np.zeros((32, across), np.float32)
    multiply(weights, np.asfortranarray(voxels) if turned else voxels, out)
    np.testing.assert_allclose(out, weights @ voxels, atol=1e-4)
