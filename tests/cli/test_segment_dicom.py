"""scnas segment on DICOM studies: the right series on its own grid, or the reason why not."""

import json

import nibabel as nib
import numpy as np
import pytest

from scnas_deploy.data.dicom.reading import read_series
from scnas_deploy.data.dicom.scan import scan
from tests.dicom_drawing import Drawing

CROP = "HippoCrop"


@pytest.fixture(scope="module")
def head(scnas_data):
    """A study of four series of a head, and a hippocampus crop filed into it."""
    return scnas_data / "dicom" / "head_mr_4series"


def test_of_a_whole_study_the_one_series_is_taken_that_the_model_is_made_for(scnas, head):
    result = json.loads(scnas("segment", head, "--json").stdout)
    mask = nib.load(scnas.folder / result["output"])
    volume = read_series(next(each for each in scan([head]).series if each.header.SeriesDescription == CROP))
    np.testing.assert_allclose(mask.affine, volume.affine_ras, atol=1e-5)
    assert mask.shape == volume.shape
    assert set(np.unique(np.asanyarray(mask.dataobj))) == {0, 1, 2}
    assert all(500 < 1000 * ml < 3500 for ml in result["volumes_ml"].values())


def test_the_anterior_part_lies_in_front(scnas, head):
    """The patient's front, whatever way the crop is stored: RAS+ second axis."""
    output = json.loads(scnas("segment", head, "--json").stdout)["output"]
    image = nib.as_closest_canonical(nib.load(scnas.folder / output))
    labels = np.asanyarray(image.dataobj)
    anterior, posterior = (np.argwhere(labels == value).mean(axis=0) for value in (1, 2))
    assert anterior[1] > posterior[1] + 10


def test_explained_are_all_series_and_other_files(scnas, head, tmp_path):
    text = scnas("segment", head, "--explain").stdout
    assert text.count("left: voxel spacing 6.5 mm along S") == 4
    assert "taken for MRI" in text
    told = json.loads(scnas("segment", head, "--explain", "--json").stdout)
    assert [bool(each["taken_for"]) for each in told["series"]].count(True) == 1
    assert CROP not in json.dumps(told)
    assert not list(scnas.folder.iterdir())


def test_two_that_fit_are_refused_until_one_is_named(scnas, scnas_data, tmp_path):
    crop = scnas_data / "dicom" / "head_mr_4series" / "11_HCropVolume"
    study = tmp_path / "study"
    for number in range(2):
        copy_series(crop, study / str(number), f"9.{number}")
    assert "2 that could serve it: numbers 1, 2" in scnas.refused("segment", study, status=3)
    scnas("segment", study, "--series", "2", "-o", "named.nii.gz")
    assert (scnas.folder / "named.nii.gz").is_file()


def test_a_verdict_is_one_line_with_its_figures(scnas, scnas_data):
    line = scnas.refused("segment", scnas_data / "dicom" / "ct_tilt_variable_gap" / "In", status=3)
    assert "18.5 degrees" in line
    assert "1.08 to 7.00 mm" in line
    assert "--allow shear-tilt --allow resample-gaps" in line


def test_what_was_corrected_is_said(scnas, tmp_path):
    folder = Drawing(modality="MR").save(tmp_path, lambda objects: objects[:5] + objects[6:])
    result = scnas("segment", folder, "--force", "--allow", "resample-gaps", "--json")
    assert "Corrected: resample-gaps." in result.stderr
    assert json.loads(result.stdout)["corrections"] == ["resample-gaps"]


def test_no_name_of_the_patient_is_printed(scnas, tmp_path):
    study = Drawing(patient="PLANTED").save(tmp_path)
    for arguments in ([], ["--force"], ["--explain"], ["--series", "7"]):
        result = scnas("segment", study, *arguments, status=None)
        assert "PLANTED" not in result.stdout + result.stderr


def copy_series(source, target, uid):
    import pydicom

    target.mkdir(parents=True)
    for path in source.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID = f"{dataset.SeriesInstanceUID}.{uid}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{dataset.SOPInstanceUID}.{uid}"
        dataset.save_as(target / path.name)


def test_a_study_becomes_all_that_a_pacs_wants(scnas, head):
    result = json.loads(
        scnas(
            "segment",
            head,
            "-o",
            "out",
            "--format",
            "dicom-seg,sr,nifti,preview",
            "--audit",
            "audit.jsonl",
            "--json",
        ).stdout
    )
    names = {"labels.nii.gz", "seg.dcm", "sr.dcm", "preview.png", "preview.dcm"}
    assert {path.name for path in (scnas.folder / "out").iterdir()} == names
    assert len(result["files"]) == len(names)
    assert len((scnas.folder / "audit.jsonl").read_text().splitlines()) == 1


def test_the_crop_is_turned_from_dicom_to_ras(scnas_data, head):
    """Mean image of the training cases against the crop as we read it, and as it would be without turning x and y."""
    crop = read_series(next(each for each in scan([head]).series if each.header.SeriesDescription == CROP))
    cases = sorted((scnas_data / "Task04_Hippocampus" / "imagesTr").glob("*.nii.gz"))[:60]
    mean = np.mean([resized(nib.as_closest_canonical(nib.load(case))) for case in cases], axis=0)
    turned = resized(nib.as_closest_canonical(nib.Nifti1Image(crop.data[0].astype(float), crop.affine_ras)))
    stored = turned[::-1, ::-1]
    right, wrong = (np.corrcoef(mean.ravel(), image.ravel())[0, 1] for image in (turned, stored))
    assert right > wrong + 0.3


def resized(image) -> np.ndarray:
    """Each image on one small grid, its values made comparable."""
    data = np.asanyarray(image.dataobj).astype(float)
    index = np.meshgrid(*(np.linspace(0, n - 1, 24).round().astype(int) for n in data.shape), indexing="ij")
    sampled = data[tuple(index)]
    return (sampled - sampled.mean()) / sampled.std()


def test_forms_of_a_nifti_study_that_need_dicom_are_refused(scnas, study_file):
    assert "--format" in scnas.refused("segment", study_file, "--format", "dicom-seg", "-o", "out", status=2)


@pytest.fixture
def study_file(scnas_data):
    return sorted((scnas_data / "Task04_Hippocampus" / "imagesTr").glob("*.nii.gz"))[0]


@pytest.mark.parametrize("formats", ["sr", "dicom", "nifti,jpeg"])
def test_unknown_forms_are_refused_before_anything_is_done(scnas, head, formats):
    assert "--format" in scnas.refused("segment", head, "--format", formats, status=2)
