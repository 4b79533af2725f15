"""The worst cases of real ones, segmented again, drawn, and linked to pages that show them."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from scnas_deploy.data.dataset import read_dataset
from scnas_deploy.data.volume import Volume
from scnas_deploy.inference.model import load_model
from scnas_deploy.reports import evaluation_cases
from scnas_deploy.reports.evaluation import evaluation_page
from scnas_deploy.reports.evaluation_cases import chosen_cases, page_name, show_cases
from scnas_deploy.training.evaluation import Evaluator, LabelledCase
from tests.browser import WatchedPage
from tests.training.scores import make_evaluation


@pytest.fixture(scope="module")
def evaluator(scnas_data) -> Evaluator:
    """The shipped model on real cases."""
    model = load_model(Path(str(files("scnas_deploy.shipped").joinpath("hippocampus.scnas"))))
    dataset = read_dataset(scnas_data / "Task04_Hippocampus")
    return Evaluator(dataset, model.package.plan, model.engine, "hippocampus")


@pytest.fixture(scope="module")
def evaluation(evaluator):
    return evaluator.evaluate([case.id for case in evaluator.dataset.cases[:6]], fold=None)


@pytest.mark.soak
def test_the_report_of_real_cases_leads_to_the_viewer(evaluator, evaluation, browser, tmp_path):
    folders = [tmp_path / "run", tmp_path / "report"]
    seen = []
    overlays = show_cases(evaluator, evaluation, folders, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    page = folders[1] / "evaluation.html"
    page.write_text(evaluation_page(evaluation, overlays=overlays))
    assert sorted(path.name for path in (folders[0] / "cases").iterdir()) == sorted(
        f"{overlay.case_id}.html" for overlay in overlays
    )
    watched = WatchedPage(browser)
    opened = watched.open(page)
    opened.wait_for_selector("html[data-charts=drawn]")
    watched.picture(tmp_path, "evaluation-real")
    opened.locator("#picture-1 p a").click()
    opened.wait_for_load_state()
    assert "Worst case of hippocampus" in opened.inner_text("h1")
    assert overlays[0].case_id in opened.inner_text("body")
    watched.picture(tmp_path, "evaluation-real-case")
    watched.require_clean(tmp_path.as_uri())
    watched.close()


def test_a_case_segmented_again_is_what_was_scored(evaluator, evaluation):
    case = evaluator.label(evaluation.cases[0].case_id)
    ml = float((case.predicted_XYZ == 1).sum()) * case.volume.voxel_ml
    assert ml == pytest.approx(evaluation.cases[0].predicted_ml["Anterior"], abs=1e-3)


def test_a_study_too_large_for_a_page_has_a_picture_and_no_link(evaluator, evaluation, tmp_path, monkeypatch):
    monkeypatch.setattr("scnas_deploy.pages.viewer._MOST_BYTES", 1000)
    overlays = show_cases(evaluator, evaluation, [tmp_path])
    assert [overlay.link for overlay in overlays] == [None] * 4
    assert all(overlay.picture.startswith(b"\x89PNG") for overlay in overlays)
    assert list(tmp_path.iterdir()) == []


def test_values_that_the_plan_does_not_name_are_left_out_of_the_viewer(evaluator, evaluation, tmp_path, monkeypatch):
    volume = Volume(data=np.zeros((1, 9, 9, 9), np.float32), affine_ras=np.eye(4))
    truth = np.zeros((9, 9, 9), np.uint8)
    truth[2:4], truth[6:8] = 1, 9
    scenes = []
    monkeypatch.setattr(Evaluator, "label", lambda *_: LabelledCase(volume, truth, np.zeros_like(truth)))
    monkeypatch.setattr(evaluation_cases, "viewer_page", lambda scene: scenes.append(scene) or "")
    show_cases(evaluator, evaluation, [tmp_path])
    shown = {layer.name: set(layer.labels_XYZ.flat) for scene in scenes for layer in scene.layers}
    assert shown == {"Prediction": {0}, "Truth": {0, 1}}


def test_the_three_worst_and_the_median_are_chosen():
    evaluation = make_evaluation({"a": [0.9, 0.5, None, 0.7, 0.6, 0.8, 0.95]})
    assert [(place, case.case_id) for place, case in chosen_cases(evaluation)] == [
        ("Worst", "case_001"),
        ("Second worst", "case_004"),
        ("Third worst", "case_003"),
        ("Median", "case_005"),
    ]


def test_no_case_is_chosen_twice_and_none_without_a_structure():
    assert [place for place, _ in chosen_cases(make_evaluation({"a": [0.9, 0.5, 0.7, 0.6, 0.8]}))] == [
        "Worst",
        "Second worst",
        "Third worst",
    ]
    assert chosen_cases(make_evaluation({"a": [None]})) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "a b", ".hidden", "Müller", "x" * 300, "a/b", ""])
def test_names_of_pages_are_safe_everywhere(name):
    made = page_name(name)
    assert Path(made).name == made
    assert made.isascii()
    assert not made.startswith(".")
    assert len(made) < 130
    assert made != page_name(name + "_")


def test_ordinary_names_stay():
    assert page_name("hippocampus_001") == "hippocampus_001.html"
