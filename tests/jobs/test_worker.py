"""One worker: what becomes of a job by how its handler ends."""

import threading
import time
from dataclasses import replace

import pytest

from scnas_deploy.errors import (
    CapacityError,
    EngineError,
    FormatError,
    InputError,
    OutputError,
    RefusedError,
    StaleLeaseError,
    UnreachableError,
)
from scnas_deploy.jobs.job import JobState
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.worker import Halt, Worker, WorkerEnd, WorkerSettings
from tests.jobs.conftest import new_jobs

QUEUE = "studies"
QUICK = WorkerSettings(queue=QUEUE, name="worker", lease_s=30.0, first_wait_s=0.01, longest_wait_s=0.02, poll_s=0.01)
EXPLAINED = {"expected": "a scan", "found": "a photograph", "remedy": "Scan again"}
UNLUCKY = [kind("/scans/DOE.nii", **EXPLAINED) for kind in (OutputError, InputError, CapacityError, UnreachableError)]


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as opened:
        yield opened


def run(ledger, handler, settings=QUICK, stop=None):
    return Worker(ledger, handler, settings, stop or threading.Event()).run()


def jobs_of(ledger, number):
    return [ledger.named(QUEUE, [f"job {n}"])[f"job {n}"] for n in range(number)]


def test_it_runs_all_jobs_and_ends(ledger):
    ledger.enqueue(QUEUE, new_jobs(3))
    assert run(ledger, lambda attempt: {"square": attempt.job.payload["n"] ** 2}) is WorkerEnd.ALL_FINISHED
    assert [job.result for job in jobs_of(ledger, 3)] == [{"square": 0}, {"square": 1}, {"square": 4}]


@pytest.mark.parametrize("kind", [FormatError, RefusedError])
def test_what_no_other_attempt_would_mend_fails_at_once_and_the_rest_is_done(ledger, kind):
    def handler(attempt):
        if attempt.job.payload["n"] == 0:
            raise kind("/scans/DOE^JOHN.nii", **EXPLAINED)
        return {}

    ledger.enqueue(QUEUE, new_jobs(2))
    run(ledger, handler)
    bad, good = jobs_of(ledger, 2)
    assert (bad.state, bad.num_attempts) == (JobState.FAILED, 1)
    assert bad.error == "expected a scan, found a photograph. Scan again."
    assert good.state is JobState.DONE


def test_a_broken_engine_costs_one_attempt_of_one_job_and_ends_the_worker(ledger):
    def handler(_):
        raise EngineError("openvino", **EXPLAINED)

    ledger.enqueue(QUEUE, new_jobs(5))
    assert run(ledger, handler) is WorkerEnd.BROKEN_ENGINE
    jobs = jobs_of(ledger, 5)
    assert [job.state for job in jobs] == [JobState.QUEUED] * 5
    assert [job.num_attempts for job in jobs] == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("error", [*UNLUCKY, ValueError("DOE^JOHN"), MemoryError()])
def test_after_any_other_error_the_job_is_tried_again(ledger, error):
    def handler(attempt):
        if attempt.job.num_attempts < 3:
            raise error
        assert "DOE" not in attempt.job.error
        return {"error before": attempt.job.error}

    ledger.enqueue(QUEUE, new_jobs(1, max_attempts=3))
    run(ledger, handler)
    (job,) = jobs_of(ledger, 1)
    assert (job.state, job.num_attempts, job.error) == (JobState.DONE, 3, None)
    found = "photograph" if error in UNLUCKY else f"{type(error).__name__} in test_worker.py, line"
    assert found in job.result["error before"]


def test_a_job_that_never_succeeds_is_dead_and_the_rest_is_done(ledger):
    def handler(attempt):
        return {} if attempt.job.payload["n"] else 1 / 0

    ledger.enqueue(QUEUE, new_jobs(2, max_attempts=2))
    run(ledger, handler)
    dead, done = jobs_of(ledger, 2)
    assert (dead.state, dead.num_attempts) == (JobState.DEAD, 2)
    assert "ZeroDivisionError" in dead.error
    assert done.state is JobState.DONE


def test_asked_to_stop_it_gives_back_its_job_at_the_next_check(ledger):
    stop = threading.Event()

    def handler(attempt):
        attempt.check()
        stop.set()
        attempt.check()
        raise AssertionError("it goes on")

    ledger.enqueue(QUEUE, new_jobs(2))
    assert run(ledger, handler, stop=stop) is WorkerEnd.STOPPED
    assert [(job.state, job.num_attempts) for job in jobs_of(ledger, 2)] == [(JobState.QUEUED, 0)] * 2


