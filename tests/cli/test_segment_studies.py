"""scnas segment: unusual studies are segmented right, or not at all."""

import json

import nibabel as nib
import numpy as np
import pytest


def save_like(study, target, *, change=None, affine=None):
    image = nib.load(study)
    voxels = image.get_fdata(dtype=np.float32)
    nib.save(nib.Nifti1Image(change(voxels) if change else voxels, image.affine if affine is None else affine), target)
    return target


def with_nan(voxels):
    voxels[2, 3, 4] = np.nan
    return voxels


def test_a_constant_study_is_refused(with_model, study):
    save_like(study, with_model.folder / "flat.nii.gz", change=np.ones_like)
    assert "channel MRI is the constant 1" in with_model.refused("segment", "flat.nii.gz", status=3)


def test_channels_on_different_grids_are_refused(with_model, study):
    save_like(study, with_model.folder / "moved.nii.gz", affine=np.diag([1, 1, 1.1, 1]))
    assert "expected the image's affine" in with_model.refused("segment", study, "moved.nii.gz", status=3)


def test_a_file_that_says_nothing_of_the_orientation_is_refused(with_model, study):
    image = nib.Nifti1Image(nib.load(study).get_fdata(dtype=np.float32), None)
    image.header.set_sform(None, code=0)
    image.header.set_qform(None, code=0)
    nib.save(image, with_model.folder / "lost.nii")
    assert "which way the patient lies" in with_model.refused("segment", "lost.nii", status=3)


def test_a_package_file_that_is_not_there_is_refused(with_model, study):
    message = with_model.refused("segment", study, "-m", "gone.scnas", status=3)
    assert "gone.scnas: expected a model package" in message


def test_an_old_mask_stays_where_the_study_is_refused(with_model, study):
    save_like(study, with_model.folder / "nan.nii.gz", change=with_nan)
    (with_model.folder / "mask.nii.gz").write_bytes(b"old")
    with_model.refused("segment", "nan.nii.gz", "-o", "mask.nii.gz", status=3)
    assert (with_model.folder / "mask.nii.gz").read_bytes() == b"old"


def test_a_forced_result_says_for_programs_in_what_the_study_is_unlike(with_model, study):
    save_like(study, with_model.folder / "fine.nii.gz", affine=np.diag([0.33, 0.33, 0.33, 1]))
    assert "voxel spacing 0.33 mm along R" in with_model.refused("segment", "fine.nii.gz", status=3)
    result = with_model("segment", "fine.nii.gz", "--force", "--json")
    assert "warning: voxel spacing 0.33 mm along R" in result.stderr
    said = json.loads(result.stdout)
    assert any("voxel spacing 0.33 mm along R" in text for text in said["outside_limits"])
    labels = np.asarray(nib.load(with_model.folder / "fine_seg.nii.gz").dataobj)
    assert said["volumes_ml"]["front"] == pytest.approx((labels == 1).sum() * 0.33**3 / 1000, abs=1e-4)


def test_the_mask_repeats_both_forms_of_the_header(with_model, study):
    affine = np.diag([-1.0, 1, 1, 1])
    affine[:3, 3] = 30, -20, 10
    image = nib.Nifti1Image(nib.load(study).get_fdata(dtype=np.float32), None)
    image.set_sform(affine, code="aligned")
    image.set_qform(affine, code="scanner")
    nib.save(image, with_model.folder / "turned.nii.gz")
    with_model("segment", "turned.nii.gz")
    source, mask = (nib.load(with_model.folder / f"turned{end}.nii.gz") for end in ("", "_seg"))
    for form in ("get_sform", "get_qform"):
        (theirs, their_code), (ours, our_code) = (getattr(i.header, form)(coded=True) for i in (source, mask))
        assert our_code == their_code
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_is_installed_under_its_own_name_and_not_the_files(scnas, exported):
    (scnas.folder / "liver.scnas").write_bytes(exported.package.read_bytes())
    scnas("models", "install", "liver.scnas")
    assert [path.name for path in scnas.models.iterdir()] == ["phantom.scnas"]
