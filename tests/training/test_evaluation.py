"""Scores mean what they say."""

import csv
import io

import numpy as np
import pytest

from scnas_deploy.data.check import load_case
from scnas_deploy.data.plan import ClippedZScore
from scnas_deploy.training.evaluation import CaseScore, Evaluation, Evaluator, dice


def test_dice_of_known_masks():
    truth, answer = np.zeros((2, 4, 4, 4), dtype=bool)
    truth[:2], answer[1:3] = True, True
    assert dice(truth, answer) == 0.5
    assert dice(truth, truth) == 1.0
    assert dice(truth, ~truth) == 0.0
    assert dice(np.zeros((2, 2, 2), bool), np.zeros((2, 2, 2), bool)) is None


def test_a_structure_missing_from_mask_and_result_does_not_count():
    scores = [
        CaseScore(case_id=str(i), dice={"a": value}, true_ml={"a": 1.0}, predicted_ml={"a": 1.0})
        for i, value in enumerate([0.8, None, 0.6])
    ]
    result = Evaluation(fold=0, engine="none", cases=tuple(scores))
    assert result.mean_dice() == {"a": pytest.approx(0.7)}
    assert result.mean_foreground() == pytest.approx(0.7)


class MaskEngineFake:
    """A stand-in for a network: thresholds patches whose channel is the mask itself."""

    name, precision, device, preferred_batch = "fake", "float32", "CPU", 1

    def run(self, patches_BCXYZ):
        value = patches_BCXYZ[:, 0]
        return np.stack([-np.abs(value - k) for k in range(3)], axis=1).astype(np.float32)


def test_a_perfect_network_scores_one_on_the_studys_own_grid(phantom_dataset, phantom_plan, monkeypatch):
    identity = ClippedZScore(low=0, high=10, mean=0, std=1)
    channels = (phantom_plan.channels[0].model_copy(update={"normalisation": identity}),)
    plan = phantom_plan.model_copy(update={"channels": channels, "crop": "none"})
    volume, truth = load_case(phantom_dataset, phantom_dataset.cases[0])
    fields = {name: getattr(volume, name) for name in ("affine_ras", "nifti")}
    as_image = type(volume)(data=truth[None].astype(np.float32), **fields)
    monkeypatch.setattr("scnas_deploy.training.evaluation.load_case", lambda *_: (as_image, truth))
    result = Evaluator(phantom_dataset, plan, MaskEngineFake()).evaluate([phantom_dataset.cases[0].id], fold=None)
    (score,) = result.cases
    assert score.dice == {"front": 1.0, "back": 1.0}
    assert score.true_ml == score.predicted_ml
    assert score.true_ml["front"] == pytest.approx((truth == 1).sum() / 1000, abs=1e-3)


def test_the_csv_has_a_row_a_case_and_a_column_a_figure():
    score = CaseScore(
        case_id="x,1", dice={"a": 0.5, "b": None}, true_ml={"a": 1, "b": 0}, predicted_ml={"a": 2, "b": 0}
    )
    rows = list(csv.reader(io.StringIO(Evaluation(fold=1, engine="e", cases=(score,)).to_csv())))
    assert rows[0] == ["case", "Dice a", "Dice b", "true ml a", "true ml b", "predicted ml a", "predicted ml b"]
    assert rows[1] == ["x,1", "0.5", "", "1.0", "0.0", "2.0", "0.0"]
