import numpy as np
import pytest

from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import GeometryError
from tests.data.drawing import assert_explains_itself, noise, oblique_affine


def volume(affine, shape=(2, 4, 5, 6)):
    return Volume(data=noise(shape), affine_ras=affine)


def test_spacing_is_the_length_of_a_step_however_the_grid_lies():
    np.testing.assert_allclose(volume(oblique_affine((0.5, 1.5, 4.0))).spacing_mm, (0.5, 1.5, 4.0))


def test_shape_leaves_the_channels_out():
    study = volume(np.eye(4))
    assert study.shape == (4, 5, 6)
    assert study.num_channels == 2


def test_a_voxel_of_a_centimetre_holds_a_millilitre():
    assert volume(oblique_affine((10.0, 10.0, 10.0))).voxel_ml == pytest.approx(1.0)


def test_a_sheared_voxel_holds_base_times_height():
    affine = np.diag([2.0, 3.0, 5.0, 1.0])
    affine[0, 1] = 1.7
    study = volume(affine)
    assert study.voxel_ml == pytest.approx(0.03)
    assert np.prod(study.spacing_mm) / 1000 > 0.03


def test_a_mirrored_grid_holds_as_much():
    assert volume(np.diag([-2.0, 3.0, 5.0, 1.0])).voxel_ml == pytest.approx(0.03)


@pytest.mark.parametrize(
    "affine",
    [
        pytest.param(np.diag([1.0, 0.0, 1.0, 1.0]), id="an axis of no length"),
        pytest.param(np.array([[1.0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), id="two parallel axes"),
        pytest.param(np.diag([1.0, np.nan, 1.0, 1.0]), id="NaN"),
        pytest.param(np.diag([1.0, np.inf, 1.0, 1.0]), id="infinity"),
    ],
)
def test_an_affine_that_places_no_voxel_is_refused(affine):
    with pytest.raises(GeometryError) as caught:
        volume(affine)
    assert_explains_itself(caught.value, "invertible")
    assert "\n" not in str(caught.value)


def test_voxels_of_half_a_micrometre_can_be_placed():
    assert volume(np.diag([5e-4, 5e-4, 5e-4, 1.0])).spacing_mm == pytest.approx((5e-4, 5e-4, 5e-4))
