"""What is no image of a volume is listed with its reason, and stops nothing."""

import shutil
import zipfile

import numpy as np
import pydicom
import pytest

from scnas_deploy.data.dicom.reading import read_series
from scnas_deploy.data.dicom.scan import Scan, scan
from scnas_deploy.errors import FormatError
from tests.dicom_drawing import Drawing, seeded_uid


def reasons(found: Scan) -> list[str]:
    return sorted(left.reason for left in found.left)


def one(keyword, value):
    """The drawn objects and one more of the same series with another attribute."""

    def change(objects):
        other = Drawing().plane(0)
        other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = seeded_uid("other")
        setattr(other, keyword, value)
        return [*objects, other]

    return change


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7", "Secondary Capture Image"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.88.67", "X-Ray Radiation Dose SR"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.66.4", "Segmentation"),
        ("SOPClassUID", "1.2.3.4", "an object of an unknown kind"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"], "a localizer"),
        ("ImageType", ["DERIVED", "SECONDARY", "SCREEN SAVE"], "a screen save"),
        ("SamplesPerPixel", 3, "a colour image"),
    ],
)
def test_what_is_something_else_is_left_out(tmp_path, keyword, value, reason):
    drawing = Drawing()
    found = scan([drawing.save(tmp_path, one(keyword, value))])
    assert reasons(found) == [reason]
    assert not found.left[0].damaged
    np.testing.assert_array_equal(read_series(found.series[0]).data[0], drawing.voxels)


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("Rows", 0, "no rows or no columns"),
        ("Rows", 17, "its pixels are missing or cut off"),
        ("BitsAllocated", 12, "pixels of 16 bits in 12"),
        ("RescaleSlope", "0", "values that a slope and an intercept do not give"),
        ("NumberOfFrames", "5", "5 frames, but no functional groups that place them"),
        ("SeriesInstanceUID", "none", "its SeriesInstanceUID is missing or none"),
    ],
)
def test_an_image_that_contradicts_itself_is_called_damaged(tmp_path, keyword, value, reason):
    found = scan([Drawing().save(tmp_path, one(keyword, value))])
    assert reasons(found) == [reason]
    assert found.left[0].damaged
    assert len(found.series[0].instances) == 12


def test_files_that_are_no_dicom_are_listed(tmp_path):
    folder = Drawing().save(tmp_path)
    (folder / "notes.txt").write_text("not an image")
    (folder / "empty").touch()
    (folder / "DICOMDIR").write_bytes(bytes(200))
    found = scan([folder])
    assert reasons(found) == ["no DICOM object"] * 3
    assert len(found.series) == 1


def test_an_object_without_preamble_is_read(tmp_path):
    drawing = Drawing()
    folder = drawing.save(tmp_path)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.file_meta
        dataset.preamble = None
        dataset.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert path.read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(read_series(scan([folder]).series[0]).data[0], drawing.voxels)


def test_reasons_name_no_patient(tmp_path):
    def damage(objects):
        objects[0].PatientName = "Planted^Name"
        objects[0].SeriesInstanceUID = "Planted"
        return objects

    found = scan([Drawing().save(tmp_path, damage)])
    assert "Planted" not in repr(found.left)
    assert "Planted" not in repr(found.series)


def test_a_member_that_would_fill_the_memory_is_not_unpacked(tmp_path):
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("a.dcm", bytes(1 << 26))
    (left,) = scan([path]).left
    assert left.damaged
    assert left.reason.startswith("67108864 bytes packed into")


def test_names_in_an_archive_lead_nowhere(tmp_path):
    drawing = Drawing()
    path, folder = tmp_path / "study.zip", drawing.save(tmp_path)
    with zipfile.ZipFile(path, "w") as archive:
        for number, file in enumerate(sorted(folder.iterdir())):
            archive.write(file, f"../../{number}.dcm")
    shutil.rmtree(folder)
    before = sorted(tmp_path.rglob("*"))
    np.testing.assert_array_equal(read_series(scan([path]).series[0]).data[0], drawing.voxels)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_archive_is_refused(tmp_path):
    path = tmp_path / "study.zip"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(FormatError, match="a sound zip archive"):
        scan([path])


def test_a_path_that_leads_nowhere_is_refused(tmp_path):
    with pytest.raises(FormatError, match="expected a file, folder or zip archive"):
        scan([tmp_path / "nothing"])
