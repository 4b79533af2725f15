import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scnas_deploy.data.resampling import Grid, resample_image, resample_labels, resampled_affine
from tests.data.drawing import noise, oblique_affine

shapes = st.tuples(*[st.integers(1, 14)] * 3)
spacings = st.tuples(*[st.floats(0.4, 4.0)] * 3)
grids = st.builds(Grid, shapes, spacings)


def positions_mm(grid, affine):
    """RAS millimetres of every voxel, shape (X, Y, Z, 3)."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


@settings(max_examples=25, deadline=None)
@given(grid=grids, seed=st.integers(0, 99))
def test_an_equal_grid_changes_nothing(grid, seed):
    assert grid.at_spacing(grid.spacing_mm) == grid
    image = noise((2, *grid.shape), np.float32, seed)
    labels = noise(grid.shape, np.uint8, seed)
    np.testing.assert_array_equal(resample_image(image, grid, grid), image)
    np.testing.assert_array_equal(resample_labels(labels, grid, grid), labels)


@settings(max_examples=40, deadline=None)
@given(source=grids, spacing=spacings, value=st.sampled_from([-1024.0, 0.0, 0.1, 7.0, 1e6]))
def test_a_constant_stays_constant_up_to_the_border(source, spacing, value):
    target = source.at_spacing(spacing)
    image = np.full((1, *source.shape), value, dtype=np.float32)
    result = resample_image(image, source, target)
    assert result.shape == (1, *target.shape)
    np.testing.assert_array_equal(result, np.float32(value))
    labels = np.full(source.shape, 4, dtype=np.uint8)
    assert (resample_labels(labels, source, target) == 4).all()


@settings(max_examples=40, deadline=None)
@given(source=grids, spacing=spacings, seed=st.integers(0, 99))
def test_values_stay_within_each_channels_own_range(source, spacing, seed):
    target = source.at_spacing(spacing)
    image = np.stack([noise(source.shape, np.float32, seed), -1000 - noise(source.shape, np.float32, seed + 1)])
    result = resample_image(image, source, target)
    for before, after in zip(image, result, strict=True):
        assert before.min() <= after.min()
        assert after.max() <= before.max()


@settings(max_examples=40, deadline=None)
@given(source=grids, spacing=spacings, seed=st.integers(0, 99), values=st.lists(st.integers(0, 200), min_size=1))
def test_no_label_is_invented(source, spacing, seed, values):
    labels = np.random.default_rng(seed).choice(values, source.shape).astype(np.uint8)
    result = resample_labels(labels, source, source.at_spacing(spacing))
    assert result.dtype == np.uint8
    assert set(np.unique(result)) <= set(np.unique(labels))


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(16, 24)] * 3),
    spacing=st.tuples(*[st.floats(0.8, 2.0)] * 3),
    new_spacing=st.tuples(*[st.floats(0.6, 2.6)] * 3),
    direction=st.tuples(*[st.floats(-1, 1)] * 3),
    degrees=st.floats(-40, 40),
    shear=st.floats(-0.2, 0.2),
)
def test_a_ramp_keeps_its_place_in_the_patient(shape, spacing, new_spacing, direction, degrees, shear):
    """A ramp's value is its position along a direction in mm, so a shifted grid shows as a shifted value."""
    assume(max(map(abs, direction)) > 0.2)
    direction = np.array(direction) / np.linalg.norm(direction)
    affine = oblique_affine(spacing, degrees=degrees, shear=shear)
    source = Grid(shape, spacing)
    target = source.at_spacing(new_spacing)
    new_affine = resampled_affine(affine, source, target)
    ramp = (positions_mm(source, affine) @ direction).astype(np.float32)
    result = resample_image(ramp[None], source, target)[0]
    expected = positions_mm(target, new_affine) @ direction
    far = [int(np.ceil(5 * old / new)) for old, new in zip(spacing, target.spacing_mm, strict=True)]
    inner = tuple(slice(n, -n) for n in far)
    np.testing.assert_allclose(result[inner], expected[inner], atol=0.02)


@settings(max_examples=40, deadline=None)
@given(source=grids, spacing=spacings, degrees=st.floats(-40, 40))
def test_the_field_of_view_keeps_its_centre(source, spacing, degrees):
    affine = oblique_affine(source.spacing_mm, degrees=degrees)
    target = source.at_spacing(spacing)
    new_affine = resampled_affine(affine, source, target)
    before = affine @ [*((n - 1) / 2 for n in source.shape), 1]
    after = new_affine @ [*((n - 1) / 2 for n in target.shape), 1]
    np.testing.assert_allclose(after, before, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(new_affine[:3, :3], axis=0), target.spacing_mm)


@settings(max_examples=40, deadline=None)
@given(source=grids, spacing=spacings)
def test_the_field_of_view_keeps_its_extent_to_half_a_voxel(source, spacing):
    target = source.at_spacing(spacing)
    for n, old, m, new in zip(source.shape, source.spacing_mm, target.shape, target.spacing_mm, strict=True):
        assert m == 1 or abs(n * old - m * new) <= new / 2 + 1e-9


def test_axes_of_nearly_the_same_spacing_are_not_resampled():
    grid = Grid((10, 10, 10), (1.0, 1.0, 2.0))
    assert grid.at_spacing((1.0005, 1.0, 1.0)) == Grid((10, 10, 20), (1.0, 1.0, 1.0))


def test_a_single_slice_is_repeated():
    source = Grid((6, 6, 1), (1.0, 1.0, 3.0))
    image = noise((1, 6, 6, 1), np.float32)
    result = resample_image(image, source, source.at_spacing((1.0, 1.0, 1.0)))
    np.testing.assert_allclose(result, np.repeat(image, 3, axis=3), rtol=1e-5)


def test_thick_slices_are_interpolated_linearly():
    """Cubic interpolation overshoots beside an edge; between thick slices the overshoot would be centimetres wide."""
    source = Grid((8, 8, 8), (1.0, 1.0, 4.0))
    edge = np.zeros((1, 8, 8, 8), np.float32)
    edge[..., 3:5] = 100.0
    edge[..., 5:] = 50.0
    result = resample_image(edge, source, Grid((8, 8, 16), (1.0, 1.0, 2.0)))[0, 4, 4]
    np.testing.assert_allclose(result[3:13], [0, 0, 25, 75, 100, 100, 87.5, 62.5, 50, 50], atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float64])
def test_any_stored_type_can_be_resampled(dtype):
    source = Grid((8, 8, 8), (1.0, 1.0, 1.0))
    target = source.at_spacing((0.8, 1.3, 1.0))
    image = noise((1, 8, 8, 8), dtype)
    result = resample_image(image, source, target)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, resample_image(image.astype(np.float32), source, target))


def test_a_label_keeps_its_volume_and_its_place():
    source = Grid((40, 40, 40), (1.0, 1.0, 1.0))
    x, y, z = np.meshgrid(*[np.arange(40.0)] * 3, indexing="ij")
    ball = ((x - 18) ** 2 + (y - 21) ** 2 + (z - 16) ** 2 < 11**2).astype(np.uint8)
    target = source.at_spacing((1.7, 0.6, 1.2))
    result = resample_labels(ball, source, target)
    assert result.sum() * 1.7 * 0.6 * 1.2 == pytest.approx(ball.sum(), rel=0.03)
    affine = resampled_affine(np.eye(4), source, target)
    centre = affine[:3, :3] @ np.argwhere(result).mean(axis=0) + affine[:3, 3]
    np.testing.assert_allclose(centre, (18, 21, 16), atol=0.1)