@pytest.mark.parametrize(("halt", "waits"), [(Halt(30.0), True), (Halt(), False), (Halt, False)])
def test_a_handler_may_give_its_job_back_and_say_when_it_is_to_come_again(ledger, halt, waits):
    stop = threading.Event()

    def handler(_):
        stop.set()
        raise halt

    ledger.enqueue(QUEUE, new_jobs(1, max_attempts=1))
    assert run(ledger, handler, stop=stop) is WorkerEnd.STOPPED
    (job,) = jobs_of(ledger, 1)
    assert (job.state, job.num_attempts) == (JobState.QUEUED, 0)
    assert (ledger.seconds_to_next(QUEUE) > 25.0) == waits


def test_a_second_ctrl_c_gives_back_the_job_too(ledger):
    def handler(_):
        raise KeyboardInterrupt

    ledger.enqueue(QUEUE, new_jobs(1))
    with pytest.raises(KeyboardInterrupt):
        run(ledger, handler)
    assert jobs_of(ledger, 1)[0].state is JobState.QUEUED


def two_jobs():
    """The first one is claimed first, however often."""
    first, second = new_jobs(2)
    return [replace(first, priority=1), second]


def lose(ledger):
    """Another worker takes the job over, as when this one has slept."""
    ledger.end_leases("worker")
    return ledger.claim("another", queue=QUEUE, lease_s=60.0)


def test_it_notices_that_its_job_is_somebody_elses_and_goes_on_with_the_next(ledger):
    def handler(attempt):
        if attempt.job.payload["n"] == 1:
            return {}
        lose(ledger)
        while True:  # the lease is renewed, or found to be lost, three times as often as it runs out
            attempt.check()
            time.sleep(0.01)

    ledger.enqueue(QUEUE, two_jobs())
    stop = threading.Event()
    threading.Timer(1.5, stop.set).start()  # what the other worker holds stays unfinished
    settings = WorkerSettings(queue=QUEUE, name="worker", lease_s=0.3, poll_s=0.05)
    assert run(ledger, handler, settings, stop) is WorkerEnd.STOPPED
    lost, next_one = jobs_of(ledger, 2)
    assert (lost.state, lost.attempt) == (JobState.RUNNING, 2)
    assert next_one.state is JobState.DONE


def test_what_it_records_or_returns_of_a_lost_job_changes_nothing(ledger):
    stop, refused = threading.Event(), []

    def handler(attempt):
        lose(ledger)
        if attempt.job.payload["n"] == 0:
            with pytest.raises(StaleLeaseError) as caught:
                attempt.record({"stale": True})
            refused.append(caught.value)
            raise caught.value
        stop.set()
        return {"stale": True}

    ledger.enqueue(QUEUE, two_jobs())
    assert run(ledger, handler, stop=stop) is WorkerEnd.STOPPED
    assert len(refused) == 1
    assert [(job.state, job.attempt, job.result) for job in jobs_of(ledger, 2)] == [(JobState.RUNNING, 2, None)] * 2


def test_a_handler_finds_what_jobs_of_its_kind_have_recorded(ledger):
    def handler(attempt):
        return {"output": "a.nii", "found": [job.key for job in attempt.look_up("output", "a.nii")]}

    ledger.enqueue(QUEUE, new_jobs(2))
    run(ledger, handler)
    assert [job.result["found"] for job in jobs_of(ledger, 2)] == [[], ["job 0"]]


def test_a_lease_is_renewed_as_soon_as_the_machine_wakes(tmp_path, monkeypatch):
    on_the_wall, asleep_s = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: on_the_wall() + asleep_s[0])
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:

        def handler(_):
            asleep_s[0] = 40.0  # most of the lease, while other clocks stood still
            deadline = time.monotonic() + 10.0
            while ledger.seconds_to_next(QUEUE) < 50.0:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            return {"renewed": True}

        ledger.enqueue(QUEUE, new_jobs(1, max_attempts=1))
        run(ledger, handler, WorkerSettings(queue=QUEUE, name="worker", lease_s=60.0))
        assert jobs_of(ledger, 1)[0].result == {"renewed": True}


def test_a_lease_is_renewed_while_the_handler_runs(ledger):
    def handler(_):
        for _ in range(8):
            time.sleep(0.1)
            assert ledger.claim("another", queue=QUEUE, lease_s=60.0) is None
        return {}

    ledger.enqueue(QUEUE, new_jobs(1))
    run(ledger, handler, WorkerSettings(queue=QUEUE, name="worker", lease_s=0.4))
    assert jobs_of(ledger, 1)[0].attempt == 1
