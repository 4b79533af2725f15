"""Which cases are failures, and in which order."""

import pytest

from scnas_deploy.reports.evaluation_failures import Gravity, failures
from scnas_deploy.reports.scores import Usual
from scnas_deploy.training.evaluation import CaseScore, Evaluation
from tests.training.scores import make_evaluation

GOOD = [0.90, 0.91, 0.92, 0.90, 0.91, 0.92, 0.90]


def test_where_most_cases_share_a_score_the_others_are_nothing_unusual():
    assert Usual.of([1.0] * 34 + [1.41] * 10) is None


def test_the_gravest_come_first():
    found = failures(make_evaluation({"a": [*GOOD, 0.8, 0.3]}))
    assert [(each.case.case_id, each.gravity) for each in found] == [
        ("case_008", Gravity.LOW),
        ("case_007", Gravity.UNUSUAL),
    ]
    assert found[1].reasons == ("a: Dice 0.8000, unusually low here (median 0.9000)",)


def test_few_cases_are_not_called_unusual():
    assert failures(make_evaluation({"a": [*GOOD[:6], 0.8]})) == []


@pytest.mark.parametrize(
    ("true_ml", "predicted_ml", "words"),
    [
        (2.0, 0.0, "a: missed entirely; the mask has 2.000 ml"),
        (0.0, 0.25, "a: found 0.250 ml where the mask has none"),
        (0.0004, 0.0, "a: missed entirely; the mask has 0.0004 ml"),
    ],
)
def test_a_structure_of_one_side_alone_is_named(true_ml, predicted_ml, words):
    case = CaseScore(
        case_id="x",
        dice={"a": 0.0},
        hd95_mm={"a": None},
        nsd={"a": 0.0},
        true_ml={"a": true_ml},
        predicted_ml={"a": predicted_ml},
    )
    (failure,) = failures(Evaluation(subject="x", fold=0, engine="none", cases=(case,)))
    assert (failure.gravity, failure.reasons) == (Gravity.MISSING, (words,))


def test_a_structure_of_neither_side_is_no_failure():
    assert failures(make_evaluation({"a": [0.9, None]})) == []


def test_only_a_large_distance_is_unusual():
    evaluation = make_evaluation({"a": [0.9] * 9})
    distances = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 0.1, 9.0]
    cases = [
        case.model_copy(update={"hd95_mm": {"a": hd95}}) for case, hd95 in zip(evaluation.cases, distances, strict=True)
    ]
    (failure,) = failures(evaluation.model_copy(update={"cases": tuple(cases)}))
    assert failure.case.case_id == "case_008"
    assert failure.reasons == ("a: HD95 9.00 mm, unusually high here (median 1.30 mm)",)
