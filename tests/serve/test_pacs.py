"""A real PACS routes a study to us, and gets segmentation and report back, proven on what it hands out."""

import io
import shutil
from pathlib import Path

import pydicom
import pytest

from scnas_deploy.data.study import load_study
from scnas_deploy.inference.model import load_model
from scnas_deploy.inference.models import user_models
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.results.other_proofs import prove_report
from scnas_deploy.results.proof import prove_segmentation
from scnas_deploy.results.source import source_of
from tests.ports import free_port
from tests.serve.conftest import MODEL
from tests.serve.dicom.orthanc import AE_TITLE, PASSWORD, USER, Orthanc
from tests.serve.process import ServerProcess, wait_until
from tests.serve.studies import crop_objects, encoded

ROUTE = Path(__file__).parents[2] / "deploy" / "orthanc" / "route.lua"
SETTINGS = """
spool = "spool"
models = "{models}"
[dicom]
host = "127.0.0.1"
port = {dicom}
peers = [{ ae_title = "ORTHANC", address = "127.0.0.1/32" }]
quiet_s = 0.5
[web]
host = "127.0.0.1"
port = {web}
[disk]
min_free_bytes = 1000000
[[rules]]
name = "head"
model = "hippocampus"
destinations = ["pacs"]
[[destinations]]
name = "pacs"
"""
BY = {
    "dicom": 'kind = "dicom"\nhost = "127.0.0.1"\nport = {port}\nae_title = "{title}"\n',
    "stow": 'kind = "stow"\nurl = "{url}"\nuser = "{user}"\npassword = "password"\n',
}
SEG, SR = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"


@pytest.fixture(scope="module")
def node_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def pacs(node_port):
    """An Orthanc with the route that is documented."""
    orthanc = Orthanc({"SCNAS": node_port}, ROUTE.read_text()).start()
    yield orthanc
    orthanc.remove()


@pytest.fixture(params=BY)
def server(request, tmp_path, models, pacs, node_port):
    pacs.clear()
    values = {"port": pacs.dicom_port, "title": AE_TITLE, "url": pacs.url, "user": USER}
    text = SETTINGS.replace("{models}", str(models.path)).replace("{dicom}", str(node_port))
    process = ServerProcess(tmp_path / "server", text + BY[request.param].format(**values))
    (process.folder / "password").write_text(PASSWORD)
    yield process.start().wait_ready()
    process.end()


def results(pacs) -> dict[str, bytes]:
    """SOP class -> file, of all that is no image."""
    found = {}
    for instance in pacs.get("/instances"):
        content = pacs.request(f"/instances/{instance}/file")
        sop_class = str(pydicom.dcmread(io.BytesIO(content), specific_tags=["SOPClassUID"]).SOPClassUID)
        if sop_class in (SEG, SR):
            assert sop_class not in found, "a result is there twice"
            found[sop_class] = content
    return found


def test_what_the_pacs_hands_out_is_proven(server, pacs, scnas_data, tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    for number, dataset in enumerate(crop_objects(scnas_data)):
        (study / f"{number}.dcm").write_bytes(encoded(dataset))
    pacs.upload(sorted(study.iterdir()))
    wait_until(lambda: len(results(pacs)) == 2, "segmentation and report are in the PACS")
    found = results(pacs)
    model = load_model(user_models().packages()[MODEL])
    alone = model.segment(load_study([study], model.package.plan))
    prove_segmentation(found[SEG], alone, source_of(alone.study))
    uid = str(pydicom.dcmread(io.BytesIO(found[SEG])).SOPInstanceUID)
    prove_report(found[SR], alone, source_of(alone.study), uid)
    assert_nothing_goes_round(server, pacs)
    shutil.rmtree(study)


def assert_nothing_goes_round(server, pacs):
    """Our results make the study stable again; nothing of it comes back to us."""
    objects, stable = pacs.objects(), pacs.get("/statistics")["CountInstances"]
    before = server.metrics()["scnas_objects_received_total"]
    wait_until(lambda: all(pacs.get(f"/studies/{each}")["IsStable"] for each in pacs.get("/studies")), "it is stable")
    wait_until(
        lambda: all(job["State"] in ("Success", "Failure") for job in pacs.get("/jobs?expand")), "it has sent all"
    )
    with Ledger(f"sqlite:///{server.folder}/spool/ledger.db") as ledger:
        assert len(ledger.listed(queues=["segment"])) == 1
    assert server.metrics()["scnas_objects_received_total"] == before
    assert (pacs.objects(), pacs.get("/statistics")["CountInstances"]) == (objects, stable)
