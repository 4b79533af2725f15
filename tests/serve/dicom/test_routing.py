"""A PACS that routes to our node by itself, as most do."""

import time

import pydicom
import pytest

from scnas_deploy.serve.dicom.destinations import open_destination
from scnas_deploy.serve.settings import DicomDestination
from tests.serve.dicom.orthanc import AE_TITLE, Orthanc
from tests.serve.dicom.results import dicom_files, write_result

EVERYTHING_TO_US = """
function OnStoredInstance(identifier)
  SendToModality(identifier, 'scnas')
end
"""


@pytest.fixture
def routed(node):
    pacs = Orthanc({"SCNAS": node.port}, EVERYTHING_TO_US)
    try:
        yield pacs.start()
    finally:
        pacs.remove()


def test_a_study_comes_and_its_result_does_not_come_back(routed, inbox, tmp_path):
    files = dicom_files(write_result(tmp_path))
    paths = sorted((tmp_path / "study").rglob("*.dcm"))
    routed.upload(paths)
    study = _study(paths[0])
    _wait(lambda: inbox.known(study, "SCNAS") == len(paths))
    values = {"name": "pacs", "host": "127.0.0.1", "port": routed.dicom_port, "ae_title": AE_TITLE}
    open_destination(DicomDestination(kind="dicom", **values), "SCNAS").send(files, lambda: None)
    _wait(lambda: len(routed.objects()) == len(paths) + len(files))
    _wait(lambda: _are_all_ended(routed))
    assert inbox.known(study, "SCNAS") == len(paths)


def _are_all_ended(pacs: Orthanc) -> bool:
    return all(each["State"] in ("Success", "Failure") for each in pacs.get("/jobs?expand"))


def _study(path) -> str:
    return pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID


def _wait(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
