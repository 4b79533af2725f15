"""A whole server: a study goes in at one end, results come out proven at the other."""

import json
import signal
import time

import pytest

from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.serve.work import SEGMENT
from tests.serve.conftest import MODEL
from tests.serve.process import ServerProcess, wait_until
from tests.serve.sender import send_study
from tests.serve.studies import crop_objects

SETTINGS = """
spool = "spool"
models = "{models}"
audit = "audit.jsonl"
[dicom]
host = "127.0.0.1"
port = {dicom}
peers = [{ ae_title = "SENDER", address = "127.0.0.1/32" }]
quiet_s = 0.5
[grpc]
host = "127.0.0.1"
port = {grpc}
insecure = true
[web]
host = "127.0.0.1"
port = {web}
[disk]
min_free_bytes = 1000000
[work]
lease_s = 5
grace_s = 20
[[rules]]
name = "head"
model = "hippocampus"
match = [{ attribute = "Modality", matches = "MR" }]
"""


@pytest.fixture
def server(tmp_path, models):
    process = ServerProcess(tmp_path / "server", SETTINGS.replace("{models}", str(models.path))).start()
    yield process.wait_ready()
    process.end()


def jobs(server):
    with Ledger(f"sqlite:///{server.folder}/spool/ledger.db") as ledger:
        return ledger.listed(queues=[SEGMENT])


def done(server, number=1):
    return [job.state for job in jobs(server)].count("done") == number


def test_a_study_that_was_sent_is_segmented(server, scnas_data):
    send_study(server.dicom, crop_objects(scnas_data))
    wait_until(lambda: done(server), "the study is done")
    (job,) = jobs(server)
    assert {file["name"] for file in job.result["files"]} == {"seg.dcm", "sr.dcm"}
    assert all(0.5 < ml < 3.5 for ml in job.result["volumes_ml"].values())
    (line,) = (server.folder / "audit.jsonl").read_text().splitlines()
    assert json.loads(line)["on_behalf_of"] == "SENDER"
    figures = server.metrics()
    assert figures['scnas_results_total{model="hippocampus",outcome="done"}'] == 1
    assert figures["scnas_engine_seconds_total"] > 0


def test_late_objects_make_a_new_result_of_their_own(server, scnas_data):
    objects = list(crop_objects(scnas_data, 1))
    send_study(server.dicom, objects[:-4])
    wait_until(lambda: done(server), "the first part is done")
    send_study(server.dicom, objects[-4:])
    wait_until(lambda: done(server, 2), "the whole is done")
    newer, older = jobs(server)
    uids = [{file["sop_instance"] for file in job.result["files"]} for job in (newer, older)]
    assert not uids[0] & uids[1]


def test_a_study_that_the_model_is_not_made_for_fails_with_its_reason(server, scnas_data):
    send_study(server.dicom, (each for each in list(crop_objects(scnas_data, 2))[:5]))
    wait_until(lambda: [job.state for job in jobs(server)] == ["failed"], "the study has failed")
    assert "expected" in jobs(server)[0].error


def test_it_ends_in_order_and_goes_on_later(server, scnas_data):
    for number in range(3, 8):
        send_study(server.dicom, crop_objects(scnas_data, number))
    assert server.stop() == 0
    assert [event["message"] for event in server.events()][-1] == "stopped"
    assert not [job for job in jobs(server) if job.state == "running"]
    server.start().wait_ready()
    wait_until(lambda: done(server, 5), "all five are done")
    assert all(job.num_attempts == 1 for job in jobs(server))


def test_one_that_is_killed_loses_nothing(server, scnas_data):
    for number in range(3, 6):
        send_study(server.dicom, crop_objects(scnas_data, number))
    wait_until(lambda: any(job.state == "running" for job in jobs(server)), "a study is under way")
    server.kill()
    server.start().wait_ready()
    wait_until(lambda: done(server, 3), "all three are done")


def test_a_model_is_replaced_and_taken_back_without_a_restart(server, scnas_data, models):
    path = models.packages()[MODEL]
    away = path.rename(path.with_suffix(".away"))
    send_study(server.dicom, crop_objects(scnas_data, 9))
    wait_until(lambda: any("a study waits" in event["message"] for event in server.events()), "the study waits")
    away.rename(path)
    server.settings.write_text(server.settings.read_text().replace('name = "head"', 'name = "again"'))
    wait_until(lambda: done(server), "the study is done")
    assert jobs(server)[0].payload["rule"] == "again"


def test_planted_names_reach_no_log_metric_or_ledger(server, scnas_data):
    planted = []
    for dataset in crop_objects(scnas_data, 10):
        dataset.PatientName, dataset.PatientID = "PLANTED^NAME", "PLANTED-ID"
        dataset.PatientBirthDate, dataset.StudyDescription = "19010203", "PLANTED STUDY"
        dataset.SeriesDescription = dataset.AccessionNumber = "PLANTED"
        planted.append(dataset)
    send_study(server.dicom, planted)
    send_study(server.dicom, (each for each in planted[:2]), calling="PLANTED", accepted=False)
    wait_until(lambda: done(server), "the study is done")
    figures = json.dumps(server.metrics())
    ledger = b"".join(path.read_bytes() for path in (server.folder / "spool").glob("ledger.db*"))
    for text in (
        server.log.read_text(),
        figures,
        ledger.decode("latin-1"),
        (server.folder / "audit.jsonl").read_text(),
    ):
        assert "PLANTED" not in text
        assert "19010203" not in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once(server, number):
    started = time.monotonic()
    server.process.send_signal(number)
    assert server.process.wait(timeout=60) == 0
    assert time.monotonic() - started < 30
