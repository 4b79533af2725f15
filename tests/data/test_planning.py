import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scnas_deploy.data.check import check_dataset
from scnas_deploy.data.fingerprint import ChannelFigures, Fingerprint
from scnas_deploy.data.plan import ClippedZScore, CodedTerm, ZScore
from scnas_deploy.data.planning import default_channels, default_labels, make_plan
from scnas_deploy.errors import ConfigError
from scnas_deploy.project import ChannelSettings, LabelSettings, PlanSettings, Project
from tests.data.drawing import assert_explains_itself

BYTES_PER_VOXEL = 16 * 1024**3 / 128**3


def project_of(dataset, **fields):
    defaults = {"labels": default_labels(dataset), "channels": default_channels(dataset)}
    return Project(name="Planned", dataset=dataset.root, **(defaults | fields))


def fingerprint(extent=(100.0, 80.0, 60.0), spacing=(1.0, 1.0, 1.0), **channel):
    figures = {
        "percentile_00_5": -1000.0,
        "percentile_99_5": 1000.0,
        "foreground_low": -50.0,
        "foreground_high": 150.0,
        "foreground_mean": 60.0,
        "foreground_std": 20.0,
    }
    return Fingerprint(
        num_cases=5,
        spacing_min_mm=tuple(0.9 * s for s in spacing),
        spacing_median_mm=spacing,
        spacing_max_mm=tuple(1.2 * s for s in spacing),
        extent_min_mm=tuple(0.8 * e for e in extent),
        extent_max_mm=tuple(1.3 * e for e in extent),
        cropped_extent_median_mm=extent,
        nonzero_fraction=1.0,
        channels=(ChannelFigures(**(figures | channel)),),
        label_median_ml={},
        label_cases={},
    )


def planned(dataset, figures=None, **fields):
    return make_plan(dataset, figures or fingerprint(), project_of(dataset, **fields))


def labels(*names):
    return {value: LabelSettings(name=name, color="#123456") for value, name in enumerate(names, 1)}


@pytest.mark.parametrize(
    "name",
    [
        "left kidney",
        "Kidney_Right",
        "kidney-left",
        "LEFT",
        "Lt. lung",
        "lung (R)",
        "L_hippocampus",
        "hippocampus_l",
        "LeftKidney",
        "kidneyRight",
        "lh-precuneus",
        "ctx_rh_insula",
        "Left2",
        "leftlung",
        "RIGHTlung",
    ],
)
def test_a_label_with_a_side_is_never_mirrored_left_to_right(phantom_dataset, name):
    assert planned(phantom_dataset, labels=labels(name, "other")).mirror_axes == (1, 2)


@pytest.mark.parametrize("name", ["Anterior", "tumour", "gall bladder", "colon", "front", "liver", "large vessel"])
def test_labels_without_a_side_are_mirrored_along_all_axes(phantom_dataset, name):
    assert planned(phantom_dataset, labels=labels(name, "other")).mirror_axes == (0, 1, 2)


def test_the_users_word_about_mirroring_counts(phantom_dataset):
    plan = planned(phantom_dataset, plan=PlanSettings(mirror_axes=()))
    assert plan.mirror_axes == ()


@settings(max_examples=60, deadline=None)
@given(
    extent=st.tuples(*[st.floats(10, 600)] * 3),
    spacing=st.tuples(*[st.floats(0.4, 5)] * 3),
    memory=st.floats(0.2, 24),
)
def test_a_patch_covers_the_median_study_as_far_as_memory_allows(phantom_dataset, extent, spacing, memory):
    plan = planned(phantom_dataset, fingerprint(extent, spacing), plan=PlanSettings(memory_gib=memory))
    patch = plan.patch_size
    assert all(size % 8 == 0 and size >= 24 for size in patch)
    assert math.prod(patch) * BYTES_PER_VOXEL <= memory * 1024**3
    needed = [max(24, 8 * math.ceil(round(mm / step) / 8)) for mm, step in zip(extent, spacing, strict=True)]
    assert all(size <= most for size, most in zip(patch, needed, strict=True))
    if math.prod(needed) * BYTES_PER_VOXEL <= memory * 1024**3:
        assert list(patch) == needed
    else:
        grown = math.prod(patch) / max(patch) * (max(patch) + 8)
        assert grown * BYTES_PER_VOXEL > memory * 1024**3 * 0.8


def test_the_longest_axis_shrinks_first(phantom_dataset):
    assert planned(phantom_dataset, fingerprint((400.0, 64.0, 48.0)), plan=PlanSettings(memory_gib=2.0)).patch_size == (
        80,
        64,
        48,
    )


def test_the_median_spacing_is_taken_unless_the_user_says_otherwise(phantom_dataset):
    figures = fingerprint(spacing=(0.7, 0.7, 3.0))
    assert planned(phantom_dataset, figures).spacing_mm == (0.7, 0.7, 3.0)
    coarse = planned(phantom_dataset, figures, plan=PlanSettings(spacing_mm=(2.0, 2.0, 3.0)))
    assert coarse.spacing_mm == (2.0, 2.0, 3.0)
    assert coarse.patch_size == (56, 40, 24)


def test_the_users_overrides_reach_the_plan(phantom_dataset):
    plan = planned(phantom_dataset, plan=PlanSettings(patch_size=(32, 24, 40), crop="none"))
    assert plan.patch_size == (32, 24, 40)
    assert plan.crop == "none"


