"""Millilitres are right, and the file lies where the study does."""

import nibabel as nib
import numpy as np
import pytest

from scnas_deploy.data.nifti import load_nifti
from scnas_deploy.data.plan import Label
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import ConfigError, GeometryError, OutputError
from scnas_deploy.inference.segmentation import Segmentation

SHEARED = np.array([[2, 0.5, 0, -10], [0, 3, 0.2, 20], [0, 0, 4, 5], [0, 0, 0, 1.0]])  # 24 mm³ a voxel
OBLIQUE_LAS = np.array([[-0.8, 0.1, 0, 30], [0.1, 0.8, 0, -40], [0, 0, 5, 7], [0, 0, 0, 1.0]])
LABELS = (
    Label(value=3, name="front", color="#ff0000"),
    Label(value=300, name="back", color="#00ff00"),
    Label(value=4, name="absent", color="#0000ff"),
)


def segmentation(study, labels_XYZ=None):
    if labels_XYZ is None:
        labels_XYZ = np.zeros(study.shape, dtype=np.uint16)
        labels_XYZ[0, 0, :4] = 3
        labels_XYZ[1:3, 1, :5] = 300
    return Segmentation(
        labels_XYZ=labels_XYZ,
        study=study,
        labels=LABELS,
        model_name="m",
        model_digest="0",
        engine="none",
        outside_limits=(),
    )


def study_with(affine, shape=(5, 6, 7)):
    return Volume(data=np.ones((1, *shape), dtype=np.int16), affine_ras=np.asarray(affine, dtype=np.float64))


@pytest.mark.parametrize(
    ("affine", "voxel_mm3"), [(np.eye(4), 1), (SHEARED, 24), (OBLIQUE_LAS, (0.8 * 0.8 + 0.01) * 5)]
)
def test_volumes_count_voxels_of_their_true_size(affine, voxel_mm3):
    volumes = segmentation(study_with(affine)).volumes_ml()
    assert volumes == {
        "front": pytest.approx(4 * voxel_mm3 / 1000),
        "back": pytest.approx(10 * voxel_mm3 / 1000),
        "absent": 0.0,
    }


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
@pytest.mark.parametrize("affine", [SHEARED, OBLIQUE_LAS])
def test_a_saved_mask_lies_on_the_studys_own_grid(affine, suffix, tmp_path):
    image = nib.Nifti1Image(np.arange(210, dtype=np.int16).reshape(5, 6, 7), None)
    image.set_sform(affine, code="scanner")
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, tmp_path / "study.nii.gz")
    result = segmentation(load_nifti(tmp_path / "study.nii.gz"))
    result.save(tmp_path / f"mask{suffix}")
    study, mask = nib.load(tmp_path / "study.nii.gz"), nib.load(tmp_path / f"mask{suffix}")
    np.testing.assert_array_equal(mask.affine, study.affine)
    assert mask.header.get_xyzt_units() == study.header.get_xyzt_units()
    assert mask.header.get_zooms() == study.header.get_zooms()
    assert mask.get_data_dtype() == np.uint16
    np.testing.assert_array_equal(np.asarray(mask.dataobj), result.labels_XYZ)


def test_a_study_that_came_from_no_file_is_saved_in_millimetres(tmp_path):
    segmentation(study_with(OBLIQUE_LAS)).save(str(tmp_path / "mask.nii"))
    mask = nib.load(tmp_path / "mask.nii")
    np.testing.assert_allclose(mask.affine, OBLIQUE_LAS, atol=1e-6)
    assert mask.header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize("name", ["mask.png", "mask.mha", "mask", "mask.gz", "mask.nii.zip"])
def test_an_unknown_suffix_is_refused_and_nothing_written(name, tmp_path):
    with pytest.raises(ConfigError, match=r"ending in \.nii\.gz or \.nii"):
        segmentation(study_with(np.eye(4))).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_labels_of_another_shape_are_refused_and_an_old_file_stays(tmp_path):
    (tmp_path / "mask.nii").write_bytes(b"old")
    with pytest.raises(GeometryError, match=r"\(5, 6, 7\)"):
        segmentation(study_with(np.eye(4)), np.zeros((7, 6, 5), dtype=np.uint8)).save(tmp_path / "mask.nii")
    assert (tmp_path / "mask.nii").read_bytes() == b"old"


def test_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="no such folder"):
        segmentation(study_with(np.eye(4))).save(tmp_path / "gone" / "mask.nii")
