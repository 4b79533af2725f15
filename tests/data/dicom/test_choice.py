"""Series are chosen by the plan's rules, for stated reasons, or not at all."""

from dataclasses import replace

import numpy as np
import pytest

from scnas_deploy.data.dicom.choice import SeriesChoice, choose, require_complete
from scnas_deploy.data.dicom.scan import scan
from scnas_deploy.data.dicom.verdicts import Gap, VerdictError
from scnas_deploy.data.plan import Plan, SeriesRule, ZScore
from scnas_deploy.data.study import load_study
from scnas_deploy.errors import ChoiceError, ConfigError
from tests.data.drawing import make_plan
from tests.dicom_drawing import Drawing, Grid


def ruled(*rules: dict[str, str], limits=None) -> Plan:
    """A plan with a channel for each set of rules."""
    plan = make_plan(*[ZScore()] * len(rules), limits=limits)
    channels = [
        channel.model_copy(update={"select": tuple(SeriesRule(attribute=k, matches=v) for k, v in rule.items())})
        for channel, rule in zip(plan.channels, rules, strict=True)
    ]
    return plan.model_copy(update={"channels": tuple(channels)})


@pytest.fixture
def study(tmp_path):
    """A CT, and two MR series on its grid."""
    for number, (name, modality) in enumerate([("ct thin", "CT"), ("T1 pre", "MR"), ("FLAIR", "MR")]):
        Drawing(name=name, modality=modality, seed=number).save(tmp_path)
    return tmp_path


def numbers(study, plan, **how):
    return [each.number for each in require_complete(choose(scan([study]), plan, SeriesChoice(**how)))]


def described(study):
    return {each.header.SeriesDescription: number for number, each in enumerate(scan([study]).series, start=1)}


def test_the_one_series_that_meets_the_rules_is_taken(study):
    plan = ruled({"Modality": "^MR$", "SeriesDescription": "t1"})
    assert numbers(study, plan) == [described(study)["T1 pre"]]
    np.testing.assert_array_equal(load_study([study], plan).data[0], Drawing(seed=1).voxels)


def test_channels_come_in_the_order_of_the_plan(study):
    plan = ruled({"SeriesDescription": "FLAIR"}, {"SeriesDescription": "T1"})
    assert numbers(study, plan) == [described(study)[name] for name in ("FLAIR", "T1 pre")]
    volume = load_study([study], plan)
    np.testing.assert_array_equal(volume.data, np.stack([Drawing(seed=seed).voxels for seed in (2, 1)]))


def test_two_that_could_serve_are_refused_unless_one_is_named(study):
    plan = ruled({"Modality": "MR"})
    with pytest.raises(ChoiceError, match="2 that could serve"):
        numbers(study, plan)
    wanted = described(study)["FLAIR"]
    assert numbers(study, plan, named=(str(wanted),)) == [wanted]
    assert numbers(study, plan, named=(scan([study]).series[wanted - 1].uid,)) == [wanted]


@pytest.mark.parametrize("named", [("9",), ("1.2.3",), ("1", "2")])
def test_names_of_no_series_are_refused(study, named):
    with pytest.raises(ConfigError):
        numbers(study, ruled({"Modality": "MR"}), named=named)


def test_without_a_series_that_meets_the_rules_there_is_none(study):
    with pytest.raises(ChoiceError, match="none among 3 series"):
        numbers(study, ruled({"Modality": "PT"}))


def test_a_series_that_no_grid_can_be_made_of_gives_its_verdict(study):
    Drawing(name="T2", modality="MR").save(study, lambda objects: objects[:4] + objects[5:])
    plan = ruled({"SeriesDescription": "T2"})
    with pytest.raises(VerdictError) as caught:
        numbers(study, plan)
    assert isinstance(caught.value.verdicts[0], Gap)
    assert numbers(study, plan, allow=("resample-gaps",)) == [described(study)["T2"]]


def test_what_the_model_was_not_made_for_is_left_unless_forced(study):
    limits = {"spacing_mm": ((0, 9),) * 3, "extent_mm": ((0, 9), (0, 99), (0, 99)), "intensity": (None,)}
    plan = ruled({"SeriesDescription": "T1"}, limits=limits)
    choice = choose(scan([study]), plan)
    assert choice.taken == (None,)
    assert "field of view 16 mm along R, 0 to 9 mm allowed" in choice.why(
        choice.candidates[described(study)["T1 pre"] - 1]
    )
    assert numbers(study, plan, force=True) == [described(study)["T1 pre"]]


