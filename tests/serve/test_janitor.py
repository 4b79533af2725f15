"""What nobody needs any more is removed, and nothing else."""

import os
import time

import pytest

from scnas_deploy.jobs.job import NewJob
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.serve.arrivals import Arrivals
from scnas_deploy.serve.closing import Closer
from scnas_deploy.serve.janitor import Janitor
from scnas_deploy.serve.rulebook import RuleBook
from scnas_deploy.serve.settings import DicomDestination, DicomSettings, Rule, ServeSettings
from scnas_deploy.serve.work import DELIVER, SEGMENT, delivery_key
from tests.serve.conftest import MODEL

DAY = 86_400.0
PACS = DicomDestination(kind="dicom", name="pacs", host="127.0.0.1", port=1, ae_title="PACS")
RULES = (Rule(name="head", model=MODEL, destinations=("pacs",)),)


class Past:
    """A clock that a test sets back; files stay in the present, which is after it."""

    def __init__(self):
        self.now = time.time() - 30 * DAY

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Past()


@pytest.fixture
def ledger(tmp_path, clock):
    with Ledger(f"sqlite:///{tmp_path}/past.db", clock=clock) as opened:
        yield opened


@pytest.fixture
def janitor(ledger, spool):
    return Janitor(ledger, spool, keep_days=7)


@pytest.fixture
def finished(sending, ledger, spool, catalog, clock, tmp_path):
    """A study that was segmented 30 days ago, its result on the way to one destination."""
    sending.send(last=2)
    clock.now += 20
    settings = ServeSettings(spool=spool.root, dicom=DicomSettings(), rules=RULES, destinations=(PACS,))
    Closer(ledger, spool, catalog, RuleBook(None, settings), quiet_s=10, max_attempts=5).close_quiet()
    lease = ledger.claim("worker", queue=SEGMENT, lease_s=60)
    folder = spool.result(f"{lease.job.id}-1")
    folder.mkdir()
    (folder / "seg.dcm").write_bytes(b"result")
    key = delivery_key(lease.job.key, lease.job.attempt, "pacs")
    delivery = NewJob(key=key, kind=DELIVER, payload={"study_job": lease.job.id, "destination": "pacs"})
    ledger.done(lease, {"folder": spool.relative(folder)}, {DELIVER: [delivery]})
    return lease.job, folder


def deliver(ledger):
    ledger.done(ledger.claim("worker", queue=DELIVER, lease_s=60), {})


def test_all_of_a_finished_study_goes_together(finished, ledger, janitor, spool):
    job, folder = finished
    deliver(ledger)
    assert janitor.tidy() == 1
    assert ledger.listed() == []
    assert not folder.exists()
    assert not spool.incoming(job.payload["folder"].split("/")[1]).exists()
    assert list(Arrivals(ledger).closed(before=float("inf"))) == []


def test_a_result_stays_until_it_is_delivered(finished, ledger, janitor, spool):
    job, folder = finished
    assert janitor.tidy() == 0
    assert folder.exists()
    assert spool.path(job.payload["folder"]).exists()


def test_a_dead_delivery_keeps_it_for_a_person(finished, ledger, janitor):
    lease = ledger.claim("worker", queue=DELIVER, lease_s=60)
    for _ in range(3):
        ledger.fail(lease, "refused", retry_in_s=0)
        lease = ledger.claim("worker", queue=DELIVER, lease_s=60) or lease
    assert ledger.find(lease.job.id).state == "dead"
    assert janitor.tidy() == 0
    assert finished[1].exists()


def test_what_is_younger_stays(finished, ledger, spool):
    deliver(ledger)
    assert Janitor(ledger, spool, keep_days=60).tidy() == 0
    assert finished[1].exists()


def test_models_stay_for_as_long_as_a_job_was_made_for_them(finished, ledger, janitor, spool, catalog):
    kept = spool.model(catalog.pin(MODEL).digest)
    os.utime(kept, (0, 0))
    janitor.tidy()
    assert kept.exists()
    deliver(ledger)
    janitor.tidy()
    assert not kept.exists()


def test_what_no_job_knows_is_removed_when_it_is_old(janitor, spool):
    young, old = spool.upload("young"), spool.upload("old")
    for folder in (young, old):
        folder.mkdir()
    os.utime(old, (0, 0))
    orphan = spool.result("99-1")
    orphan.mkdir()
    os.utime(orphan, (0, 0))
    janitor.tidy()
    assert young.exists()
    assert not old.exists()
    assert not orphan.exists()


def test_a_result_stays_for_its_time_after_the_last_delivery(finished, ledger, janitor, clock):
    clock.now = time.time() - DAY
    deliver(ledger)
    assert janitor.tidy() == 0
    assert finished[1].exists()


def test_objects_that_no_study_was_made_of_are_removed_when_they_are_old(janitor, spool):
    spool.store_object("unknown", "1.2.3", b"content")
    janitor.tidy()
    assert spool.objects("unknown")
    os.utime(spool.incoming("unknown"), (0, 0))
    janitor.tidy()
    assert not spool.incoming("unknown").exists()
