"""The compose file's settings and Orthanc's, in a real server and a real Orthanc: what was not sent is asked for."""

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.deploy.tools import DEPLOY, deployed_orthanc
from tests.ports import free_port
from tests.serve.dicom.orthanc import Orthanc
from tests.serve.process import ServerProcess, wait_until
from tests.serve.studies import crop_objects, encoded


@pytest.fixture
def node_port() -> int:
    return free_port()


@pytest.fixture
def orthanc(node_port: int) -> Iterator[Orthanc]:
    pacs = deployed_orthanc(node_port)
    try:
        yield pacs.start()
    finally:
        pacs.remove()


@pytest.fixture
def server(tmp_path: Path, orthanc: Orthanc, node_port: int) -> Iterator[ServerProcess]:
    """The server as it is deployed, but for addresses, ports, folders and its patience; not started."""
    tokens = tmp_path / "tokens"
    tokens.write_text(f"workstation {hashlib.sha256(b'token').hexdigest()}\n")
    (tmp_path / "audit").mkdir()
    text = (DEPLOY / "settings" / "serve.toml").read_text()
    for deployed, here in (
        ('"/var/lib/scnas/', f'"{tmp_path}/'),
        ('"/run/secrets/tokens"', f'"{tokens}"'),
        ("172.30.77.10/32", "127.0.0.1"),
        ('host = "orthanc"\nport = 4242', f'host = "127.0.0.1"\nport = {orthanc.dicom_port}'),
        ("[dicom]\n", f'[dicom]\nhost = "127.0.0.1"\nport = {node_port}\nquiet_s = 0.5\n'),
        ("[grpc]\n", '[web]\nhost = "127.0.0.1"\nport = {web}\n[grpc]\nhost = "127.0.0.1"\nport = {grpc}\n'),
    ):
        assert deployed in text
        text = text.replace(deployed, here)
    process = ServerProcess(tmp_path / "server", text, os.environ | {"SCNAS_MODELS": str(tmp_path / "models")})
    yield process
    process.end()


def _modalities(orthanc: Orthanc) -> set[str]:
    return {each["MainDicomTags"]["Modality"] for each in orthanc.get("/series?expand")}


@pytest.mark.soak
def test_a_study_that_came_while_the_server_was_away_gets_its_results(server, orthanc, scnas_data, tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    for number, dataset in enumerate(crop_objects(scnas_data)):
        dataset.StudyDate = f"{date.today():%Y%m%d}"
        (study / f"{number}.dcm").write_bytes(encoded(dataset))
    orthanc.upload(sorted(study.iterdir()))
    wait_until(lambda: [each["State"] for each in orthanc.get("/jobs?expand")] == ["Failure"], "it could not be sent")

    server.start().wait_ready()
    wait_until(lambda: _modalities(orthanc) == {"MR", "SEG", "SR"}, "its results are in the PACS")
    lines = (tmp_path / "audit" / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["model"] for line in lines] == ["hippocampus"]
    assert server.stop() == 0
    assert server.events()[-1]["message"] == "stopped"
