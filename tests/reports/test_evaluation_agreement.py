"""Bias and limits of agreement, against figures worked out by hand."""

import pytest

from scnas_deploy.reports.evaluation_agreement import Agreement, VolumePair, agreements
from tests.training.scores import make_evaluation


def test_bias_and_limits_of_known_volumes():
    """Differences of 1, 2 and 3 ml: bias 2, standard deviation 1."""
    pairs = tuple(VolumePair(str(number), 10.0, 10.0 + number) for number in (1, 2, 3))
    agreement = Agreement("liver", pairs)
    assert (agreement.bias_ml, agreement.sd_ml, agreement.mean_true_ml) == (2.0, 1.0, 10.0)
    assert agreement.limits_ml == pytest.approx((0.04, 3.96))
    assert (pairs[1].mean_ml, pairs[1].difference_ml) == (11.0, 2.0)


def test_one_case_has_no_limits_and_none_no_bias():
    assert Agreement("liver", (VolumePair("x", 1.0, 2.0),)).limits_ml is None
    assert Agreement("liver", ()).bias_ml is None


def test_a_case_without_the_structure_does_not_count():
    (front, back) = agreements(make_evaluation({"front": [0.9, 0.8], "back": [None, 0.7]}))
    assert (len(front.pairs), len(back.pairs)) == (2, 1)
