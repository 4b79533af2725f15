"""Scores mean what they say."""

import csv
import io
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from scnas_deploy.data.check import load_case
from scnas_deploy.data.plan import ClippedZScore
from scnas_deploy.data.volume import Volume
from scnas_deploy.training import evaluation
from scnas_deploy.training.evaluation import CaseScore, Evaluation, Evaluator, dice
from tests.training.scores import make_evaluation


def test_dice_of_known_masks():
    truth, answer = np.zeros((2, 4, 4, 4), dtype=bool)
    truth[:2], answer[1:3] = True, True
    assert dice(truth, answer) == 0.5
    assert dice(truth, truth) == 1.0
    assert dice(truth, ~truth) == 0.0
    assert dice(np.zeros((2, 2, 2), bool), np.zeros((2, 2, 2), bool)) is None


def test_a_structure_missing_from_mask_and_result_does_not_count():
    result = make_evaluation({"a": [0.8, None, 0.6]})
    assert result.mean_dice() == {"a": pytest.approx(0.7)}
    assert result.mean_foreground() == pytest.approx(0.7)


def test_an_undefined_hd95_counts_in_no_mean():
    case = {"case_id": "x", "dice": {"a": 0.0, "b": 1.0}, "nsd": {"a": 0.0, "b": 1.0}}
    volumes = {"true_ml": {"a": 1.0, "b": 1.0}, "predicted_ml": {"a": 0.0, "b": 1.0}}
    score = CaseScore(**case, **volumes, hd95_mm={"a": None, "b": 2.0})
    result = Evaluation(subject="x", fold=0, engine="none", cases=(score,))
    assert result.mean_hd95_mm() == {"a": None, "b": 2.0}
    assert result.mean_foreground("hd95_mm") == 2.0
    assert result.mean_nsd() == {"a": 0.0, "b": 1.0}
    assert result.mean_foreground("nsd") == 0.5


def test_a_case_is_scored_once_and_every_case_has_the_same_labels():
    one, other = make_evaluation({"a": [0.8]}), make_evaluation({"b": [0.7, 0.6]})
    for cases in (one.cases * 2, (one.cases[0], other.cases[1]), ()):
        with pytest.raises(ValidationError):
            Evaluation(subject="x", fold=0, engine="none", cases=cases)


class MaskEngineFake:
    """A stand-in for a network: thresholds patches whose channel is the mask itself."""

    name, precision, device, preferred_batch, concurrency = "fake", "float32", "CPU", 1, 1

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
    result = Evaluator(phantom_dataset, plan, MaskEngineFake(), "fake").evaluate(
        [phantom_dataset.cases[0].id], fold=None
    )
    (score,) = result.cases
    assert score.dice == {"front": 1.0, "back": 1.0}
    assert score.hd95_mm == {"front": 0.0, "back": 0.0}
    assert score.nsd == {"front": 1.0, "back": 1.0}
    assert score.true_ml == score.predicted_ml
    assert score.true_ml["front"] == pytest.approx((truth == 1).sum() / 1000, abs=1e-3)


def test_surface_distances_are_in_millimetres_along_the_studys_axes(phantom_dataset, phantom_plan, monkeypatch):
    """The mask moved by one voxel of 3 mm: HD95 3 mm; the tolerance decides what NSD calls right."""
    shape = (20, 20, 20)
    found, truth = np.zeros((2, *shape), dtype=np.int32)
    found[6:12, 6:12, 6:12], truth[7:13, 6:12, 6:12] = 1, 1
    volume = Volume(data=np.zeros((1, *shape), np.float32), affine_ras=np.diag([3.0, 1.0, 1.0, 1.0]))
    monkeypatch.setattr(evaluation, "load_case", lambda *_: (volume, truth))
    monkeypatch.setattr(evaluation, "label_study", lambda *_: SimpleNamespace(labels_XYZ=found))
    scores = {}
    for tolerance in (1.0, 3.0):
        evaluator = Evaluator(phantom_dataset, phantom_plan, MaskEngineFake(), "fake", tolerance)
        scores[tolerance] = evaluator.evaluate([phantom_dataset.cases[0].id], fold=0)
    assert scores[1.0].mean_hd95_mm() == {"front": 3.0, "back": None}
    assert scores[1.0].mean_nsd()["front"] < 1.0
    assert scores[3.0].mean_nsd() == {"front": 1.0, "back": None}
    assert scores[3.0].nsd_tolerance_mm == 3.0


def test_the_csv_has_a_row_a_case_and_a_column_a_figure():
    score = CaseScore(
        case_id="x,1",
        dice={"a": 0.5, "b": None},
        hd95_mm={"a": 1.5, "b": None},
        nsd={"a": 0.75, "b": None},
        true_ml={"a": 1, "b": 0},
        predicted_ml={"a": 2, "b": 0},
    )
    text = Evaluation(subject="x", fold=1, engine="e", cases=(score,)).to_csv()
    rows = list(csv.reader(io.StringIO(text)))
    kinds = ("Dice", "HD95 mm", "NSD", "true ml", "predicted ml")
    assert rows[0] == ["case", *(f"{kind} {label}" for kind in kinds for label in "ab")]
    assert rows[1] == ["x,1", "0.5", "", "1.5", "", "0.75", "", "1.0", "0.0", "2.0", "0.0"]
