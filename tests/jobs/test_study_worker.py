"""The process of a worker: its orders, its end."""

from pathlib import Path

import pytest

from scnas_deploy.inference.trust import Trust
from scnas_deploy.jobs.studies import StudySettings
from scnas_deploy.jobs.study_worker import ProcessRunner, StudyOrders
from scnas_deploy.jobs.worker import WorkerSettings

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


@pytest.mark.parametrize("end", [ProcessRunner.ask_to_stop, ProcessRunner.kill])
def test_a_worker_whose_parent_leaves_ends(end):
    runner = ProcessRunner(ORDERS)
    end(runner)
    runner._process.wait(timeout=60)
    assert runner.status() is not None
