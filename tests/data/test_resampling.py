from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 (its documented short name)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from benchmarks import simpleitk_resampling
from scnas_deploy.data.resampling import (
    Grid,
    label_resampling_bytes,
    resample_image,
    resample_labels,
    resampled_affine,
    resampling_bytes,
)
from tests.data.drawing import noise, oblique_affine
from tests.data.memory import peak_bytes

OURS = SimpleNamespace(resample_image=resample_image, resample_labels=resample_labels)
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


def assert_equals_simpleitk(image, source, target):
    found, expected = (module.resample_image(image, source, target) for module in (OURS, simpleitk_resampling))
    for before, ours, theirs in zip(image, found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(float(np.ptp(before)), 1e-3))


def as_strong_as_simpleitks(labels, source, target):
    """Whether ours is, inside the field of view, the label SimpleITK takes, or one that is just as strong there."""
    found, expected = (module.resample_labels(labels, source, target) for module in (OURS, simpleitk_resampling))
    differ = (found != expected) & inside_of(source, target)
    shares = {
        value: simpleitk_resampling.resample((labels == value).astype(np.float32), source, target, sitk.sitkLinear)
        for value in np.unique(np.concatenate([found[differ], expected[differ]]))
    }
    places = [tuple(place) for place in np.argwhere(differ)]
    return all(abs(shares[found[place]][place] - shares[expected[place]][place]) < 1e-6 for place in places)


def inside_of(source, target):
    """Whether each voxel's centre lies in the source's field of view."""
    centres = (np.arange(m) - (m - 1) / 2 for m in target.shape)
    within = (
        np.abs(centre * new) < n * old / 2
        for centre, new, n, old in zip(centres, target.spacing_mm, source.shape, source.spacing_mm, strict=True)
    )
    return np.logical_and.outer(np.logical_and.outer(next(within), next(within)), next(within))


@settings(max_examples=60, deadline=None)
@given(source=grids, spacing=spacings, seed=st.integers(0, 99))
def test_images_are_those_of_simpleitk(source, spacing, seed):
    image = np.stack([noise(source.shape, np.float32, seed), 1000 - noise(source.shape, np.float32, seed + 1)])
    assert_equals_simpleitk(image, source, source.at_spacing(spacing))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "spacing", [(0.7, 0.7, 0.7), (1.6, 0.5, 1.0), (1.0, 1.0, 2.9), (3.3, 3.1, 2.2), (1.0, 1.0, 0.4)]
)
@pytest.mark.parametrize("thick", [1.3, 5.0])
def test_images_of_many_planes_are_those_of_simpleitk(order, spacing, thick):
    source = Grid((71, 90, 67), (1.0, 0.9, thick))
    image = np.asarray(noise((1, *source.shape)), order=order)
    assert_equals_simpleitk(image, source, source.at_spacing(spacing))


@settings(max_examples=60, deadline=None)
@given(source=grids, spacing=spacings, seed=st.integers(0, 99), blocks=st.integers(1, 4), there=st.booleans())
def test_labels_are_those_of_simpleitk(source, spacing, seed, blocks, there):
    target = source.at_spacing(spacing)
    source, target = (source, target) if there else (target, source)
    labels = np.random.default_rng(seed).integers(0, 5, source.shape).astype(np.uint8)
    labels = np.kron(labels, np.ones((blocks,) * 3, np.uint8))[tuple(map(slice, source.shape))]
    assert as_strong_as_simpleitks(labels, source, target)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_a_hundred_labels_are_those_of_simpleitk_one_by_one(dtype):
    """Spacings without a common measure: no two labels are equally strong."""
    source = Grid((37, 41, 29), (1.0, 1.0, 1.0))
    target = source.at_spacing((0.5**0.5, 3**0.5, 0.3**0.5))
    coarse = np.random.default_rng(0).integers(0, 100, (13, 14, 10))
    labels = np.kron(coarse, np.ones((3, 3, 3), np.int64))[:37, :41, :29].astype(dtype)
    found = resample_labels(labels, source, target)
    np.testing.assert_array_equal(found, simpleitk_resampling.resample_labels(labels, source, target))
    assert found.dtype == dtype


@pytest.mark.parametrize("case", ["hippocampus_001", "hippocampus_003", "hippocampus_394"])
def test_real_images_and_masks_are_those_of_simpleitk(scnas_data, case):
    folder = scnas_data / "Task04_Hippocampus"
    image, labels = (nib.load(folder / kind / f"{case}.nii.gz") for kind in ("imagesTr", "labelsTr"))
    source = Grid(image.shape, tuple(map(float, image.header.get_zooms())))
    for spacing in ((0.7, 1.3, 1.1), (1.0, 1.0, 4.0)):
        target = source.at_spacing(spacing)
        assert_equals_simpleitk(np.asanyarray(image.dataobj)[None], source, target)
        mask = np.asanyarray(labels.dataobj).astype(np.uint8)
        assert as_strong_as_simpleitks(mask, source, target)
        assert as_strong_as_simpleitks(resample_labels(mask, source, target), target, source)


def test_of_equally_strong_labels_the_lowest_wins():
    labels = np.array([7, 3, 7, 200, 5, 5], np.uint8).reshape(6, 1, 1)
    source = Grid(labels.shape, (1.0, 1.0, 1.0))
    halfway = Grid((5, 1, 1), (1.0, 1.0, 1.0))
    assert resample_labels(labels, source, halfway).ravel().tolist() == [3, 3, 7, 5, 5]


def test_beyond_the_field_of_view_the_outermost_voxels_repeat_along_that_axis_alone():
    """Back on a fine grid, its outermost planes may lie beyond a coarse grid's voxels: they are as smooth as others."""
    source, target = Grid((4, 6, 6), (4.0, 1.0, 1.0)), Grid((20, 12, 12), (1.0, 0.5, 0.5))
    labels = np.random.default_rng(0).integers(0, 3, source.shape).astype(np.uint8)
    in_plane = Grid((1, *source.shape[1:]), source.spacing_mm), Grid((1, *target.shape[1:]), target.spacing_mm)
    outermost = resample_labels(labels[:1], *in_plane)
    np.testing.assert_array_equal(resample_labels(labels, source, target)[:4], np.repeat(outermost, 4, axis=0))


@pytest.mark.parametrize(("shape", "new_mm"), [((150, 190, 170), 0.8), ((60, 300, 280), 1.5)])
def test_memory_is_what_was_foretold(shape, new_mm):
    source = Grid(shape, (1.0, 1.0, 1.0))
    target = source.at_spacing((new_mm,) * 3)
    image = noise((1, *shape))
    taken = peak_bytes(lambda: resample_image(image, source, target)) - 4 * np.prod(target.shape)
    assert taken == pytest.approx(resampling_bytes(source, target), rel=0.1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_labels_take_little_memory_however_many_they_are(dtype):
    source, target = Grid((3, 320, 300), (1.0, 1.0, 1.0)), Grid((4, 640, 600), (0.75, 0.5, 0.5))
    foretold = label_resampling_bytes(source, np.dtype(dtype).itemsize)
    result = np.prod(target.shape) * np.dtype(dtype).itemsize
    crowded, one = noise(source.shape, dtype), np.ones(source.shape, dtype)
    assert peak_bytes(lambda: resample_labels(crowded, source, target)) - result == pytest.approx(foretold, rel=0.1)
    assert peak_bytes(lambda: resample_labels(one, source, target)) - result < foretold
