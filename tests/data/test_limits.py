import numpy as np
import pytest

from scnas_deploy.data.limits import violations
from scnas_deploy.data.plan import ZScore
from scnas_deploy.data.volume import Volume
from tests.data.drawing import CT, ORIENTATIONS, make_plan, noise, oblique_affine, stored_as

SPACING_MM = (1.0, 2.0, 3.0)
SHAPE = (30, 20, 10)
LIMITS = {
    "spacing_mm": ((0.9, 1.1), (1.8, 2.2), (2.7, 3.3)),
    "extent_mm": ((25.0, 35.0), (35.0, 45.0), (25.0, 35.0)),
}


def study(spacing=SPACING_MM, shape=SHAPE, codes="RAS", **more):
    voxels, affine = stored_as(codes, noise(shape), oblique_affine(spacing))
    return Volume(data=voxels[None], affine_ras=affine, **more)


@pytest.mark.parametrize("codes", ORIENTATIONS[::5])
def test_a_study_like_the_training_cases_is_within_the_limits_however_it_lies(codes):
    assert violations(study(codes=codes), make_plan(limits=LIMITS)) == ()


@pytest.mark.parametrize(("axis", "name"), list(enumerate("RAS")))
@pytest.mark.parametrize("factor", [0.5, 1.5])
@pytest.mark.parametrize("codes", ["RAS", "SPL"])
def test_each_axis_spacing_is_named(axis, name, factor, codes):
    spacing = list(SPACING_MM)
    spacing[axis] *= factor
    shape = list(SHAPE)
    shape[axis] = round(shape[axis] / factor)
    (text,) = violations(study(spacing, shape, codes), make_plan(limits=LIMITS))
    low, high = LIMITS["spacing_mm"][axis]
    assert text == f"voxel spacing {spacing[axis]:.4g} mm along {name}, {low:.4g} to {high:.4g} mm allowed"


@pytest.mark.parametrize(("axis", "name"), list(enumerate("RAS")))
def test_each_axis_extent_is_named(axis, name):
    shape = list(SHAPE)
    shape[axis] *= 2
    (text,) = violations(study(shape=shape), make_plan(limits=LIMITS))
    assert text.startswith(f"field of view {shape[axis] * SPACING_MM[axis]:.4g} mm along {name}")


@pytest.mark.parametrize("value", [0, -1024])
def test_a_constant_image_is_named(value):
    data = np.full((1, *SHAPE), value, np.int16)
    assert violations(Volume(data=data, affine_ras=np.eye(4)), make_plan()) == (
        f"channel channel 0 is the constant {value}",
    )


def test_each_constant_channel_is_named():
    data = np.stack([noise(SHAPE), np.full(SHAPE, 7, np.int16)])
    plan = make_plan(ZScore(), ZScore())
    assert violations(Volume(data=data, affine_ras=np.eye(4)), plan) == ("channel channel 1 is the constant 7",)


@pytest.mark.parametrize("shift", [-1024, 5000])
def test_a_ct_off_the_hounsfield_scale_is_named(shift):
    plan = make_plan(CT, limits={"intensity": ((-200.0, 400.0),)})
    within = study()
    assert violations(within, plan) == ()
    beyond = Volume(data=within.data + np.int16(shift), affine_ras=within.affine_ras)
    (text,) = violations(beyond, plan)
    assert "intensities" in text
    assert "-200 to 400 allowed" in text


def test_a_few_bright_voxels_are_no_reason_to_refuse():
    bright = study()
    data = bright.data.copy()
    data[0, :2, 0, 0] = 30000
    assert (
        violations(
            Volume(data=data, affine_ras=bright.affine_ras), make_plan(CT, limits={"intensity": ((-200.0, 400.0),)})
        )
        == ()
    )


def test_an_unknown_orientation_is_named():
    (text,) = violations(study(orientation_known=False), make_plan(limits=LIMITS))
    assert "which way the patient lies" in text


def test_everything_that_is_wrong_is_named_at_once():
    data = np.zeros((1, 5, 5, 5), np.int16)
    odd = Volume(data=data, affine_ras=np.diag([9.0, 9, 9, 1]), orientation_known=False)
    found = violations(odd, make_plan(limits=LIMITS))
    assert len(found) == 1 + 3 + 2 + 1
