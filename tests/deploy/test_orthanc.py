"""Orthanc's configuration and route, in a real Orthanc: images of a study go out once, and results do not come back."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.tools import deployed_orthanc
from tests.dicom_drawing import Drawing, Grid, seeded_uid
from tests.serve.dicom.dcmtk import Receiver, run, send
from tests.serve.dicom.orthanc import Orthanc

_STABLE_S = 1
_PATIENCE_S = 60
_REPORT = "1.2.840.10008.5.1.4.1.1.88.33"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Receiver]:
    """Stands where the server's DICOM node is, and keeps what it is sent."""
    with Receiver(tmp_path / "received") as receiver:
        yield receiver


@pytest.fixture
def orthanc(node: Receiver) -> Iterator[Orthanc]:
    pacs = deployed_orthanc(node.port)
    try:
        yield pacs.start()
    finally:
        pacs.remove()


def _files(folder: Path, drawing: Drawing) -> list[Path]:
    return sorted(drawing.save(folder).iterdir())


def _report(folder: Path, drawing: Drawing) -> Path:
    """What a result looks like to a route: an object of the same study that is no image."""
    dataset = drawing.plane(0)
    dataset.Modality, dataset.SeriesInstanceUID = "SR", "1.2.3.4"
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = _REPORT
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    del dataset.PixelData
    path = folder / "sr.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _stable(orthanc: Orthanc) -> bool:
    return all(each["IsStable"] for each in orthanc.get("/studies?expand"))


def _sent(node: Receiver) -> int:
    return sum(1 for each in node.folder.iterdir() if each.is_file())


def _jobs(orthanc: Orthanc) -> list[dict]:
    return orthanc.get("/jobs?expand")


def _settle(orthanc: Orthanc, num_jobs: int) -> None:
    """Wait until nothing is under way any more and Orthanc has done so many transfers in all."""
    _wait(lambda: _stable(orthanc))
    _wait(lambda: len(_jobs(orthanc)) >= num_jobs and all(each["State"] == "Success" for each in _jobs(orthanc)))
    time.sleep(1.5 * _STABLE_S)  # what would be sent in error would begin now
    assert [each["State"] for each in _jobs(orthanc)] == ["Success"] * num_jobs


@pytest.mark.soak
def test_images_are_sent_once_and_results_never(orthanc, node, tmp_path):
    drawing = Drawing(grid=Grid(shape=(8, 6, 5)))
    images = _files(tmp_path, drawing)
    orthanc.upload(images[:3])
    _settle(orthanc, num_jobs=1)
    assert _sent(node) == 3

    assert send(orthanc.dicom_port, [_report(tmp_path, drawing)], calling="SCNAS", called="ORTHANC")
    _settle(orthanc, num_jobs=1)
    assert len(orthanc.objects()) == 4
    assert _sent(node) == 3

    orthanc.upload(images[3:])
    _settle(orthanc, num_jobs=2)
    assert _sent(node) == 5

    orthanc.upload(_files(tmp_path, Drawing(grid=Grid(shape=(8, 6, 4)), name="second", modality="MR")))
    _settle(orthanc, num_jobs=3)
    assert _sent(node) == 9
    assert sorted(each["Content"]["InstancesCount"] for each in _jobs(orthanc)) == [3, 4, 5]


@pytest.mark.parametrize(("title", "is_answered"), [("SCNAS", True), ("STRANGER", False)])
def test_only_the_server_may_ask(orthanc, tmp_path, title, is_answered):
    drawing = Drawing(grid=Grid(shape=(8, 6, 2)))
    orthanc.upload(_files(tmp_path, drawing))
    query = ("--study", "--key", "QueryRetrieveLevel=STUDY", "--key", "StudyInstanceUID")
    asked = run("findscu", *query, "-aet", title, "-aec", "ORTHANC", "127.0.0.1", orthanc.dicom_port)
    assert (seeded_uid(drawing.study) in asked.stdout) == is_answered
