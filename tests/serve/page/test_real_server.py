"""The page of a real server that has segmented real studies: what it shows, and that nobody's name is on it."""

import base64
import dataclasses
import gzip
import re

import pytest

from scnas_deploy.files import sha256_of
from tests.browser import WIDTHS, WatchedPage
from tests.ports import free_port
from tests.serve.page.conftest import TOKEN, basic
from tests.serve.process import ServerProcess, wait_until
from tests.serve.running_server import jobs_of, start_server
from tests.serve.sender import send_study
from tests.serve.studies import crop_objects

pytestmark = pytest.mark.soak

PLANTED = {
    "PatientName": "PLANTEDFAMILY^PLANTEDGIVEN",
    "PatientID": "PLANTED-ID-4711",
    "PatientBirthDate": "19610813",
    "StudyDescription": "PLANTED STUDY",
    "SeriesDescription": "PLANTED SERIES",
    "AccessionNumber": "PLANTED-ACC",
    "ReferringPhysicianName": "PLANTED^DOCTOR",
    "StudyID": "PLANTED-SID",
    "InstitutionName": "PLANTED HOSPITAL",
}
PAGE = """destinations = ["pacs"]
formats = ["dicom-seg", "sr"]
[[rules]]
name = "contours"
model = "hippocampus"
formats = ["rtstruct"]
[page]
host = "127.0.0.1"
port = {page}
tokens = "tokens"
[[destinations]]
kind = "dicom"
name = "pacs"
host = "127.0.0.1"
port = 1
ae_title = "PACS"
"""


@dataclasses.dataclass
class Served:
    process: ServerProcess
    url: str
    uid: str


@pytest.fixture(scope="module")
def served(tmp_path_factory, scnas_data):
    """A study segmented by two rules and not delivered, and one that cannot be segmented."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    (folder / "tokens").write_text(f"radiologist {sha256_of(TOKEN.encode())}\n")
    process = start_server(folder, PAGE.replace("{page}", str(port)))
    try:
        process.wait_ready()
        whole, broken = (list(crop_objects(scnas_data, number)) for number in (0, 1))
        del broken[10:20]
        for dataset in (*whole, *broken):
            for keyword, value in PLANTED.items():
                setattr(dataset, keyword, value)
        send_study(process.dicom, whole)
        send_study(process.dicom, broken)
        wait_until(
            lambda: sorted(job.state for job in jobs_of(process)) == ["done", "done", "failed", "failed"], "all ended"
        )
        yield Served(process, f"http://127.0.0.1:{port}", str(whole[0].StudyInstanceUID))
    finally:
        process.end()


def numbers(served, state, form="dicom-seg"):
    return [job.id for job in jobs_of(served.process) if job.state == state and form in job.payload["formats"]]


@pytest.fixture
def look(browser, served):
    opened = []

    def open_page(path, width=WIDTHS[0]):
        opened.append(WatchedPage(browser, width, token=TOKEN))
        return opened[-1], opened[-1].open(served.url + path)

    yield open_page
    for each in opened:
        each.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_what_was_done_is_shown(served, look, tmp_path, width):
    watched, page = look("/", width)
    assert page.inner_text("#throughput dl").split("\n")[:2] == ["Done in the last hour", "2"]
    assert "expected" in page.inner_text("#failures")
    page.wait_for_selector("#destinations >> text=does not take results", timeout=60_000)
    watched.picture(tmp_path, f"server-real-{width}")
    watched.require_clean(served.url)
    watched.require_accessible()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_finished_job_opens_in_the_viewer(served, look, tmp_path, width):
    (job_id,) = numbers(served, "done")
    watched, page = look(f"/jobs/{job_id}", width)
    assert page.locator("#volumes tbody tr").count() == 2
    watched.picture(tmp_path, f"server-real-job-{width}")
    page.click("text=Open in the viewer")
    page.wait_for_selector("html[data-viewer=shown]", timeout=60_000)
    assert page.inner_text("h1") == f"Job {job_id}"
    assert "Anterior" in page.inner_text("main")
    watched.picture(tmp_path, f"server-real-view-{width}")
    watched.require_clean(served.url)
    watched.require_accessible()


def test_a_result_without_a_mask_says_so(served, look, tmp_path):
    (job_id,) = numbers(served, "done", "rtstruct")
    watched, page = look(f"/jobs/{job_id}/view")
    assert "expected a mask of voxels among its files" in page.inner_text("main")
    watched.picture(tmp_path, "server-no-mask")
    watched.require_accessible()


def test_a_job_without_a_result_is_not_looked_at(served, look):
    job_id = numbers(served, "failed")[0]
    _, page = look(f"/jobs/{job_id}/view")
    assert page.inner_text("h1") == "Nothing to look at"


def unpacked(packed: bytes) -> bytes:
    return gzip.decompress(base64.b64decode(packed))


def test_nobody_is_named(served, ask):
    """Not on any page, nor in the file that the viewer is; and UIDs are not shown where nothing is said of them."""
    jobs = [job.id for job in jobs_of(served.process)]
    paths = [
        "/",
        "/jobs",
        "/jobs?kind=deliver",
        *(f"/jobs/{n}" for n in range(max(jobs) + 4)),
        *(f"/jobs/{n}/view" for n in jobs),
    ]
    for path in paths:
        _, _, content = ask(served.url, path, Authorization=basic("radiologist", TOKEN))
        content += b"".join(map(unpacked, re.findall(rb"H4sI[A-Za-z0-9+/=]{100,}", content)))
        for planted in (*PLANTED.values(), "PLANTEDFAMILY", "PLANTEDGIVEN", served.uid, "1.3.6.1.4.1.14519."):
            assert planted.encode() not in content, f"{planted} on {path}"


def test_looking_at_a_study_is_logged_by_the_name_of_the_token(served, ask):
    (job_id,) = numbers(served, "done")
    status, headers, _ = ask(served.url, f"/jobs/{job_id}/view", Authorization=basic("radiologist", TOKEN))
    assert status == 200
    assert "script-src 'unsafe-inline'" in headers["Content-Security-Policy"]
    assert "connect-src data: blob:" in headers["Content-Security-Policy"]
    looked = [each for each in served.process.events() if each["message"] == "a study was looked at"]
    assert (looked[-1]["job"], looked[-1]["by"]) == (job_id, "radiologist")
