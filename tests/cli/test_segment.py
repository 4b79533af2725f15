"""scnas segment: a mask on the study's own grid, or one line that says why not."""

import gzip
import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from scnas_deploy.cli.segment import _announce
from scnas_deploy.data.nifti import load_nifti
from scnas_deploy.inference.capacity import Forecast
from scnas_deploy.inference.model import load_model
from scnas_deploy.inference.sweep import sweeps
from scnas_deploy.inference.tiling import TilingConfig


def test_of_a_volume_taken_whole_it_is_said_that_the_engines_own_memory_is_not_counted(capsys):
    (sweep,) = sweeps((8, 8, 8), TilingConfig(patch_size=(8, 8, 8)))
    small = Forecast(study=1, preparing=1, predicting=1, restoring=1, sweep=sweep, more_patches=1.0)
    _announce(small)
    assert capsys.readouterr().err == ""
    _announce(replace(small, whole=True))
    assert "and what the engine takes inside for a whole volume, which is not known" in " ".join(
        capsys.readouterr().err.split()
    )


def test_bare_it_writes_the_models_labels_with_the_studys_header(with_model, study, exported):
    result = with_model("segment", study)
    written = nib.load(with_model.folder / "phantom_000_seg.nii.gz")
    source = nib.load(study)
    expected = load_model(exported.package).segment(load_nifti(study))
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), expected.labels_XYZ)
    np.testing.assert_array_equal(written.affine, source.affine)
    assert written.header.get_xyzt_units() == source.header.get_xyzt_units()
    assert written.header.get_zooms() == source.header.get_zooms()
    for name, ml in expected.volumes_ml().items():
        assert re.search(rf"{name} +{ml:.3f}", result.stdout)
    assert "research use" in result.stdout


def test_json_is_for_programs(with_model, study, exported):
    result = json.loads(with_model("segment", study, "--json", "-o", "out.nii").stdout)
    assert result["output"] == "out.nii"
    assert set(result["volumes_ml"]) == {"front", "back"}
    assert len(result["model_digest"]) == 64
    assert (with_model.folder / "out.nii").is_file()


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_each_engine_and_any_number_of_threads_give_the_same_labels(with_model, study, engine):
    for threads in (1, 2):
        with_model("segment", study, "--engine", engine, "--threads", threads, "-o", f"{threads}.nii")
    first, second = (np.asanyarray(nib.load(with_model.folder / f"{n}.nii").dataobj) for n in (1, 2))
    assert (first != second).mean() <= 1e-4


def test_a_lower_precision_is_said_in_the_note_and_in_json(scnas, study, in_all_precisions):
    package = in_all_precisions.package
    result = scnas("segment", study, "-m", package, "--precision", "int8", "--json", "-o", "int8.nii")
    printed = json.loads(result.stdout)
    assert printed["precision"] == "int8"
    assert printed["engine"].startswith("openvino ")
    assert printed["engine"].endswith(", int8")
    assert f"on {printed['engine']}:" in result.stderr
    assert json.loads(scnas("segment", study, "-m", package, "--json").stdout)["precision"] == "float32"
    exact, coarse = (np.asanyarray(nib.load(scnas.folder / n).dataobj) for n in ("phantom_000_seg.nii.gz", "int8.nii"))
    assert 0.98 < (exact == coarse).mean() < 1


def test_a_precision_that_the_model_lacks_is_refused(with_model, study):
    message = with_model.refused("segment", study, "--precision", "int8", status=2)
    assert "--precision: expected auto or one of float32, found 'int8'" in message


def test_neither_pytorch_nor_other_slow_packages_are_imported(with_model, study):
    code = (
        "import sys; from scnas_deploy.cli.main import run\n"
        f"sys.argv = ['scnas', 'segment', {str(study)!r}]\n"
        "try: run()\nexcept SystemExit as end: assert not end.code, end.code\n"
        "print([name for name in ('torch', 'monai', 'safetensors', 'SimpleITK') if name in sys.modules])"
    )
    environment = {**os.environ, "SCNAS_MODELS": str(with_model.models)}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=with_model.folder, env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"


