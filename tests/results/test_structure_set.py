"""Contours reproduce masks: published ones read by us, ours read by us and by others."""

import warnings

import nibabel as nib
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scnas_deploy.data.dicom.contours import roi_names, roi_on_planes
from scnas_deploy.data.dicom.polygons import fill
from scnas_deploy.data.dicom.reading import read_series
from scnas_deploy.data.dicom.scan import scan
from scnas_deploy.errors import FormatError, ProofError
from scnas_deploy.results.formats import Format, write_results
from scnas_deploy.results.other_proofs import prove_structure_set
from scnas_deploy.results.outlines import outlines
from scnas_deploy.results.source import source_of
from tests.data.dicom.real_series import canonical, canonical_file
from tests.results.conftest import GEOMETRIES, drawn_result

STUDIES = [(study, modality) for study in ("002", "008", "012", "019") for modality in ("CT", "PET", "MR_T1")]


def dice(one, other) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


@pytest.mark.parametrize(("study", "modality"), STUDIES)
def test_published_contours_give_the_published_mask(scnas_data, study, modality):
    root = scnas_data / "dicom" / f"STS_{study}"
    volume = read_series(scan([root / modality / "image"]).series[0])
    dataset = pydicom.dcmread(next((root / modality / "mask").iterdir()))
    ((number, name),) = roi_names(dataset).items()
    assert name == f"GTV_Mass_{modality}"
    mask = roi_on_planes(dataset, number, volume.dicom.stack).transpose(2, 1, 0)
    ours, _ = canonical(mask, volume.affine_ras)
    theirs, _ = canonical_file(root / "nifti_ref" / f"{modality}_mask.nii.gz")
    assert dice(ours > 0, theirs > 0) >= 0.995


@pytest.mark.parametrize("name", sorted(GEOMETRIES))
def test_our_contours_give_our_mask_to_every_pixel(tmp_path, name):
    result = drawn_result(tmp_path / "study", name)
    (path,) = write_results(result, tmp_path / "out", [Format.RTSTRUCT])
    dataset, planes = pydicom.dcmread(path), result.study.dicom.on_planes(result.labels_XYZ)
    for number, value in ((1, 1), (2, 7)):
        np.testing.assert_array_equal(roi_on_planes(dataset, number, result.study.dicom.stack), planes == value)


@pytest.mark.parametrize("name", sorted(set(GEOMETRIES) - {"enhanced"}))  # which dcmrtstruct2nii does not read
def test_another_reader_finds_our_mask(tmp_path, name, monkeypatch):
    monkeypatch.setattr(pydicom, "read_file", pydicom.dcmread, raising=False)  # the name that pydicom 3 has dropped
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dcmrtstruct2nii import dcmrtstruct2nii

    result = drawn_result(tmp_path / "study", name)
    (path,) = write_results(result, tmp_path / "out", [Format.RTSTRUCT])
    dcmrtstruct2nii(str(path), str(tmp_path / "study" / "drawn"), str(tmp_path / "nii"), convert_original_dicom=False)
    for label in ("liver", "spleen"):
        image = nib.load(tmp_path / "nii" / f"mask_{label}.nii.gz")
        theirs, _ = canonical(np.asanyarray(image.dataobj) > 0, image.affine)
        value = {"liver": 1, "spleen": 7}[label]
        ours, _ = canonical(result.labels_XYZ == value, result.study.affine_ras)
        assert dice(theirs > 0, ours > 0) >= 0.98


@given(seed=st.integers(0, 10**6), density=st.floats(0.05, 0.95))
@settings(max_examples=60, deadline=None)
def test_outlines_of_any_mask_fill_to_that_mask(seed, density):
    """Holes within parts within holes, and parts that touch at corners, included."""
    mask = np.random.default_rng(seed).random((12, 15)) < density
    filled = np.zeros_like(mask)
    for polygon in outlines(mask):
        part = fill([polygon], mask.shape)
        assert not (filled & part).any()
        filled |= part
    np.testing.assert_array_equal(filled, mask)


def test_a_ring_is_one_contour_with_a_hole():
    mask = np.zeros((9, 9), dtype=bool)
    mask[1:8, 1:8] = True
    mask[3:6, 3:6] = False
    (polygon,) = outlines(mask)
    np.testing.assert_array_equal(fill([polygon], mask.shape), mask)


def change_a_point(dataset):
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    points = list(contour.ContourData)
    points[0] = points[0] + 4
    contour.ContourData = points


def mirror_contours(dataset):
    for roi in dataset.ROIContourSequence:
        for contour in roi.ContourSequence:
            points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
            points[:, 0] = -60 - points[:, 0]
            contour.ContourData = [f"{value:.6f}" for value in points.ravel()]


def drop_a_contour(dataset):
    del dataset.ROIContourSequence[0].ContourSequence[0]


def exchange_names(dataset):
    first, second = dataset.StructureSetROISequence
    first.ROIName, second.ROIName = second.ROIName, first.ROIName


def another_patient(dataset):
    dataset.PatientID = "ANOTHER"


def lift_contours(dataset):
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
    points[0, 2] += 3
    contour.ContourData = [f"{value:.6f}" for value in points.ravel()]


def another_frame_of_reference(dataset):
    for roi in dataset.StructureSetROISequence:
        roi.ReferencedFrameOfReferenceUID = "1.2.3"


def name_other_images(dataset):
    for roi in dataset.ROIContourSequence:
        for contour in roi.ContourSequence:
            contour.ContourImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"


@pytest.mark.parametrize(
    "mutate",
    [
        another_frame_of_reference,
        name_other_images,
        change_a_point,
        mirror_contours,
        drop_a_contour,
        exchange_names,
        another_patient,
        lift_contours,
    ],
    ids=lambda mutate: mutate.__name__,
)
def test_a_mutated_structure_set_is_refused(tmp_path, mutate):
    result = drawn_result(tmp_path / "study", "axial")
    (path,) = write_results(result, tmp_path / "out", [Format.RTSTRUCT])
    prove_structure_set(path.read_bytes(), result, source_of(result.study))
    dataset = pydicom.dcmread(path)
    mutate(dataset)
    dataset.save_as(path)
    with pytest.raises(ProofError):
        prove_structure_set(path.read_bytes(), result, source_of(result.study))


def test_a_region_that_is_not_there_is_refused(tmp_path):
    result = drawn_result(tmp_path / "study", "axial")
    (path,) = write_results(result, tmp_path / "out", [Format.RTSTRUCT])
    with pytest.raises(FormatError, match="number 9"):
        roi_on_planes(pydicom.dcmread(path), 9, result.study.dicom.stack)
