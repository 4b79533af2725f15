"""A whole server: a study goes in at one end, results come out proven at the other."""

import json

import pytest

from tests.serve.process import wait_until
from tests.serve.running_server import jobs_of, start_server
from tests.serve.sender import send_study
from tests.serve.studies import crop_objects


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    process = start_server(tmp_path_factory.mktemp("server"))
    yield process.wait_ready()
    process.end()


def study(scnas_data, number):
    objects = list(crop_objects(scnas_data, number))
    return objects, objects[0].StudyInstanceUID


def wait_for(server, uid, *states):
    """Wait until the study's jobs, newest first, stand so; return them."""
    wait_until(lambda: tuple(job.state.value for job in jobs_of(server, uid)) == states, f"its jobs are {states}")
    return jobs_of(server, uid)


def test_a_study_that_was_sent_is_segmented(server, scnas_data):
    objects, uid = study(scnas_data, 1)
    send_study(server.dicom, objects)
    (job,) = wait_for(server, uid, "done")
    assert {file["name"] for file in job.result["files"]} == {"seg.dcm", "sr.dcm"}
    assert all(0.5 < ml < 3.5 for ml in job.result["volumes_ml"].values())
    lines = map(json.loads, (server.folder / "audit.jsonl").read_text().splitlines())
    assert [line["on_behalf_of"] for line in lines if line["study_uids"] == [uid]] == ["SENDER"]
    figures = server.metrics()
    assert figures['scnas_results_total{model="hippocampus",outcome="done"}'] >= 1
    assert figures["scnas_engine_seconds_total"] > 0


def test_late_objects_make_a_new_result_of_their_own(server, scnas_data):
    objects, uid = study(scnas_data, 2)
    send_study(server.dicom, objects[:-4])
    wait_for(server, uid, "done")
    send_study(server.dicom, objects[-4:])
    newer, older = wait_for(server, uid, "done", "done")
    uids = [{file["sop_instance"] for file in job.result["files"]} for job in (newer, older)]
    assert not uids[0] & uids[1]


def test_a_study_that_the_model_is_not_made_for_fails_with_its_reason(server, scnas_data):
    objects, uid = study(scnas_data, 3)
    send_study(server.dicom, objects[:5])
    (job,) = wait_for(server, uid, "failed")
    assert "expected" in job.error


def test_planted_names_reach_no_log_metric_or_ledger(server, scnas_data):
    objects, uid = study(scnas_data, 4)
    for dataset in objects:
        dataset.PatientName, dataset.PatientID = "PLANTED^NAME", "PLANTED-ID"
        dataset.PatientBirthDate, dataset.StudyDescription = "19010203", "PLANTED STUDY"
        dataset.SeriesDescription = dataset.AccessionNumber = "PLANTED"
    send_study(server.dicom, objects)
    send_study(server.dicom, objects[:2], calling="PLANTED", accepted=False)
    wait_for(server, uid, "done")
    ledger = b"".join(path.read_bytes() for path in (server.folder / "spool").glob("ledger.db*"))
    told = [server.log.read_text(), (server.folder / "audit.jsonl").read_text(), json.dumps(server.metrics())]
    for text in (*told, ledger.decode("latin-1")):
        assert "PLANTED" not in text
        assert "19010203" not in text
