"""What real archives hold beside images: names in other alphabets, dates that are none, attributes that are missing."""

import pydicom
import pytest

from scnas_deploy.data.plan import CodedTerm
from scnas_deploy.errors import ConfigError
from scnas_deploy.results.formats import Format, write_results
from tests.dicom_drawing import Drawing
from tests.results.conftest import LABELS, result_on

ALL = tuple(Format)


def written(folder, change, formats=ALL):
    def on_all(objects):
        for dataset in objects:
            change(dataset)
        return objects

    result = result_on(Drawing(modality="MR").save(folder, on_all))
    return {path.name: path for path in write_results(result, folder / "out", formats)}


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 192", "Ковальчук^Іван"),
        ("ISO_IR 100", "Müller^Jörg"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
    ],
)
def test_names_in_any_alphabet_stay_as_they_are(tmp_path, charset, name):
    def change(dataset):
        dataset.SpecificCharacterSet = charset
        dataset.PatientName = name

    for file in written(tmp_path, change).values():
        if file.suffix == ".dcm":
            assert str(pydicom.dcmread(file).PatientName) == name, file.name


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientSex", "U"),
        ("PatientSex", "MALE"),
        ("PatientBirthDate", "1963-04-05"),
        ("PatientBirthDate", "19630000"),
        ("StudyTime", "03:04:05"),
        ("ReferringPhysicianName", ["One^A", "Two^B"]),
        ("StudyID", "a study of more than 16 characters"),
        ("AccessionNumber", ""),
    ],
)
def test_values_that_the_standard_forbids_stop_nothing(tmp_path, keyword, value):
    assert len(written(tmp_path, lambda dataset: setattr(dataset, keyword, value))) == 7


@pytest.mark.parametrize(
    "keyword",
    ["SliceThickness", "PatientSex", "PatientBirthDate", "StudyID", "StudyDate", "SeriesNumber", "PatientName"],
)
def test_missing_attributes_stop_nothing(tmp_path, keyword):
    assert len(written(tmp_path, lambda dataset: delattr(dataset, keyword))) == 7


def test_names_of_labels_may_be_of_another_alphabet_than_the_patients(tmp_path):
    from dataclasses import replace

    result = result_on(Drawing(modality="MR").save(tmp_path))
    labels = (LABELS[0].model_copy(update={"name": "脾臓"}), *LABELS[1:])
    files = write_results(replace(result, labels=labels), tmp_path / "out", ALL)
    seg = next(file for file in files if file.name == "seg.dcm")
    assert pydicom.dcmread(seg).SegmentSequence[0].SegmentLabel == "脾臓"


def test_two_labels_may_share_a_code(tmp_path):
    from dataclasses import replace

    code = CodedTerm(value="86049000", scheme="SCT", meaning="Neoplasm, Primary")
    labels = tuple(label.model_copy(update={"code": code}) for label in LABELS)
    result = replace(result_on(Drawing(modality="MR").save(tmp_path)), labels=labels)
    assert len(write_results(result, tmp_path / "out", ALL)) == 7


def test_without_a_frame_of_reference_there_is_a_picture_and_no_object(tmp_path):
    names = written(tmp_path, lambda dataset: delattr(dataset, "FrameOfReferenceUID"), (Format.NIFTI, Format.PREVIEW))
    assert set(names) == {"labels.nii.gz", "preview.png"}
    with pytest.raises(ConfigError, match="frame of reference"):
        written(tmp_path / "other", lambda dataset: delattr(dataset, "FrameOfReferenceUID"), (Format.SEG,))
