"""Two folds of the phantom: one killed and resumed, one that fails and does not take the other with it."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.conftest import plan_phantom
from tests.killing import end_when, num_epochs_logged, run, start

FOLDS = ("cross-validate", "--folds", "0,1", "--preset", "cpu", "--epochs", "2", "--steps-per-epoch", "2")


@pytest.fixture(scope="module")
def planned(tmp_path_factory, phantom_dataset) -> Path:
    """The phantom's working folder."""
    folder = tmp_path_factory.mktemp("project")
    plan_phantom(folder, phantom_dataset)
    return folder


@pytest.fixture(scope="module")
def project(planned) -> Path:
    """Fold 0's search was killed, fold 1's has a damaged checkpoint."""
    folder = planned
    search = folder / "runs" / "search-fold0"
    killed = start(*FOLDS, project=folder)
    end_when(killed, lambda: num_epochs_logged(search) >= 1, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    assert not (search / "genotype.json").exists()
    damaged = folder / "runs" / "search-fold1"
    damaged.mkdir()
    record = json.loads((search / "run.json").read_text())
    (damaged / "run.json").write_text(json.dumps({**record, "fold": 1}))
    shutil.copy(search / "plan.json", damaged)
    (damaged / "checkpoint.safetensors").write_bytes(b"no checkpoint")
    return folder


@pytest.fixture(scope="module")
def first(project):
    """The call after the kill: fold 0 resumes and ends, fold 1 fails."""
    result = run(*FOLDS, "--jobs", "2", "--json", project=project)
    return result, json.loads(result.stdout)


@pytest.mark.soak
def test_a_killed_fold_resumes_and_ends_while_the_other_fails(first, project):
    result, report = first
    assert result.returncode == 1
    assert "fold0: scnas search --resume" in result.stderr
    (fold,) = report["results"]
    assert (fold["fold"], fold["searched_on"], fold["num_cases"]) == (0, "own training cases", 2)
    assert report["mean_foreground_dice"]["mean"] == fold["mean_foreground_dice"]
    scored = json.loads((project / "runs" / "train-fold0" / "evaluation.json").read_text())
    assert [case["case_id"] for case in scored["cases"]]


@pytest.mark.soak
def test_the_failing_fold_is_named_with_its_reason(first, project):
    _, report = first
    (failure,) = report["failures"]
    assert (failure["run"], failure["exit_status"]) == ("fold1", 3)
    assert "expected a checkpoint" in failure["message"]
    assert "search-fold1 --resume" in failure["command"]
    assert (project / "runs" / "cross-validation" / "fold1.log").read_text().strip().endswith(failure["message"])


@pytest.mark.soak
def test_called_again_only_the_unfinished_fold_runs(first, project):
    finished = {path: path.stat().st_mtime_ns for path in (project / "runs" / "train-fold0").iterdir()}
    shutil.rmtree(project / "runs" / "search-fold1")
    result = run(*FOLDS, project=project)
    assert result.returncode == 0, result.stderr
    assert "fold0: finished" in result.stderr
    assert finished == {path: path.stat().st_mtime_ns for path in (project / "runs" / "train-fold0").iterdir()}
    report = json.loads((project / "runs" / "cross-validation" / "cross-validation.json").read_text())
    assert [fold["searched_on"] for fold in report["results"]] == ["own training cases"] * 2
    assert report["failures"] == []
    assert report["mean_foreground_dice"]["num_folds"] == 2
    assert "standard deviation" in result.stdout
    assert "front" in result.stdout
    page = (project / "runs" / "cross-validation" / "cross-validation.html").read_text()
    assert "Mean over folds" in page
    assert "cases of each fold" in page.lower()


@pytest.mark.soak
def test_other_settings_are_refused_before_anything_runs(first, project):
    result = run(*FOLDS[:-1], "7", project=project)
    assert result.returncode == 2
    assert "steps_per_epoch 7" in result.stderr


@pytest.mark.soak
def test_ctrl_c_saves_what_is_running_and_says_how_to_go_on(project):
    long = ("--preset", "cpu", "--epochs", "90", "--steps-per-epoch", "2")
    stopped = start("cross-validate", "--folds", "2", *long, project=project)
    search = project / "runs" / "search-fold2"
    _, err = end_when(stopped, lambda: num_epochs_logged(search) >= 1, signal.SIGINT)
    assert stopped.returncode == 130
    assert "Go on with the same command" in err
    assert "Stopped and saved" in (project / "runs" / "cross-validation" / "fold2.log").read_text()
    assert not (search / "genotype.json").exists()


@pytest.mark.parametrize("folds", ["5", "first", ""])
def test_there_are_folds_0_to_4(planned, folds):
    assert run("cross-validate", "--folds", folds, project=planned).returncode == 2
