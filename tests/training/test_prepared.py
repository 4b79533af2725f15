"""Cases are prepared once, and anew when plan or files change."""

import os

import numpy as np

from scnas_deploy.data.check import load_case
from scnas_deploy.data.preprocess import prepare
from scnas_deploy.training.prepared import PreparedCases, to_classes


def test_prepared_cases_equal_preparing_them_now(phantom_dataset, phantom_plan, tmp_path):
    case = phantom_dataset.cases[0]
    (prepared,) = PreparedCases(phantom_dataset, phantom_plan, tmp_path).load([case.id])
    volume, labels = load_case(phantom_dataset, case)
    image, way_back = prepare(volume, phantom_plan)
    np.testing.assert_array_equal(prepared.image_CXYZ, image)
    np.testing.assert_array_equal(prepared.classes_XYZ, way_back.follow(labels))
    for index, places in enumerate(prepared.places, 1):
        assert len(places)
        assert (prepared.classes_XYZ[tuple(places.T)] == index).all()


def test_a_case_is_prepared_once_and_again_when_its_file_changes(phantom_dataset, phantom_plan, tmp_path):
    case = phantom_dataset.cases[0]
    cases = PreparedCases(phantom_dataset, phantom_plan, tmp_path)
    cases.load([case.id])
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.np?")}
    cases.load([case.id])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.np?")} == written
    stat = case.label.stat()
    os.utime(case.label, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    cases.load([case.id])
    assert len(list(tmp_path.rglob("places.npz"))) == 2


def test_another_plan_has_its_own_cases(phantom_dataset, phantom_plan, tmp_path):
    case = phantom_dataset.cases[0].id
    coarse = phantom_plan.model_copy(update={"spacing_mm": (2.0, 2.0, 2.0)})
    (fine,) = PreparedCases(phantom_dataset, phantom_plan, tmp_path).load([case])
    (other,) = PreparedCases(phantom_dataset, coarse, tmp_path).load([case])
    assert other.image_CXYZ.size < fine.image_CXYZ.size / 6


def test_an_unfinished_entry_is_made_again(phantom_dataset, phantom_plan, tmp_path):
    case = phantom_dataset.cases[0].id
    cases = PreparedCases(phantom_dataset, phantom_plan, tmp_path)
    cases.load([case])
    next(tmp_path.rglob("places.npz")).unlink()
    next(tmp_path.rglob("image.npy")).write_bytes(b"cut off")
    (again,) = cases.load([case])
    assert again.image_CXYZ.ndim == 4


def test_two_runs_may_prepare_the_same_case_at_once(phantom_dataset, phantom_plan, tmp_path, monkeypatch):
    case = phantom_dataset.cases[0].id
    save = np.save

    def overtaken(*arguments, **keywords):
        save(*arguments, **keywords)
        monkeypatch.setattr(np, "save", save)
        PreparedCases(phantom_dataset, phantom_plan, tmp_path).load([case])

    (alone,) = PreparedCases(phantom_dataset, phantom_plan, tmp_path / "alone").load([case])
    monkeypatch.setattr(np, "save", overtaken)
    (prepared,) = PreparedCases(phantom_dataset, phantom_plan, tmp_path).load([case])
    assert np.save is save
    np.testing.assert_array_equal(prepared.image_CXYZ, alone.image_CXYZ)
    np.testing.assert_array_equal(prepared.classes_XYZ, alone.classes_XYZ)


def test_label_values_become_class_indices_in_the_plans_order(phantom_plan):
    labels = tuple(
        label.model_copy(update={"value": value}) for label, value in zip(phantom_plan.labels, (7, 300), strict=True)
    )
    plan = phantom_plan.model_copy(update={"labels": labels})
    classes = to_classes(np.array([[[0, 7, 300]]], dtype=np.int32), plan)
    assert classes.ravel().tolist() == [0, 1, 2]
