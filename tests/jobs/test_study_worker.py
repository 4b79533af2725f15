"""The process of a worker: its orders, its end."""

import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from scnas_deploy.inference.model import load_model
from scnas_deploy.inference.trust import Trust
from scnas_deploy.jobs.job import JobState
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.studies import StudySettings
from scnas_deploy.jobs.study_worker import ProcessRunner, StudyOrders
from scnas_deploy.jobs.worker import WorkerSettings
from tests.jobs.conftest import new_jobs

ORDERS = StudyOrders(
    ledger_url="postgresql://me:secret@db/jobs",
    studies=StudySettings(
        model=Path("/models/DOE.scnas"), model_digest="d", threads=2, mirror=True, trust=Trust(folder=Path("/keys"))
    ),
    worker=WorkerSettings(queue="queue", name="unnamed", lease_s=7.0),
)


def test_orders_arrive_as_they_were_given():
    assert StudyOrders.from_json(ORDERS.to_json()) == ORDERS
    assert "\n" not in ORDERS.to_json()


def test_orders_for_another_worker_differ_in_its_name_alone():
    named = ORDERS.named("another")
    assert named.worker.name == "another"
    assert named.named("unnamed") == ORDERS


def test_a_worker_that_finds_no_model_says_so_and_ends_and_no_one_reads_its_orders(capfd):
    runner = ProcessRunner(ORDERS)
    assert "secret" not in Path(f"/proc/{runner._process.pid}/cmdline").read_text()
    runner._process.wait(timeout=60)
    assert runner.status() == 3
    said = capfd.readouterr().err
    assert "a worker: expected a model package" in said
    assert "DOE" not in said


@pytest.fixture
def waiting(tmp_path, exported):
    """A worker with nothing to do for as long as another one holds the only job."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    settings = StudySettings(model=exported.package, model_digest=load_model(exported.package).package.digest)
    orders = StudyOrders(ledger_url=url, studies=settings, worker=WorkerSettings(queue="queue", name="waiting"))
    with Ledger(url) as ledger:
        ledger.enqueue("queue", new_jobs(2))
        ledger.claim("another", queue="queue", lease_s=600.0)
        runner = ProcessRunner(orders)
        deadline = time.monotonic() + 60
        while not ledger.counts("queue")[JobState.FAILED]:  # it is no study's job
            assert runner.status() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield runner
    runner.kill()


def test_a_worker_whose_parent_leaves_ends_in_order(waiting):
    assert waiting.status() is None
    waiting.ask_to_stop()
    assert waiting._process.wait(timeout=60) == 0


def test_a_worker_that_is_ended_from_outside_is_missed(waiting):
    waiting._process.terminate()
    assert waiting._process.wait(timeout=60) == 143
    assert waiting.status() == 143


def test_a_worker_that_is_killed_is_gone(waiting):
    waiting.kill()
    assert waiting.status() == -signal.SIGKILL


def test_orders_that_nobody_reads_any_more_are_no_error(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/true")
    runner = ProcessRunner(ORDERS)
    runner._process.wait(timeout=60)
    with suppress(BrokenPipeError):
        runner._process.stdin.write(b"more")
        runner._process.stdin.flush()
    assert runner.status() == 0
