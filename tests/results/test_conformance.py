"""Other people's readers and checkers on what we hand out: dicom3tools, dcmqi, dcmrtstruct2nii's rules, DCMTK."""

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from scnas_deploy.results.formats import Format, write_results
from tests.conftest import REQUIRE_ALL
from tests.results.conftest import GEOMETRIES, LABELS, drawn_result

FORMATS = (Format.SEG, Format.SR, Format.RTSTRUCT, Format.PREVIEW)
DCMQI = Path(sysconfig.get_path("scripts"), "segimage2itkimage")


@pytest.fixture(scope="module")
def checkers():
    missing = [name for name in ("dciodvfy", "dcentvfy", "dsrdump") if shutil.which(name) is None]
    if missing:
        message = f"{', '.join(missing)} not installed: apt-get install dicom3tools dcmtk"
        if REQUIRE_ALL:
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture(scope="module", params=sorted(GEOMETRIES))
def written(request, tmp_path_factory):
    """A result in each geometry, and its files."""
    folder = tmp_path_factory.mktemp("result")
    result = drawn_result(folder / "study", request.param)
    return result, write_results(result, folder / "out", FORMATS)


def errors(*command) -> list[str]:
    ended = subprocess.run(command, capture_output=True, text=True)
    return [line for line in (ended.stdout + ended.stderr).splitlines() if line.startswith("Error")]


def test_every_object_is_what_its_class_demands(checkers, written):
    _, files = written
    objects = [file for file in files if file.suffix == ".dcm"]
    assert [file.name for file in objects] == ["seg.dcm", "sr.dcm", "rtstruct.dcm", "preview.dcm"]
    assert [errors("dciodvfy", "-new", file) for file in objects] == [[]] * 4


def test_all_objects_are_of_one_patient_study_and_frame(checkers, written):
    result, files = written
    sources = {plane.instance.source.path for plane in result.study.dicom.planes}
    assert errors("dcentvfy", *sources, *(file for file in files if file.suffix == ".dcm")) == []


def test_dcmqi_finds_every_voxel_where_it_is(written, tmp_path):
    result, files = written
    seg = next(file for file in files if file.name == "seg.dcm")
    command = [DCMQI, "--inputDICOM", seg, "--outputDirectory", tmp_path, "--outputType", "nii", "--prefix", "s"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for number, label in enumerate((LABELS[0], LABELS[2]), start=1):
        image = nib.load(tmp_path / f"s-{number}.nii.gz")
        theirs, ours = np.asanyarray(image.dataobj) > 0, result.labels_XYZ == label.value
        assert theirs.sum() == ours.sum()
        np.testing.assert_allclose(centroid(theirs, image.affine), centroid(ours, result.study.affine_ras), atol=0.01)
        assert dice_in_patient(theirs, image.affine, ours, result.study.affine_ras) == 1.0


def centroid(mask, affine):
    return affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + affine[:3, 3]


def dice_in_patient(theirs, their_affine, ours, our_affine):
    """Of their voxels, by where they lie in the patient, with ours, whatever their grid's order and extent are."""
    to_ours = np.linalg.inv(our_affine) @ their_affine
    points = np.argwhere(theirs) @ to_ours[:3, :3].T + to_ours[:3, 3]
    index = np.rint(points)
    assert np.abs(points - index).max() < 0.01
    there = np.zeros(ours.shape, dtype=bool)
    there[tuple(index.astype(int).T)] = True
    return 2 * (there & ours).sum() / (theirs.sum() + ours.sum())


def test_dcmtk_reads_the_volumes(checkers, written):
    result, files = written
    report = next(file for file in files if file.name == "sr.dcm")
    text = subprocess.run(["dsrdump", report], capture_output=True, text=True, check=True).stdout
    read = [float(value) for value in re.findall(r'"Volume"\)="([0-9.eE+-]+)" \(ml', text)]
    assert read == pytest.approx([result.volumes_ml()[label.name] for label in LABELS], abs=1e-6)
    assert read[1] == 0
    assert "research use" in text


def test_nothing_of_a_result_is_said_to_be_of_now(written):
    _, files = written
    for file in files:
        if file.suffix == ".dcm":
            dataset = pydicom.dcmread(file)
            moments = [str(each.value)[:8] for each in dataset.iterall() if each.VR in ("DA", "DT") and each.value]
            assert set(moments) <= {"20200102", "19700101"}, file.name
