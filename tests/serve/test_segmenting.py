"""Jobs that segment: by real workers, on a real study, with the shipped model."""

import threading
import time

import numpy as np
import pydicom
import pytest

from scnas_deploy.data.study import load_study
from scnas_deploy.errors import EngineError, OutputError
from scnas_deploy.files import sha256_of_file
from scnas_deploy.inference.model import Model, load_model
from scnas_deploy.inference.trust import Trust
from scnas_deploy.jobs.job import JobState, NewJob
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.worker import Worker, WorkerSettings
from scnas_deploy.results.formats import Format
from scnas_deploy.serve import segmenting
from scnas_deploy.serve.admission import Admission
from scnas_deploy.serve.model_pool import EngineClock, ModelPool
from scnas_deploy.serve.running import Running
from scnas_deploy.serve.segmenting import SegmentHandler, Workshop
from scnas_deploy.serve.settings import DicomDestination, WorkSettings
from scnas_deploy.serve.spool import Spool
from scnas_deploy.serve.work import DELIVER, SEGMENT, StudyAnswer, StudyWork
from tests.serve.conftest import MODEL
from tests.serve.studies import crop_objects, encoded, write_large

DESTINATIONS = (
    DicomDestination(kind="dicom", name="pacs", host="127.0.0.1", port=1, ae_title="PACS"),
    DicomDestination(kind="dicom", name="reports", host="127.0.0.1", port=1, ae_title="PACS", formats=(Format.SR,)),
)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as opened:
        yield opened


@pytest.fixture
def troubles() -> list[str]:
    return []


@pytest.fixture
def shop(ledger, spool, metrics, tmp_path, troubles):
    return Workshop(
        ledger=ledger,
        spool=spool,
        models=ModelPool(spool, WorkSettings(threads=1), Trust(), EngineClock()),
        running=Running(),
        admission=Admission(2_000_000_000),
        metrics=metrics,
        destinations=DESTINATIONS,
        audit=tmp_path / "audit.jsonl",
        engine_trouble=lambda _digest, trouble: troubles.append(trouble),
    )


@pytest.fixture
def submit(ledger, spool, catalog, scnas_data):
    def submit(number=0, **settings) -> int:
        """A DICOM study, unless other files are given."""
        files = tuple(
            spool.store_object("study", each.SOPInstanceUID, encoded(each)) for each in crop_objects(scnas_data, number)
        )
        told = {"formats": (Format.SEG, Format.SR), "destinations": ("pacs", "reports"), "submitted_by": "PACS"}
        work = StudyWork(
            model=MODEL,
            model_digest=catalog.pin(MODEL).digest,
            **{"source": "dicom", "folder": "incoming/study", "files": files, **told, **settings},
        )
        payload = work.model_dump(mode="json", by_alias=True)
        ledger.enqueue(SEGMENT, [NewJob(key=f"{number} {settings}", kind=SEGMENT, payload=payload)])
        return ledger.listed(limit=1)[0].id

    return submit


@pytest.fixture
def large(spool, scnas_data):
    """What a job of many patches is told."""
    folder = spool.upload("large")
    folder.mkdir()
    path = write_large(folder / "0000.nii.gz", scnas_data)
    return {
        "folder": "uploads/large",
        "files": (path.name,),
        "formats": (Format.NIFTI,),
        "force": True,
        "source": "grpc",
    }


@pytest.fixture
def work(shop, ledger):
    def work(job_id, handler=None):
        """Run the queue until it is empty; return what has become of a job."""
        settings = WorkerSettings(queue=SEGMENT, name="worker", first_wait_s=0.01, poll_s=0.01)
        worker = Worker(ledger, handler or SegmentHandler(shop), settings, threading.Event())
        while worker.run().name == "BROKEN_ENGINE":
            pass
        return ledger.find(job_id)

    return work


def test_the_results_are_those_of_the_model_itself(submit, work, spool, catalog):
    answer = StudyAnswer.model_validate(work(submit()).result)
    model = load_model(catalog.pin(MODEL).path, num_threads=1)
    alone = model.segment(load_study([spool.incoming("study")], model.package.plan))
    assert answer.volumes_ml == alone.volumes_ml()
    assert [file.format for file in answer.files] == [Format.SEG, Format.SR]
    for file in answer.files:
        path = spool.path(f"{answer.folder}/{file.name}")
        dataset = pydicom.dcmread(path)
        assert (sha256_of_file(path), path.stat().st_size) == (file.sha256, file.bytes)
        assert (dataset.SOPClassUID, dataset.SOPInstanceUID) == (file.sop_class, file.sop_instance)
    frames = pydicom.dcmread(spool.path(f"{answer.folder}/seg.dcm")).pixel_array
    assert np.count_nonzero(frames) == np.count_nonzero(alone.labels_XYZ)


def test_each_destination_gets_what_it_takes(submit, work, ledger):
    job = work(submit())
    deliveries = {each.payload["destination"]: each for each in ledger.listed(queues=[DELIVER])}
    names = {name: [file["name"] for file in each.payload["files"]] for name, each in deliveries.items()}
    assert names == {"pacs": ["seg.dcm", "sr.dcm"], "reports": ["sr.dcm"]}
    assert all(each.payload["study_job"] == job.id for each in deliveries.values())


def test_a_replay_is_the_same_objects(submit, work):
    first = work(submit(0)).result
    second = work(submit(0, rule="again")).result
    again = [file["sop_instance"] for file in second["files"]]
    assert [file["sop_instance"] for file in first["files"]] == again


