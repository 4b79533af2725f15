"""What a comparison of two evaluations must satisfy."""

import numpy as np
import pytest

from scnas_deploy.errors import DataError
from scnas_deploy.training.comparison import compare
from scnas_deploy.training.evaluation import METRICS, Evaluation
from tests.training.scores import make_evaluation

RANDOM = np.random.default_rng(3)
DICES = {"front": RANDOM.uniform(0.5, 0.8, 25).tolist(), "back": RANDOM.uniform(0.4, 0.7, 25).tolist()}
OTHER_DICES = {label: RANDOM.uniform(0.4, 0.9, 25).tolist() for label in DICES}
A, B = make_evaluation(DICES, subject="first"), make_evaluation(OTHER_DICES, subject="second")


def differences(comparison):
    for compared in comparison.metrics.values():
        yield from (*compared.by_label.values(), compared.mean_foreground)


def with_cases(evaluation: Evaluation, cases) -> Evaluation:
    return evaluation.model_copy(update={"cases": tuple(cases)})


def test_identical_evaluations_differ_by_exactly_nothing():
    result = compare(A, A)
    assert set(result.metrics) == set(METRICS)
    for found in differences(result):
        assert (found.difference, found.interval) == (0.0, (0.0, 0.0))
        assert found.num_cases == 25


def test_a_constant_shift_is_found_without_doubt():
    shifted = make_evaluation({label: [value + 0.05 for value in values] for label, values in DICES.items()})
    result = compare(A, shifted).metrics["dice"]
    for found in (*result.by_label.values(), result.mean_foreground):
        assert found.difference == pytest.approx(0.05, abs=1e-12)
        assert found.interval == pytest.approx((0.05, 0.05), abs=1e-12)


def test_the_order_of_cases_does_not_matter():
    assert compare(A, with_cases(B, reversed(B.cases))) == compare(A, B)


def test_swapping_negates():
    for forth, back in zip(differences(compare(A, B)), differences(compare(B, A)), strict=True):
        assert (back.a, back.b, back.difference) == (forth.b, forth.a, -forth.difference)
        assert back.interval == pytest.approx((-forth.interval[1], -forth.interval[0]), abs=1e-12)


def test_means_and_intervals_are_those_of_a_plain_bootstrap():
    found = compare(A, B).metrics["dice"]
    paired = np.array([OTHER_DICES[label] for label in DICES]) - np.array([DICES[label] for label in DICES])
    assert found.by_label["back"].a == pytest.approx(np.mean(DICES["back"]))
    assert found.mean_foreground.difference == pytest.approx(paired.mean())
    resampled = paired.mean(axis=0)[np.random.default_rng(9).integers(0, 25, (20000, 25))].mean(axis=1)
    assert found.mean_foreground.interval == pytest.approx(np.percentile(resampled, (2.5, 97.5)), abs=2e-3)


def test_the_interval_holds_the_truth_in_about_95_of_100_experiments():
    random = np.random.default_rng(11)
    held, experiments, cases = 0, 100, 40
    for _ in range(experiments):
        before = random.uniform(0.4, 0.7, cases)
        after = before + random.normal(0.03, 0.05, cases)
        result = compare(make_evaluation({"a": before.tolist()}), make_evaluation({"a": after.tolist()}))
        low, high = result.metrics["dice"].by_label["a"].interval
        held += low <= 0.03 <= high
    assert 0.91 <= held / experiments <= 0.98


def test_only_cases_with_a_score_in_both_count():
    first, second = make_evaluation({"a": [0.5, None, 0.9]}), make_evaluation({"a": [0.6, 0.0, None]})
    found = compare(first, second).metrics["dice"].by_label["a"]
    assert (found.a, found.b, found.num_cases) == (0.5, 0.6, 1)
    assert found.interval is None


def test_a_label_without_a_pair_is_left_out_of_the_mean_foreground():
    first, second = (
        make_evaluation({"a": [0.5, 0.7], "b": [None, 1.0]}),
        make_evaluation({"a": [0.6, 0.8], "b": [0, None]}),
    )
    found = compare(first, second).metrics["dice"]
    assert found.by_label["b"] is None
    assert found.mean_foreground == found.by_label["a"]


def test_an_hd95_defined_nowhere_has_no_comparison():
    nowhere = make_evaluation(DICES, hd95_mm=None)
    found = compare(A, nowhere)
    assert found.metrics["hd95_mm"].mean_foreground is None
    assert found.metrics["dice"].mean_foreground is not None


def test_cases_without_a_partner_are_counted():
    found = compare(with_cases(A, A.cases[:20]), with_cases(B, B.cases[5:]))
    assert (found.num_cases, found.left_out_a, found.left_out_b) == (15, 5, 5)
    assert found == compare(with_cases(A, A.cases[:20]), with_cases(B, B.cases[5:]))


def _heavier(case):
    return case.model_copy(update={"true_ml": {"front": 1.0, "back": 1.5}})


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (make_evaluation({"front": [0.5], "rear": [0.5]}), "labels front, back"),
        (with_cases(B, [case.model_copy(update={"case_id": f"x{case.case_id}"}) for case in B.cases]), "in common"),
        (B.model_copy(update={"nsd_tolerance_mm": 2.0}), "tolerance of 1 mm"),
        (with_cases(B, [*B.cases[:3], _heavier(B.cases[3])]), "one mask behind both"),
    ],
    ids=["labels", "cases", "tolerance", "masks"],
)
def test_what_cannot_be_compared_is_refused(other, expected):
    with pytest.raises(DataError, match=expected):
        compare(A, other)
