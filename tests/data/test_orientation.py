import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scnas_deploy.data.orientation import axis_mapping, to_ras
from scnas_deploy.data.volume import Volume
from tests.data.drawing import ORIENTATIONS, noise, oblique_affine, stored_as

SHAPE = (4, 5, 6)
SPACING_MM = (0.7, 1.2, 2.5)


def stored_volume(codes, degrees=20.0, shear=0.0):
    voxels, affine = stored_as(codes, noise(SHAPE), oblique_affine(SPACING_MM, degrees=degrees, shear=shear))
    return Volume(data=voxels[None], affine_ras=affine)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_each_orientation_turns_to_the_same_ras_study(codes):
    ras, _ = to_ras(stored_volume(codes))
    np.testing.assert_array_equal(ras.data[0], noise(SHAPE))
    np.testing.assert_allclose(ras.affine_ras, oblique_affine(SPACING_MM), atol=1e-9)
    np.testing.assert_allclose(ras.spacing_mm, SPACING_MM)
    assert nib.aff2axcodes(ras.affine_ras) == ("R", "A", "S")


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_backward_undoes_forward(codes):
    volume = stored_volume(codes)
    mapping = axis_mapping(volume.affine_ras)
    np.testing.assert_array_equal(mapping.backward(mapping.forward(volume.data)), volume.data)
    np.testing.assert_array_equal(mapping.backward(mapping.forward(volume.data[0])), volume.data[0])
    assert mapping.backward_shape(mapping.forward(volume.data[0]).shape) == volume.shape


def test_a_ras_study_is_left_alone():
    mapping = axis_mapping(oblique_affine(SPACING_MM))
    assert mapping.permutation == (0, 1, 2)
    assert mapping.flipped == (False, False, False)


@settings(max_examples=60, deadline=None)
@given(
    codes=st.sampled_from(ORIENTATIONS),
    degrees=st.floats(-40, 40),
    shear=st.floats(-0.3, 0.3),
    index=st.tuples(*(st.integers(0, n - 1) for n in SHAPE)),
)
def test_a_voxel_keeps_its_place_in_the_patient(codes, degrees, shear, index):
    volume = stored_volume(codes, degrees, shear)
    ras, mapping = to_ras(volume)
    mark = np.zeros(volume.shape, dtype=bool)
    mark[tuple(i % n for i, n in zip(index, volume.shape, strict=True))] = True
    before = volume.affine_ras @ [*np.argwhere(mark)[0], 1]
    after = ras.affine_ras @ [*np.argwhere(mapping.forward(mark))[0], 1]
    np.testing.assert_allclose(after, before, atol=1e-9)


def test_turning_keeps_what_else_the_volume_says():
    volume = Volume(
        data=noise((1, *SHAPE)), affine_ras=np.diag([-1.0, -1, 1, 1]), orientation_known=False, notes=("a note",)
    )
    ras, _ = to_ras(volume)
    assert not ras.orientation_known
    assert ras.notes == ("a note",)
