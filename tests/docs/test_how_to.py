"""The how-to guides are run as printed, each in a folder that holds what it takes for granted."""

import shutil
from pathlib import Path

import pytest

from demo.phantom import draw_dataset
from scnas_deploy.inference.models import user_models
from tests.cli.conftest import CommandLine
from tests.docs.running import run_document
from tests.serve.conftest import MODEL
from tests.serve.studies import crop_objects, encoded

pytestmark = pytest.mark.soak
_SHORT = "--epochs 1 --steps-per-epoch 2"
SHORTENED = {"search": _SHORT, "train": _SHORT, "cross-validate": _SHORT}
"""What a reader waits hours for takes seconds here, and finds nothing."""

CORRECTIONS = """
schema = 1
name = "hippocampus"
dataset = "."
[labels]
1 = { name = "Anterior", color = "#1d5a9c" }
2 = { name = "Posterior", color = "#c2410c" }
[channels]
0 = { name = "MRI", normalisation = "zscore", select = { Modality = "^MR$" } }
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    return work


@pytest.fixture
def package(folder) -> Path:
    """A package without a signature."""
    return Path(shutil.copy(user_models().packages()[MODEL], folder / "model.scnas"))


@pytest.fixture
def dicom(folder, scnas_data) -> Path:
    """A study of one series that the shipped model is made for."""
    study = folder / "study"
    study.mkdir()
    for number, dataset in enumerate(crop_objects(scnas_data)):
        (study / f"{number}.dcm").write_bytes(encoded(dataset))
    return study


@pytest.fixture
def nifti(folder, scnas_data) -> Path:
    """A study, its mask, and a folder of two studies."""
    task = scnas_data / "Task04_Hippocampus"
    shutil.copy(task / "imagesTr" / "hippocampus_001.nii.gz", folder / "study.nii.gz")
    shutil.copy(task / "labelsTr" / "hippocampus_001.nii.gz", folder / "truth.nii.gz")
    (folder / "studies").mkdir()
    for name in ("a", "b"):
        shutil.copy(folder / "study.nii.gz", folder / "studies" / f"{name}.nii.gz")
    return folder / "study.nii.gz"


@pytest.fixture
def project(folder) -> Path:
    """The phantom as a dataset, and the plan of a small patch."""
    draw_dataset(folder / "Phantom", num_cases=10)
    scnas = CommandLine(folder, folder.parent / "models")
    scnas("init", "Phantom")
    settings = folder / "scnas.toml"
    settings.write_text(settings.read_text().replace("memory_gib =", "patch_size = [24, 24, 24]\nmemory_gib ="))
    scnas("init")
    return folder


def test_segment_dicom(folder, dicom):
    run_document("docs/how-to/dicom.md", folder)
    assert len(list((folder / "out").iterdir())) >= 5
    assert (folder / "audit.jsonl").read_text().count("\n") == 1


def test_sign_models(folder, package):
    (folder / "scnas.toml").write_text(CORRECTIONS)
    run_document("docs/how-to/sign.md", folder)
    assert (folder / "corrected.scnas").is_file()


def test_the_reference_of_python(folder, nifti):
    run_document("docs/reference/python.md", folder)
    assert (folder / "mask.nii.gz").is_file()


def test_segment_an_archive(folder, nifti):
    run_document("docs/how-to/batch.md", folder)
    assert len((folder / "masks" / "summary.csv").read_text().splitlines()) == 3


def test_look_at_results(folder, nifti, dicom):
    run_document("docs/how-to/view.md", folder)
    assert all((folder / name).is_file() for name in ("page.html", "compared.html", "dicom.html"))


def test_operate_the_server(folder, package):
    for name in ("lung-1", "lung-2"):
        shutil.copy(package, folder / f"{name}.scnas")
    run_document("docs/operations.md", folder)
    assert (folder.parent / "models" / f"{MODEL}.scnas").is_file()


def test_choose_an_engine(folder, package, nifti):
    run_document("docs/how-to/engines.md", folder)
    assert (folder / "engines.svg").is_file()


def test_use_your_own_dataset(folder):
    draw_dataset(folder / "Phantom", num_cases=10)
    run_document("docs/how-to/own-dataset.md", folder, shortened=SHORTENED)
    assert (folder / "runs" / "cross-validation" / "cross-validation.json").is_file()


def test_search_within_a_budget(project):
    run_document("docs/how-to/budget.md", project, shortened=SHORTENED)
    assert (project / "runs" / "small-trained" / "weights.safetensors").is_file()


def test_train_without_a_search(project):
    run_document("docs/how-to/without-search.md", project, shortened=SHORTENED)
    assert (project / "runs" / "random" / "evaluation.json").is_file()


def test_evaluate_and_compare(project):
    scnas = CommandLine(project, project.parent / "models")
    scnas("search", *_SHORT.split())
    for name in ("train", "other"):
        scnas("train", "--name", name, *_SHORT.split())
    run_document("docs/how-to/evaluate.md", project)
    assert (project / "comparison.json").is_file()
