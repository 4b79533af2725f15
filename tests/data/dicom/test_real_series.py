"""Real series become the volumes that others made of them, or the right verdict with the right figures."""

import os
from pathlib import Path

import numpy as np
import pytest

from scnas_deploy.data.dicom.verdicts import Gap, Mosaic, SeveralVolumes, Tilt
from tests.data.dicom.real_series import CASES, Outcome, outcome_of, table

MOSAICS = [case.name for case in CASES if case.path.startswith(("mr_t", "mr_12")) and not case.allow]
PAGE = Path(__file__).parents[3] / "docs" / "dicom_series.md"


@pytest.fixture(scope="module")
def outcomes(scnas_data, tmp_path_factory) -> dict[str, Outcome]:
    root = scnas_data / "dicom"
    return {case.name: outcome_of(case, root, tmp_path_factory.mktemp("oracle")) for case in CASES}


@pytest.mark.parametrize("name", [case.name for case in CASES if case.reference is not None])
def test_a_series_is_the_volume_that_others_made_of_it(outcomes, name):
    outcome = outcomes[name]
    assert outcome.error is None, outcome.error
    assert outcome.affine_off_mm < 1e-3
    if outcome.volume.data.dtype.kind == "i":
        assert outcome.values_off == 0
    else:
        assert outcome.values_off < (2e-6 if "PET" in name else 1e-7)


def test_values_that_no_integer_holds_are_those_of_pet_and_of_slopes_below_one(outcomes):
    floats = {name for name, outcome in outcomes.items() if outcome.volume and outcome.volume.data.dtype.kind == "f"}
    assert {name for name in floats if "PET" not in name} == {
        "mr_classic_and_enhanced/In/cl",
        "mr_classic_and_enhanced/In/enh",
    }


def test_the_tilted_ct_is_refused_with_its_angle_and_its_gaps(outcomes):
    tilt, gap = outcomes["ct_tilt_variable_gap/In"].error.verdicts
    assert isinstance(tilt, Tilt)
    assert isinstance(gap, Gap)
    assert tilt.degrees == pytest.approx(18.5, abs=0.05)
    assert (min(gap.distances_mm), max(gap.distances_mm)) == pytest.approx((1.08, 7.0), abs=0.01)
    assert "18.5 degrees" in str(outcomes["ct_tilt_variable_gap/In"].error)


@pytest.mark.parametrize(
    ("name", "volumes", "by"),
    [("mr_enhanced/In/Philips", 2, "image type"), ("mr_enhanced/In/Siemens", 4, "time point")],
)
def test_several_volumes_in_one_series_are_refused(outcomes, name, volumes, by):
    (verdict,) = outcomes[name].error.verdicts
    assert verdict == SeveralVolumes(volumes=volumes, by=(by,))


@pytest.mark.parametrize("name", MOSAICS)
def test_a_mosaic_is_refused_unless_splitting_is_allowed(outcomes, name):
    assert outcomes[name].error.verdicts == (Mosaic(),)
    assert "--allow split-mosaic" in str(outcomes[name].error)


def test_what_was_corrected_is_said(outcomes):
    for name, outcome in outcomes.items():
        if outcome.volume is not None:
            assert outcome.volume.dicom.corrections == outcome.case.allow, name
            assert len(outcome.volume.notes) == len(outcome.case.allow), name


def test_all_transfer_syntaxes_hold_the_same_picture(outcomes):
    first, *others = (each for each in outcomes.values() if each.case.path.startswith("mr_t") and each.volume)
    assert len(others) == 8
    for other in others:
        np.testing.assert_array_equal(first.volume.data, other.volume.data)


def test_the_page_of_all_series_is_up_to_date(outcomes):
    page = table(list(outcomes.values()))
    if os.environ.get("SCNAS_UPDATE") == "1":
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page
