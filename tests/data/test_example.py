"""A made-up study looks like one of the plan's."""

import numpy as np
import pytest

from scnas_deploy.data.example import example_study
from scnas_deploy.data.limits import violations
from scnas_deploy.data.plan import Channel, ClippedZScore, ZScore
from scnas_deploy.data.preprocess import prepare


def test_it_lies_within_the_limits_between_the_training_cases_and_nothing_of_it_is_cropped(phantom_plan):
    study = example_study(phantom_plan)
    assert violations(study, phantom_plan) == ()
    assert study.spacing_mm == pytest.approx(phantom_plan.spacing_mm)
    for size, spacing, (low, high) in zip(study.shape, study.spacing_mm, phantom_plan.limits.extent_mm, strict=True):
        assert size * spacing == pytest.approx((low * high) ** 0.5, abs=spacing)
        assert 1.5 * low <= size * spacing + spacing
        assert size * spacing - spacing <= high / 1.5
    image, _ = prepare(study, phantom_plan)
    assert image.shape[1:] == study.shape


def test_it_is_always_the_same(phantom_plan):
    np.testing.assert_array_equal(example_study(phantom_plan).data, example_study(phantom_plan).data)


def test_each_channel_keeps_to_its_range(phantom_plan):
    ct = Channel(name="CT", normalisation=ClippedZScore(low=-50, high=50, mean=0, std=10))
    limits = phantom_plan.limits.model_copy(update={"intensity": (None, (-1000.0, 1000.0))})
    channels = (Channel(name="MR", normalisation=ZScore()), ct)
    plan = phantom_plan.model_copy(update={"channels": channels, "limits": limits})
    study = example_study(plan)
    assert study.num_channels == 2
    assert violations(study, plan) == ()
    assert study.data[1].min() < 0 < study.data[1].max()