def test_each_series_is_explained(study):
    choice = choose(scan([study]), ruled({"SeriesDescription": "T1|FLAIR", "Modality": "MR"}))
    why = {each.series.header.SeriesDescription: choice.why(each) for each in choice.candidates}
    assert why["ct thin"] == "left: SeriesDescription does not match 'T1|FLAIR'; Modality does not match 'MR'"
    assert "so could another" in why["T1 pre"]
    chosen = choose(scan([study]), ruled({"SeriesDescription": "FLAIR"}))
    assert {chosen.why(each) for each in chosen.candidates if each is chosen.taken[0]} == {"taken for channel 0"}


def test_channels_of_other_patients_or_frames_are_refused(study):
    plan = ruled({"SeriesDescription": "FLAIR"}, {"SeriesDescription": "PD"})
    Drawing(name="PD", modality="MR", patient="ANOTHER").save(study)
    with pytest.raises(ChoiceError, match="the first channel's patient, found another one"):
        load_study([study], plan)


def test_a_channel_on_another_grid_is_brought_to_the_first_ones(study):
    coarse = Grid(shape=(10, 8, 6), spacing_mm=(1.6, 2.2), distance_mm=5.0, origin_mm=(-30.6, 12.55, 58.25))
    Drawing(name="T2", modality="MR", grid=coarse).save(study)
    volume = load_study([study], ruled({"SeriesDescription": "FLAIR"}, {"SeriesDescription": "T2"}))
    assert volume.shape == (20, 16, 12)
    own = Drawing(name="T2", grid=coarse).voxels.astype(float)
    middle = volume.data[1][9, 7, 5]  # half way between eight voxels of the coarse grid, or near it
    assert own[3:6, 2:5, 1:4].min() <= middle <= own[3:6, 2:5, 1:4].max()
    index = (2, 1, 1)  # where voxel 5, 3, 3 of the fine grid lies between coarse ones
    point = np.linalg.inv(coarse.affine_ras()) @ Grid().affine_ras() @ [5, 3, 3, 1]
    low = np.floor(point[:3]).astype(int)
    assert tuple(low) == index
    part = point[:3] - low
    expected = sum(
        own[tuple(low + corner)] * np.prod(np.where(corner, part, 1 - part)) for corner in np.ndindex(2, 2, 2)
    )
    assert volume.data[1][5, 3, 3] == pytest.approx(expected, abs=1e-2)


@pytest.mark.parametrize(
    "grid",
    [Grid(origin_mm=(200.0, 12.0, 57.0)), replace(Grid(), spacing_mm=(8.0, 11.0), distance_mm=25.0)],
    ids=["elsewhere", "far larger"],
)
def test_a_frame_of_reference_alone_proves_nothing(study, grid):
    """Both share the first channel's frame of reference UID."""
    Drawing(name="T2", modality="MR", grid=grid).save(study)
    with pytest.raises(ChoiceError, match="covers"):
        load_study([study], ruled({"SeriesDescription": "FLAIR"}, {"SeriesDescription": "T2"}))


def test_the_crop_of_another_patient_is_not_taken_for_a_channel_of_the_head(scnas_data):
    plan = ruled({"SeriesDescription": "T1post"}, {"SeriesDescription": "HippoCrop"})
    with pytest.raises(ChoiceError):
        load_study([scnas_data / "dicom" / "head_mr_4series"], plan)


def test_four_series_of_one_head_are_four_channels(scnas_data):
    names = ("T1pre_reg", "T1post", "FLAIR_reg", "T2_reg")
    volume = load_study(
        [scnas_data / "dicom" / "head_mr_4series"], ruled(*({"SeriesDescription": f"^{name}$"} for name in names))
    )
    assert volume.data.shape == (4, 280, 320, 22)
    assert len({channel.tobytes() for channel in volume.data}) == 4


def test_one_series_does_not_serve_two_channels(study):
    plan = ruled({"SeriesDescription": "FLAIR"}, {"Modality": "MR", "SeriesDescription": "FL"})
    with pytest.raises(ChoiceError, match="a series of its own for each channel"):
        load_study([study], plan)


def test_what_was_done_to_any_channel_is_kept(study):
    Drawing(name="T2", modality="MR").save(study, lambda objects: objects[:4] + objects[5:])
    plan = ruled({"SeriesDescription": "FLAIR"}, {"SeriesDescription": "T2"})
    volume = load_study([study], plan, SeriesChoice(allow=("resample-gaps",)))
    assert volume.dicom.corrections == ()
    assert volume.dicom.all_corrections == ("resample-gaps",)
    assert len(volume.dicom.further[0].planes) == 11
