from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scnas_deploy.data.study import load_study, require_same_grid
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import FormatError
from tests.data.drawing import assert_explains_itself, nifti_image, noise, oblique_affine

SHAPE = (12, 12, 12)
AFFINE = oblique_affine((1.0, 1.0, 1.0))


def volume(affine=AFFINE, shape=SHAPE):
    return Volume(data=noise((1, *shape)), affine_ras=affine)


def turned(permutation=(0, 1, 2), mirrored=()):
    """The grid over the same cube whose axes are swapped or run the other way."""
    affine = AFFINE.copy()
    affine[:3, :3] = AFFINE[:3, list(permutation)]
    for axis in mirrored:
        affine[:3, 3] += affine[:3, axis] * (SHAPE[axis] - 1)
        affine[:3, axis] *= -1
    return affine


def write(folder, **images):
    for name, image in images.items():
        nib.save(image, folder / f"{name}.nii.gz")
    return [folder / f"{name}.nii.gz" for name in images]


def test_one_file_a_channel_becomes_one_volume_in_the_given_order(tmp_path):
    first, second = noise(SHAPE, seed=1), noise(SHAPE, np.float32, seed=2)
    paths = write(tmp_path, z=nifti_image(first, AFFINE), a=nifti_image(second, AFFINE))
    np.testing.assert_array_equal(load_study(paths).data, np.stack([first, second]))
    np.testing.assert_array_equal(load_study(paths[::-1]).data, np.stack([second, first]))


def test_a_single_file_is_the_study(tmp_path):
    paths = write(tmp_path, a=nifti_image(noise((*SHAPE, 3)), AFFINE))
    assert load_study(paths).num_channels == 3


def test_channels_of_another_shape_are_refused(tmp_path):
    paths = write(tmp_path, a=nifti_image(noise(SHAPE), AFFINE), b=nifti_image(noise((12, 12, 11)), AFFINE))
    with pytest.raises(FormatError) as caught:
        load_study(paths)
    assert_explains_itself(caught.value, "b.nii.gz", str(SHAPE), "(12, 12, 11)")


def test_channels_at_another_place_are_refused(tmp_path):
    moved = AFFINE.copy()
    moved[0, 3] += 3.0
    paths = write(tmp_path, a=nifti_image(noise(SHAPE), AFFINE), b=nifti_image(noise(SHAPE), moved))
    with pytest.raises(FormatError) as caught:
        load_study(paths)
    assert_explains_itself(caught.value, "b.nii.gz", "3 mm")


def test_a_missing_channel_is_refused(tmp_path):
    paths = write(tmp_path, a=nifti_image(noise(SHAPE), AFFINE))
    with pytest.raises(FormatError, match="no such file"):
        load_study([*paths, tmp_path / "b.nii.gz"])


def test_rounding_errors_are_no_other_grid():
    require_same_grid("mask", volume(AFFINE + np.diag([1e-4, 1e-4, 1e-4, 0])), volume())
    with pytest.raises(FormatError):
        require_same_grid("mask", volume(AFFINE + np.diag([1e-2, 0, 0, 0])), volume())


@pytest.mark.parametrize("axis", range(3))
def test_a_mirrored_mask_is_refused(axis):
    with pytest.raises(FormatError) as caught:
        require_same_grid("mask", volume(turned(mirrored=[axis])), volume())
    assert_explains_itself(caught.value, "mask", "affine")


@pytest.mark.parametrize("permutation", [(1, 0, 2), (0, 2, 1), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_a_mask_whose_axes_are_swapped_is_refused(permutation):
    """On a cube of voxels the first and the last voxel lie where they should."""
    with pytest.raises(FormatError) as caught:
        require_same_grid("mask", volume(turned(permutation)), volume())
    assert_explains_itself(caught.value, "mask", "affine")


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(2, 40)] * 3),
    change=st.lists(st.floats(-0.004, 0.004), min_size=12, max_size=12),
)
def test_two_grids_are_the_same_where_no_corner_moves(shape, change):
    other = AFFINE.copy()
    other[:3] += np.reshape(change, (3, 4))
    corners = np.array([[x, y, z, 1] for x in (0, shape[0] - 1) for y in (0, shape[1] - 1) for z in (0, shape[2] - 1)])
    moved = np.linalg.norm(corners @ (other - AFFINE).T, axis=1).max()
    assume(abs(moved - 0.1) > 0.001)
    refused = False
    try:
        require_same_grid("mask", volume(other, shape), volume(AFFINE, shape))
    except FormatError:
        refused = True
    assert refused == (moved > 0.1)


def test_what_the_first_file_says_is_kept(tmp_path):
    paths = write(
        tmp_path,
        a=nifti_image(noise(SHAPE), AFFINE, sform_code=0, qform_code=0),
        b=nifti_image(noise(SHAPE), AFFINE, sform_code=0, qform_code=0),
    )
    study = load_study(paths)
    assert not study.orientation_known
    assert replace(study, notes=()).nifti is not None
    assert study.notes