@pytest.mark.parametrize("size", [(32, 32, 33), (16, 32, 32), (25, 25, 25)])
def test_a_patch_the_network_cannot_halve_three_times_is_refused(phantom_dataset, size):
    with pytest.raises(ConfigError) as caught:
        planned(phantom_dataset, plan=PlanSettings(patch_size=size))
    assert_explains_itself(caught.value, "patch_size", "multiples of 8", str(size))


@pytest.mark.parametrize("names", [("front",), ("front", "back", "middle"), ()])
def test_a_labels_table_that_is_not_the_datasets_is_refused(phantom_dataset, names):
    with pytest.raises(ConfigError) as caught:
        planned(phantom_dataset, labels=labels(*names))
    assert_explains_itself(caught.value, "[labels]", "[1, 2]", str(list(range(1, len(names) + 1))))


def test_a_channels_table_that_is_not_the_datasets_is_refused(phantom_dataset):
    with pytest.raises(ConfigError) as caught:
        planned(phantom_dataset, channels={1: ChannelSettings(name="MRI", normalisation="zscore")})
    assert_explains_itself(caught.value, "[channels]", "[0]", "[1]")


def test_labels_keep_their_value_name_colour_and_term(phantom_dataset):
    table = {
        2: LabelSettings(name="spleen", color="#00ff00", code=("78961009", "SCT", "Spleen")),
        1: LabelSettings(name="other", color="#ff0000"),
    }
    first, second = planned(phantom_dataset, labels=table).labels
    assert (first.value, first.name, first.color, first.code) == (1, "other", "#ff0000", None)
    assert (second.value, second.name) == (2, "spleen")
    assert second.code == CodedTerm(value="78961009", scheme="SCT", meaning="Spleen")


@pytest.mark.parametrize(
    ("name", "expected"), [("CT", "ct"), (" ct ", "ct"), ("MRI", "zscore"), ("T1", "zscore"), ("CTA", "zscore")]
)
def test_only_ct_is_calibrated(phantom_dataset, name, expected):
    dataset = replace(phantom_dataset, channels=(name,))
    assert default_channels(dataset)[0].normalisation == expected


def test_every_label_gets_a_colour_of_its_own(phantom_dataset):
    dataset = replace(phantom_dataset, labels={value: f"structure {value}" for value in range(1, 11)})
    assert len({label.color for label in default_labels(dataset).values()}) == 10


def test_ct_is_clipped_to_the_foreground_and_limited_to_what_was_seen(phantom_dataset):
    plan = planned(phantom_dataset, channels={0: ChannelSettings(name="CT", normalisation="ct")})
    assert plan.channels[0].normalisation == ClippedZScore(low=-50, high=150, mean=60, std=20)
    assert plan.limits.intensity == ((-2000.0, 2000.0),)


def test_a_structure_of_one_intensity_does_not_divide_by_zero(phantom_dataset):
    figures = fingerprint(foreground_std=0.0)
    plan = planned(phantom_dataset, figures, channels={0: ChannelSettings(name="CT", normalisation="ct")})
    assert plan.channels[0].normalisation.std > 0


def test_geometry_may_leave_the_training_range_by_half(phantom_dataset):
    plan = planned(phantom_dataset, fingerprint(spacing=(1.0, 1.0, 3.0)))
    assert plan.limits.spacing_mm[0] == pytest.approx((0.9 / 1.5, 1.2 * 1.5))
    assert plan.limits.spacing_mm[2] == pytest.approx((2.7 / 1.5, 3.6 * 1.5))
    assert plan.limits.extent_mm[0] == pytest.approx((80 / 1.5, 130 * 1.5))
    assert plan.limits.intensity == (None,)


def test_the_plan_names_the_fingerprint_it_was_made_from(phantom_dataset):
    assert planned(phantom_dataset).dataset_fingerprint == fingerprint().digest


def test_the_plan_of_the_real_hippocampus(hippocampus, hippocampus_report):
    plan = make_plan(hippocampus, hippocampus_report.fingerprint(), project_of(hippocampus))
    assert plan.patch_size == (40, 56, 40)
    assert plan.spacing_mm == (1.0, 1.0, 1.0)
    assert plan.channels[0].normalisation == ZScore()
    assert plan.limits.intensity == (None,)
    assert plan.class_values == (0, 1, 2)
    assert plan.mirror_axes == (0, 1, 2)


def test_the_plan_of_real_ct(sarcoma):
    report = check_dataset(sarcoma)
    assert report.unusable == ()
    plan = make_plan(sarcoma, report.fingerprint(), project_of(sarcoma))
    normalisation = plan.channels[0].normalisation
    assert isinstance(normalisation, ClippedZScore)
    assert -200 < normalisation.low < normalisation.mean < normalisation.high < 500
    assert plan.spacing_mm == pytest.approx((0.977, 0.977, 3.27), abs=1e-3)
    ((low, high),) = plan.limits.intensity
    assert low < -1000 < 200 < high
    assert math.prod(plan.patch_size) <= 128**3


def test_the_plan_of_four_real_channels(sclerosis):
    dataset = replace(sclerosis, cases=sclerosis.cases[:1])
    plan = make_plan(dataset, check_dataset(dataset).fingerprint(), project_of(dataset))
    assert [channel.name for channel in plan.channels] == list(sclerosis.channels)
    assert all(channel.normalisation == ZScore() for channel in plan.channels)
    assert plan.limits.intensity == (None,) * 4
