"""Folds side by side: their mean, their spread, and what each genotype was searched on."""

import json

import pytest

from scnas_deploy.networks.genotype import Provenance
from scnas_deploy.training.cross_validation import CrossValidation, FoldResult, fold_result, searched_on
from scnas_deploy.training.runs import RunFolder, RunRecord, save_evaluation
from tests.training.scores import make_evaluation

OWN = Provenance(made_by="scnas search", dataset_fingerprint="ours", fold=1)


def result(fold, front, back, seed=0) -> FoldResult:
    return FoldResult(
        fold=fold,
        seed=seed,
        run=f"train-fold{fold}",
        structure_hash="0",
        searched_on="own training cases",
        num_cases=2,
        dice={"front": front, "back": back},
        mean_foreground_dice=None if back is None else (front + back) / 2,
        seconds=1.0,
    )


def test_mean_and_standard_deviation_are_over_folds():
    report = CrossValidation.of([result(0, 0.8, 0.6), result(1, 0.9, 0.6), result(2, 1.0, 0.6)])
    assert report.dice["front"].mean == pytest.approx(0.9)
    assert report.dice["front"].standard_deviation == pytest.approx(0.1)
    assert report.dice["back"].standard_deviation == pytest.approx(0.0)
    assert report.mean_foreground_dice.mean == pytest.approx(0.75)


def test_several_seeds_of_a_fold_count_as_one_fold():
    report = CrossValidation.of([result(0, 0.7, 0.5), result(0, 0.9, 0.5, seed=1), result(1, 0.6, 0.5)])
    assert report.dice["front"].num_folds == 2
    assert report.dice["front"].mean == pytest.approx(0.7)
    assert report.dice["front"].standard_deviation == pytest.approx(0.2 / 2**0.5)


def test_one_fold_has_no_spread_and_an_undefined_score_no_part_in_the_mean():
    report = CrossValidation.of([result(0, 0.8, None)])
    assert report.dice["front"].standard_deviation is None
    assert report.dice["back"].mean is None
    assert report.dice["back"].num_folds == 0


def test_without_a_finished_fold_there_is_still_a_report(tmp_path):
    CrossValidation.of([]).save(tmp_path)
    assert json.loads((tmp_path / "cross-validation.json").read_text())["mean_foreground_dice"]["mean"] is None


@pytest.mark.parametrize(
    ("source", "fold", "answer"),
    [
        (OWN, 1, "own training cases"),
        (OWN, 0, "another fold's cases"),
        (OWN.model_copy(update={"dataset_fingerprint": "theirs"}), 1, "another dataset"),
        (Provenance(made_by="scnas baseline"), 1, "nothing"),
    ],
)
def test_a_report_says_whether_the_genotype_has_seen_the_held_out_cases(source, fold, answer):
    record = RunRecord(kind="train", fold=fold, preset="cpu", config={})
    assert searched_on(source, record, "ours") == answer


def test_a_fold_is_read_off_its_training_run(tmp_path, phantom_plan, varied_genotype):
    train = RunFolder(tmp_path / "train-fold3")
    train.create(RunRecord(kind="train", fold=3, preset="cpu", config={"seed": 7}), phantom_plan, varied_genotype)
    save_evaluation(train.path, make_evaluation({"front": [0.8, 0.6], "back": [0.6, None]}))
    read = fold_result(None, train)
    assert (read.fold, read.seed, read.run, read.num_cases) == (3, 7, "train-fold3", 2)
    assert read.dice == {"front": pytest.approx(0.7), "back": pytest.approx(0.6)}
    assert read.mean_foreground_dice == pytest.approx(0.65)
    assert (read.searched_on, read.seconds) == ("nothing", 0.0)