def test_a_disk_that_fails_costs_a_study_no_attempt(submit, work, spool, monkeypatch):
    monkeypatch.setattr("scnas_deploy.serve.segmenting._FIRST_WAIT_S", 0.0)
    full = iter([True] * 3)
    write = segmenting.write_results

    def write_later(*arguments):
        if next(full, False):
            raise OutputError("seg.dcm", expected="space", found="No space left on device", remedy="Free some")
        return write(*arguments)

    monkeypatch.setattr(segmenting, "write_results", write_later)
    job = work(submit())
    assert (job.state, job.num_attempts, job.given_back) == (JobState.DONE, 1, 3)


def test_a_spool_that_is_away_costs_a_study_no_attempt(submit, work, spool, monkeypatch):
    monkeypatch.setattr("scnas_deploy.serve.segmenting._FIRST_WAIT_S", 0.0)
    job_id, away = submit(), spool.root / "away"
    (spool.root / "incoming").rename(away)
    looks = []

    def look(self):
        looks.append(self)
        if len(looks) == 3:
            away.rename(spool.root / "incoming")
        return original(self)

    original = Spool.require_there
    monkeypatch.setattr(Spool, "require_there", look)
    job = work(job_id)
    assert (job.state, job.num_attempts) == (JobState.DONE, 1)


def test_a_destination_that_is_gone_from_the_settings_is_not_passed_over(submit, work, ledger):
    work(submit(destinations=("renamed",)))
    (delivery,) = ledger.listed(queues=[DELIVER])
    assert delivery.payload["destination"] == "renamed"
    assert len(delivery.payload["files"]) == 2


def test_a_study_that_may_end_its_workers_is_tried_alone(submit, work, shop, monkeypatch):
    asked = []
    study = Admission.study
    monkeypatch.setattr(
        Admission,
        "study",
        lambda self, *args, **settings: (asked.append(settings["alone"]), study(self, *args, **settings))[1],
    )
    failures = iter([True] * 2)
    segment = Model.segment

    def failing_twice(self, *arguments):
        if next(failures, False):
            raise RuntimeError
        return segment(self, *arguments)

    monkeypatch.setattr(Model, "segment", failing_twice)
    assert work(submit()).num_attempts == 3
    assert asked == [False, False, True]


def test_a_job_of_which_nothing_is_left_fails_at_once(submit, work, spool):
    job_id = submit()
    spool.remove(spool.incoming("study"))
    job = work(job_id)
    assert (job.state, job.num_attempts) == (JobState.FAILED, 1)


def test_a_job_that_leads_out_of_the_spool_fails(submit, work, ledger):
    submit()
    payload = ledger.listed()[0].payload
    ledger.enqueue(SEGMENT, [NewJob(key="bad", kind=SEGMENT, payload={**payload, "folder": "../.."})])
    assert work(ledger.listed(limit=1)[0].id).state is JobState.FAILED


def test_what_is_over_its_time_is_cancelled(submit, work):
    job = work(submit(expires_at=time.time() - 1))
    assert job.state is JobState.CANCELLED
    assert "time limit" in job.error


def test_a_job_that_is_halted_stops_within_a_patch(submit, work, shop, ledger, large, monkeypatch):
    job_id = submit(**large)
    patches = []

    def counted(job, done):
        patches.append(done)
        if len(patches) == 3:
            ledger.cancel(job_id, "by its client")
            shop.running.halt(job_id)

    monkeypatch.setattr("scnas_deploy.serve.segmenting._Study._progress", _and_then(counted))
    job = work(job_id)
    assert job.state is JobState.CANCELLED
    assert len(patches) == 3
    assert not any(shop.spool.result("x").parent.iterdir())


def _and_then(counted):
    from scnas_deploy.serve.segmenting import _Study

    original = _Study._progress

    def progress(self, done, total):
        counted(self._job, done)
        original(self, done, total)

    return progress


def test_an_engine_that_fails_is_opened_anew(submit, work, monkeypatch):
    failures = iter([True])
    segment = Model.segment

    def failing_once(self, *arguments):
        if next(failures, False):
            raise EngineError("engine", expected="an answer", found="none", remedy="Open it anew")
        return segment(self, *arguments)

    monkeypatch.setattr(Model, "segment", failing_once)
    job = work(submit())
    assert (job.state, job.num_attempts) == (JobState.DONE, 2)


def test_an_engine_that_cannot_be_opened_costs_a_study_no_attempt(submit, work, shop, monkeypatch, troubles):
    monkeypatch.setattr("scnas_deploy.serve.segmenting._FIRST_WAIT_S", 0.0)
    away = iter([True] * 7)
    get = ModelPool.get

    def get_later(self, digest):
        if next(away, False):
            raise EngineError("triton", expected="a server that answers", found="none", remedy="Start it")
        return get(self, digest)

    monkeypatch.setattr(ModelPool, "get", get_later)
    job = work(submit())
    assert (job.state, job.num_attempts) == (JobState.DONE, 1)
    assert troubles == ["expected a server that answers, found none. Start it."] * 7 + [""]


def test_the_ledger_says_how_far_it_is(submit, work, large, monkeypatch):
    monkeypatch.setattr("scnas_deploy.serve.segmenting._RECORD_S", 0.0)
    seen = []
    record = Ledger.record
    monkeypatch.setattr(
        Ledger, "record", lambda self, lease, result: (seen.append(result), record(self, lease, result))
    )
    work(submit(**large))
    fractions = [each["fraction"] for each in seen]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < fractions[-1] == 1
    assert {each["stage"] for each in seen} == {"segmenting"}


def test_the_audit_says_for_whom(submit, work, tmp_path):
    work(submit())
    assert '"on_behalf_of": "PACS"' in (tmp_path / "audit.jsonl").read_text()