def test_several_channels_come_from_several_files_on_one_grid(with_model, study):
    message = with_model.refused("segment", study, study, status=3)
    assert "1 channel(s): MRI, found 2" in message


def save(path, voxels, affine=None):
    nib.save(nib.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)
    return path


def test_a_missing_file(with_model):
    assert "no such file" in with_model.refused("segment", "none.nii.gz", status=3)


def test_not_a_nifti_and_a_truncated_one(with_model, study):
    (with_model.folder / "text.nii").write_text("hello")
    assert "readable NIfTI" in with_model.refused("segment", "text.nii", status=3)
    (with_model.folder / "cut.nii.gz").write_bytes(study.read_bytes()[:5000])
    assert "cut off" in with_model.refused("segment", "cut.nii.gz", status=3)
    (with_model.folder / "empty.nii.gz").write_bytes(gzip.compress(b""))
    assert "readable NIfTI" in with_model.refused("segment", "empty.nii.gz", status=3)


def test_wrong_channels_and_nan(with_model):
    four = np.random.default_rng(0).normal(size=(36, 48, 36, 4)).astype(np.float32)
    save(with_model.folder / "four.nii.gz", four)
    assert "found 4" in with_model.refused("segment", "four.nii.gz", status=3)
    four[3, 3, 3] = np.nan
    save(with_model.folder / "nan.nii.gz", four[..., 0])
    assert "1 NaN" in with_model.refused("segment", "nan.nii.gz", status=3)


def test_a_study_the_model_was_not_made_for_unless_forced(with_model):
    voxels = np.random.default_rng(0).normal(size=(90, 30, 26)).astype(np.float32)
    save(with_model.folder / "large.nii.gz", voxels)
    assert "field of view 90 mm along R" in with_model.refused("segment", "large.nii.gz", status=3)
    result = with_model("segment", "large.nii.gz", "--force")
    assert "warning: field of view" in result.stderr
    assert (with_model.folder / "large_seg.nii.gz").is_file()


def test_a_package_with_a_changed_byte(with_model, study):
    package = with_model.models / "phantom.scnas"
    data = bytearray(package.read_bytes())
    data[len(data) // 2] ^= 1
    package.write_bytes(bytes(data))
    assert "Do not use it" in with_model.refused("segment", study, status=3)


def test_no_model_and_an_unknown_one(scnas, with_model, study):
    assert "installed model (hippocampus, phantom)" in with_model.refused("segment", study, "-m", "nobody", status=2)
    (with_model.models / "phantom.scnas").unlink()
    assert "Model 'hippocampus'" in with_model("segment", study).stderr  # the shipped one, and it is said


def test_an_unknown_engine(with_model, study):
    message = with_model.refused("segment", study, "--engine", "abacus", status=2)
    assert all(name in message for name in ("one of auto", "openvino", "onnxruntime", "tensorrt", "triton://"))


def test_outputs_that_cannot_be_written(with_model, study):
    assert "existing folder" in with_model.refused("segment", study, "-o", "nowhere/out.nii.gz", status=1)
    assert ".nii.gz or .nii" in with_model.refused("segment", study, "-o", "out.png", status=2)
    (with_model.folder / "folder.nii.gz").mkdir()
    assert "existing folder" in with_model.refused("segment", study, "-o", "folder.nii.gz", status=1)


def test_a_full_disk_leaves_nothing_and_an_old_result_stays(with_model, study, small_disk):
    old = small_disk / "old.nii"
    old.write_bytes(b"an earlier result")
    message = with_model.refused("segment", study, "-o", old, status=1)
    assert "space" in message
    assert old.read_bytes() == b"an earlier result"
    assert list(small_disk.iterdir()) == [old]


def test_the_study_itself_is_not_overwritten(with_model, study):
    scan = with_model.folder / "scan.nii.gz"
    scan.write_bytes(study.read_bytes())
    assert "another file than the study" in with_model.refused("segment", "scan.nii.gz", "-o", scan, status=2)
    assert scan.read_bytes() == study.read_bytes()
