"""The deployment half works where PyTorch is not installed."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scnas_deploy.export.signing import sign_package
from scnas_deploy.inference.keys import read_private_key, write_key_pair
from tests.cli.conftest import CommandLine
from tests.jobs.archive import assert_all_done_once, write_archive

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.soak  # it makes an environment of its own


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """An environment of its own with the [cpu] extra and nothing else."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    constraints = ["-c", ROOT / "constraints.txt"]
    subprocess.run([*map(str, [*install, *constraints]), f"{ROOT}[cpu]"], check=True, capture_output=True)
    return folder / "bin"


@pytest.fixture
def without_torch(environment, tmp_path, exported) -> CommandLine:
    work = tmp_path / "without-torch"
    work.mkdir()
    scnas = CommandLine(work, tmp_path / "models", environment / "scnas")
    scnas("models", "install", exported.package)
    return scnas


def test_torch_is_really_not_there(environment):
    code = "import importlib.util as u; print([m for m in ('torch', 'monai', 'safetensors', 'onnx') if u.find_spec(m)])"
    result = subprocess.run([environment / "python", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_it_segments_to_the_same_labels(without_torch, with_model, study):
    without_torch("segment", study)
    with_model("segment", study)
    first, second = (
        np.asanyarray(nib.load(scnas.folder / "phantom_000_seg.nii.gz").dataobj)
        for scnas in (without_torch, with_model)
    )
    assert first.any()
    np.testing.assert_array_equal(first, second)


def test_a_signature_that_is_to_be_checked_names_what_to_install(without_torch, exported, study, tmp_path, monkeypatch):
    key = write_key_pair(tmp_path / "alice.pem")
    (tmp_path / "keys").mkdir()
    monkeypatch.setenv("SCNAS_TRUSTED_KEYS", str(tmp_path / "keys"))
    signature = sign_package(exported.package, read_private_key(tmp_path / "alice.pem", str), tmp_path / "p.scnas")
    assert signature.key == key.fingerprint
    without_torch("segment", study, "-m", tmp_path / "p.scnas")  # nobody is trusted: there is nothing to check
    (tmp_path / "alice.pub.pem").rename(tmp_path / "keys" / "alice.pem")
    message = without_torch.refused("segment", study, "-m", tmp_path / "p.scnas", "-o", "other.nii", status=4)
    assert "pip install 'scnas-deploy[sign]'" in message


def test_it_segments_a_batch(without_torch, phantom_dataset):
    manifest = write_archive(without_torch.folder, phantom_dataset, 3)
    without_torch("batch", manifest, "-o", "out")
    assert_all_done_once(without_torch.folder / "out", 3)


def test_more_than_one_machine_names_what_to_install(without_torch, phantom_dataset):
    manifest = write_archive(without_torch.folder, phantom_dataset, 3)
    for option in ("--ledger=postgresql://x@127.0.0.1/x", "--ray=auto"):
        message = without_torch.refused("batch", manifest, option, status=4)
        assert "pip install 'scnas-deploy[scale]'" in message


def test_it_evaluates_a_package(without_torch, phantom_dataset):
    without_torch("init", phantom_dataset.root)
    assert "Mean foreground Dice" in without_torch("evaluate", "-m", "phantom").stdout


def test_it_measures_both_engines(without_torch):
    result = json.loads(without_torch("bench", "--repeats", "1", "--picture", "bars.svg", "--json").stdout)
    assert [row["error"] for row in result["engines"]] == [None, None]
    assert (without_torch.folder / "bars.svg").is_file()


def test_it_writes_a_model_repository_and_names_what_the_client_of_its_server_needs(without_torch, exported, study):
    without_torch("export", exported.package, "--triton", "repository")
    message = without_torch.refused("segment", study, "--engine", "triton://127.0.0.1:1/phantom", status=4)
    assert "pip install 'scnas-deploy[triton]'" in message


def test_training_names_what_to_install(without_torch, phantom_dataset):
    without_torch("init", phantom_dataset.root)
    for command in ("search", "train", "evaluate", "export"):
        message = without_torch.refused(command, status=4)
        assert "pip install 'scnas-deploy[train]'" in message


def test_an_engine_for_a_gpu_asks_for_the_gpus_extra_alone(without_torch, exported):
    message = without_torch.refused("export", exported.package, "--trt", status=4)
    assert "pip install 'scnas-deploy[gpu]'" in message
