"""Results in the forms that were asked for: the same for the same study, and nothing of the patient beside them."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pydicom
import pytest

from scnas_deploy.data.plan import CodedTerm
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import ConfigError, ProofError
from scnas_deploy.results import formats
from scnas_deploy.results.audit import append_audit
from scnas_deploy.results.formats import Format, parse_formats, write_results
from scnas_deploy.results.other_proofs import prove_report
from scnas_deploy.results.source import source_of
from tests.dicom_drawing import Drawing, Grid
from tests.results.conftest import drawn_result, result_on

ALL = tuple(Format)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return drawn_result(tmp_path_factory.mktemp("study"), "oblique")


def uids(files):
    return {file.name: str(pydicom.dcmread(file).SOPInstanceUID) for file in files if file.suffix == ".dcm"}


def test_all_forms_are_written(result, tmp_path):
    files = write_results(result, tmp_path / "out", ALL)
    assert {file.name for file in files} == {
        "labels.nii.gz",
        "seg.dcm",
        "labelmap.dcm",
        "sr.dcm",
        "rtstruct.dcm",
        "preview.png",
        "preview.dcm",
    }
    assert sorted(files) == sorted((tmp_path / "out").iterdir())
    written = nib.load(tmp_path / "out" / "labels.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), result.labels_XYZ)
    np.testing.assert_allclose(written.affine, result.study.affine_ras, atol=1e-4)


def test_the_same_result_is_the_same_bytes(result, tmp_path):
    first = write_results(result, tmp_path / "first", ALL)
    second = write_results(result, tmp_path / "second", ALL)
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_each_object_has_uids_of_its_own(result, tmp_path):
    files = write_results(result, tmp_path / "out", ALL)
    assert len(set(uids(files).values())) == 5
    series = {str(pydicom.dcmread(file).SeriesInstanceUID) for file in files if file.suffix == ".dcm"}
    assert len(series) == 5


@pytest.mark.parametrize(
    "changed",
    [
        {"model_digest": "f" * 64},
        {"precision": "int8"},
        {"engine": "onnxruntime 1.31"},
        {"labels_XYZ": "another"},
    ],
)
def test_another_model_or_setting_gives_another_object(result, tmp_path, changed):
    if "labels_XYZ" in changed:
        changed = {"labels_XYZ": np.roll(result.labels_XYZ, 1, axis=0)}
    first = uids(write_results(result, tmp_path / "first", ALL))
    second = uids(write_results(replace(result, **changed), tmp_path / "second", ALL))
    assert not set(first.values()) & set(second.values())


def test_a_study_that_grew_gives_another_object(tmp_path):
    whole = result_on(Drawing(grid=Grid(shape=(20, 16, 12))).save(tmp_path / "a"))
    grown = result_on(Drawing(grid=Grid(shape=(20, 16, 13))).save(tmp_path / "b"))
    first = uids(write_results(whole, tmp_path / "first", [Format.SEG]))
    second = uids(write_results(grown, tmp_path / "second", [Format.SEG]))
    assert first != second


def test_without_any_structure_there_is_a_report_of_0_ml_and_nothing_else(result, tmp_path):
    empty = replace(result, labels_XYZ=np.zeros_like(result.labels_XYZ))
    files = write_results(empty, tmp_path / "out", [Format.SEG, Format.SR, Format.RTSTRUCT])
    assert [file.name for file in files] == ["sr.dcm"]
    prove_report(files[0].read_bytes(), empty, source_of(result.study), None)
    assert str(pydicom.dcmread(files[0])).count('"0.0"') + str(pydicom.dcmread(files[0])).count("DS: '0.0'") == 3


def test_codes_of_the_plan_are_those_of_the_object(result, tmp_path):
    (path, *_) = write_results(result, tmp_path / "out", [Format.SEG])
    first, second = pydicom.dcmread(path).SegmentSequence
    assert CodedTerm(value="10200004", scheme="SCT", meaning="Liver") == coded(first)
    assert (first.SegmentLabel, second.SegmentLabel) == ("liver", "spleen")
    assert str(first.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion).startswith("0123456789abcdef")


def coded(segment) -> CodedTerm:
    code = segment.SegmentedPropertyTypeCodeSequence[0]
    return CodedTerm(value=code.CodeValue, scheme=code.CodingSchemeDesignator, meaning=code.CodeMeaning)


def test_what_was_corrected_stands_in_the_objects(tmp_path):
    path = Drawing(modality="MR").save(tmp_path, lambda objects: objects[:5] + objects[6:])
    files = write_results(result_on(path, allow=["resample-gaps"]), tmp_path / "out", [Format.SEG, Format.SR])
    for file in files:
        told = [str(each.value) for each in pydicom.dcmread(file).iterall() if each.VR in ("LT", "UT")]
        assert any("resample-gaps" in text for text in told), file.name


def test_objects_refer_to_the_images_they_are_made_of(result, tmp_path):
    files = {file.name: file for file in write_results(result, tmp_path / "out", ALL)}
    sources = {plane.instance.uid for plane in result.study.dicom.planes}
    for name in ("seg.dcm", "rtstruct.dcm", "sr.dcm"):
        dataset = pydicom.dcmread(files[name])
        referred = {str(each.value) for each in dataset.iterall() if each.keyword == "ReferencedSOPInstanceUID"}
        assert sources <= referred, name


def test_what_fails_its_proof_is_not_written(result, tmp_path, monkeypatch):
    def refuse(*_):
        raise ProofError("it", expected="this", found="that", remedy="Report it")

    monkeypatch.setattr(formats, "prove_report", refuse)
    with pytest.raises(ProofError):
        write_results(result, tmp_path / "out", ALL)
    assert not (tmp_path / "out").exists()


def test_of_a_nifti_study_there_is_no_dicom_form(result, tmp_path):
    plain = replace(result, study=Volume(data=result.study.data, affine_ras=result.study.affine_ras))
    files = write_results(plain, tmp_path / "out", [Format.NIFTI, Format.PREVIEW])
    assert {file.name for file in files} == {"labels.nii.gz", "preview.png"}
    with pytest.raises(ConfigError, match="DICOM"):
        write_results(plain, tmp_path / "other", [Format.SEG])


@pytest.mark.parametrize("text", ["", "dicom", "nifti,dcm", "sr", "sr,nifti"])
def test_unknown_forms_are_refused(text):
    with pytest.raises(ConfigError):
        parse_formats(text)


def test_forms_are_read_in_any_order():
    assert parse_formats("sr, dicom-seg,nifti") == (Format.SR, Format.SEG, Format.NIFTI)


def test_the_audit_names_uids_and_no_patient(tmp_path):
    planted = result_on(Drawing(patient="PLANTED").save(tmp_path))
    path = tmp_path / "audit.jsonl"
    for _ in range(2):
        append_audit(path, planted, ["dicom-seg"])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert "PLANTED" not in path.read_text()
    assert len(lines) == 2
    assert lines[0]["model_digest"] == planted.model_digest
    assert len(lines[0]["instance_uids"]) == 12
    assert lines[0]["forms"] == ["dicom-seg"]


def test_neither_picture_nor_metadata_of_the_preview_name_the_patient(tmp_path):
    planted = result_on(Drawing(patient="PLANTED").save(tmp_path))
    other = result_on(Drawing(patient="SOMEBODY").save(tmp_path / "other"))
    (png, *_) = (file for file in write_results(planted, tmp_path / "out", [Format.PREVIEW]) if file.suffix == ".png")
    (twin, *_) = (file for file in write_results(other, tmp_path / "twin", [Format.PREVIEW]) if file.suffix == ".png")
    assert png.read_bytes() == twin.read_bytes()
    assert b"PLANTED" not in png.read_bytes()
