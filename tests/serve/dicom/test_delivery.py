import shutil
import threading
from pathlib import Path

import pytest

from scnas_deploy.jobs.job import JobState, NewJob
from scnas_deploy.jobs.worker import Worker, WorkerSettings
from scnas_deploy.results.formats import Format
from scnas_deploy.serve.dicom.delivery import DeliveryHandler
from scnas_deploy.serve.settings import DicomDestination, ServeSettings, StowDestination
from scnas_deploy.serve.work import DELIVER, DeliveryAnswer
from tests.ports import free_port
from tests.serve.dicom.orthanc import AE_TITLE, Orthanc
from tests.serve.dicom.results import delivery, described, write_result
from tests.serve.dicom.stow_fake import FakeStow

QUICK = WorkerSettings(queue=DELIVER, name="host/1/worker", first_wait_s=0.01, longest_wait_s=0.01, poll_s=0.01)
ALL = (Format.SEG, Format.SR, Format.PREVIEW)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    write_result(folder)
    return folder / "result"


@pytest.fixture
def files(written, spool):
    """A result in the spool."""
    folder = spool.result("a1")
    shutil.copytree(written, folder)
    return [(described(path), path) for path in sorted(folder.iterdir())]


def _destination(port: int, formats=ALL) -> DicomDestination:
    values = {"name": "pacs", "host": "127.0.0.1", "port": port, "ae_title": AE_TITLE}
    return DicomDestination(kind="dicom", formats=formats, **values)


def _stow(fake: FakeStow) -> StowDestination:
    return StowDestination(kind="stow", name="pacs", url=fake.url, formats=ALL)


class Deliveries:
    """A queue of them, and a worker that is run until all are finished or so many attempts were made."""

    def __init__(self, ledger, clock, spool, *destinations) -> None:
        self._ledger, self._clock = ledger, clock
        settings = ServeSettings(spool=spool.root, destinations=destinations)
        self._handler = DeliveryHandler(settings, spool)

    def enqueue(self, work) -> None:
        payload = work.model_dump(mode="json", by_alias=True)
        new = NewJob(key=f"1-{work.destination}", kind=DELIVER, payload=payload, max_attempts=1000)
        self._ledger.enqueue(DELIVER, [new])

    def attempt(self):
        """Make one attempt; return the job as it stands then."""
        stop = threading.Event()
        self._clock.now += 1.0
        Worker(self._ledger, self._handler, QUICK, stop, on_end=lambda *_: stop.set()).run()
        (job,) = self._ledger.listed(queues=[DELIVER])
        return job


def test_a_delivery_waits_for_a_pacs_that_is_away_and_happens_once(ledger, clock, spool, files, orthanc):
    pacs = Orthanc({})
    deliveries = Deliveries(ledger, clock, spool, _destination(pacs.dicom_port))
    deliveries.enqueue(delivery("pacs", "results/a1", files))
    try:
        for number in range(1, 6):
            job = deliveries.attempt()
            assert (job.state, job.num_attempts) == (JobState.QUEUED, number)
            assert "expected an answer, found none" in job.error
        pacs.start()
        job = deliveries.attempt()
        assert job.state is JobState.DONE
        answer = DeliveryAnswer.model_validate(job.result)
        assert answer.accepted == ("preview.dcm", "seg.dcm", "sr.dcm")
        assert pacs.objects() == sorted(file.sop_instance for file, _ in files if file.sop_instance)
    finally:
        pacs.remove()


def test_only_what_a_destination_is_to_have_is_sent(ledger, clock, spool, files, orthanc):
    deliveries = Deliveries(ledger, clock, spool, _destination(orthanc.dicom_port, (Format.SR, Format.NIFTI)))
    deliveries.enqueue(delivery("pacs", "results/a1", files))
    assert DeliveryAnswer.model_validate(deliveries.attempt().result).accepted == ("sr.dcm",)
    assert len(orthanc.objects()) == 1


def test_nothing_for_a_destination_is_a_delivery_too(ledger, clock, spool, files):
    deliveries = Deliveries(ledger, clock, spool, _destination(free_port(), (Format.RTSTRUCT,)))
    deliveries.enqueue(delivery("pacs", "results/a1", files))
    job = deliveries.attempt()
    assert job.state is JobState.DONE
    assert DeliveryAnswer.model_validate(job.result).accepted == ()


def test_a_refusal_ends_it_at_once_with_its_reason(ledger, clock, spool, files, start_node):
    """Our own node takes no results."""
    deliveries = Deliveries(ledger, clock, spool, _destination(start_node(frozenset({AE_TITLE})).port))
    deliveries.enqueue(delivery("pacs", "results/a1", files))
    job = deliveries.attempt()
    assert job.state is JobState.FAILED
    assert "rejected for good (calling ae title not recognised)" in job.error


def test_what_was_taken_is_not_sent_again_unless_it_goes_elsewhere(ledger, clock, spool, files):
    def uids(fake):
        return [uid for _, _, body in fake.requests for uid, content in contents.items() if content in body]

    contents = {path.name: path.read_bytes() for file, path in files if file.sop_class}
    everything = ["preview.dcm", "seg.dcm", "sr.dcm"]
    with FakeStow((200, None), (202, 0x0110)) as first, FakeStow((200, None)) as second:
        deliveries = Deliveries(ledger, clock, spool, _stow(first))
        deliveries.enqueue(delivery("pacs", "results/a1", files))
        for expected in (everything, ["seg.dcm", "sr.dcm"]):
            first.requests.clear()
            assert deliveries.attempt().state is JobState.QUEUED
            assert uids(first) == expected
        job = Deliveries(ledger, clock, spool, _stow(second)).attempt()
        assert uids(second) == everything
        assert job.state is JobState.DONE
        assert DeliveryAnswer.model_validate(job.result).accepted == tuple(everything)


def test_a_token_that_has_expired_is_waited_for(ledger, clock, spool, files):
    with FakeStow((401, None), (200, None)) as fake:
        deliveries = Deliveries(ledger, clock, spool, _stow(fake))
        deliveries.enqueue(delivery("pacs", "results/a1", files))
        job = deliveries.attempt()
        assert (job.state, "status 401" in job.error) == (JobState.QUEUED, True)
        assert deliveries.attempt().state is JobState.DONE


def test_a_destination_that_is_no_more_ends_it_at_once(ledger, clock, spool, files):
    deliveries = Deliveries(ledger, clock, spool)
    deliveries.enqueue(delivery("pacs", "results/a1", files))
    job = deliveries.attempt()
    assert job.state is JobState.FAILED
    assert "expected a destination of the settings" in job.error


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), Path.unlink])
def test_a_result_that_was_changed_is_never_sent(ledger, clock, spool, files, orthanc, change):
    change(spool.result("a1") / "seg.dcm")
    deliveries = Deliveries(ledger, clock, spool, _destination(orthanc.dicom_port))
    deliveries.enqueue(delivery("pacs", "results/a1", files))
    job = deliveries.attempt()
    assert job.state is JobState.FAILED
    assert "expected a file seg.dcm as it was proven" in job.error
    assert not orthanc.objects()
