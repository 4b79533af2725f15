"""A network that takes whole volumes, from its run to the server and back."""

import nibabel
import numpy as np
import pytest

from tests.cli.conftest import CommandLine
from tests.conftest import plan_phantom
from tests.triton.server import RunningTriton

pytestmark = pytest.mark.soak  # it searches a network first


@pytest.fixture
def searched(tmp_path, phantom_dataset) -> CommandLine:
    scnas = CommandLine(tmp_path, tmp_path / "models")
    plan_phantom(tmp_path, phantom_dataset, size=32)
    scnas("search", "--space", "ronasmis", "--epochs", "2", "--steps-per-epoch", "3")
    return scnas


def test_an_exported_run_is_served_and_takes_a_study_at_once(searched, installation, study):
    repository = searched.folder / "repository"
    said = searched("export", "--name", "search", "--triton", repository).stdout
    assert f"Wrote version 1 of model phantom in {repository}" in said
    server = RunningTriton(installation, repository, searched.folder / "tritonserver.log")
    try:
        searched("segment", study, "--engine", server.url("phantom"), "-o", "served.nii")
    finally:
        server.kill()
    searched("segment", study, "--engine", "onnxruntime", "-o", "here.nii")
    served, here = (np.asanyarray(nibabel.load(searched.folder / name).dataobj) for name in ("served.nii", "here.nii"))
    np.testing.assert_array_equal(served, here)
