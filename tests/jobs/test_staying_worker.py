"""A worker that stays: it waits for jobs and for its ledger, says how attempts end, and ends when it is asked to."""

import logging
import threading
import time

import pytest

from scnas_deploy.errors import EngineError, FormatError, LedgerError, OutputError
from scnas_deploy.jobs import patience
from scnas_deploy.jobs.job import JobState, NewJob
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.worker import Finished, Worker, WorkerEnd, WorkerSettings
from tests.jobs.conftest import empty_schema, new_jobs

QUEUE = "segment"
STAYING = WorkerSettings(
    queue=QUEUE, name="worker", lease_s=30.0, first_wait_s=0.01, longest_wait_s=0.02, poll_s=0.02, stay=True
)
EXPLAINED = {"expected": "a scan", "found": "a photograph", "remedy": "Scan again"}
WORDS = "expected a scan, found a photograph. Scan again."
_PATIENCE_SECONDS = 30


@pytest.fixture
def ledger(ledger_url):
    with Ledger(ledger_url) as opened:
        yield opened


class Staying:
    """A worker in a thread of its own."""

    def __init__(self, ledger, handler, name="worker") -> None:
        self.stop, self.drain, self.ends, self.end = threading.Event(), threading.Event(), [], None
        settings = STAYING if name == "worker" else WorkerSettings(queue=QUEUE, name=name, poll_s=0.02, stay=True)
        worker = Worker(ledger, handler, settings, self.stop, self._note, drain=self.drain)
        self._thread = threading.Thread(target=self._run, args=(worker,), daemon=True)
        self._thread.start()

    def _note(self, job, state, error):
        self.ends.append((job.key, state, error))

    def _run(self, worker):
        self.end = worker.run()

    def join(self):
        self._thread.join(_PATIENCE_SECONDS)
        assert not self._thread.is_alive()
        return self.end


@pytest.fixture
def staying(ledger):
    """Start workers that are ended in any case."""
    started = []

    def start(handler, name="worker"):
        started.append(Staying(ledger, handler, name))
        return started[-1]

    yield start
    for worker in started:
        worker.stop.set()
        worker.drain.set()
    for worker in started:
        worker.join()


def until(condition):
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def job_named(ledger, key="job 0", queue=QUEUE):
    return ledger.named(queue, [key])[key]


def test_it_waits_for_jobs_and_ends_when_it_is_asked_to(ledger, staying):
    worker = staying(lambda attempt: {"n": attempt.job.payload["n"]})
    for n in range(3):
        ledger.enqueue(QUEUE, [NewJob(key=f"job {n}", kind="test", payload={"n": n})])
        until(lambda: len(worker.ends) == n + 1)  # noqa: B023
    assert worker.end is None
    worker.stop.set()
    worker.drain.set()
    assert worker.join() is WorkerEnd.STOPPED
    assert worker.ends == [(f"job {n}", JobState.DONE, None) for n in range(3)]


def test_a_result_brings_what_follows_from_it(ledger, staying):
    def handler(attempt):
        follow = [NewJob(key=f"to pacs {attempt.job.id}", kind="deliver", payload={})]
        return Finished({"ml": 1.5}, {"deliver": follow})

    ledger.enqueue(QUEUE, new_jobs(1))
    worker = staying(handler)
    until(lambda: worker.ends)
    job = job_named(ledger)
    assert job.result == {"ml": 1.5}
    assert ledger.claim("w", queue="deliver", lease_s=9.0).job.key == f"to pacs {job.id}"


def test_asked_to_end_after_its_job_it_finishes_that_and_takes_no_other(ledger, staying):
    begun, go_on = threading.Event(), threading.Event()

    def handler(attempt):
        begun.set()
        assert go_on.wait(_PATIENCE_SECONDS)
        attempt.check()
        return {}

    ledger.enqueue(QUEUE, new_jobs(2))
    worker = staying(handler)
    assert begun.wait(_PATIENCE_SECONDS)
    worker.drain.set()
    go_on.set()
    assert worker.join() is WorkerEnd.STOPPED
    assert [job_named(ledger, f"job {n}").state for n in range(2)] == [JobState.DONE, JobState.QUEUED]


def test_each_attempt_s_end_is_told_with_where_the_job_stands(ledger, staying):
    def handler(attempt):
        n = attempt.job.payload["n"]
        if n == 0:
            raise FormatError("/scans/DOE^JOHN", **EXPLAINED)
        if n == 1:
            raise OutputError("/out/DOE^JOHN", **EXPLAINED)
        if n == 2:
            ledger.cancel(attempt.job.id, "cancelled by its client")
            attempt.record({})
        return {}

    ledger.enqueue(QUEUE, new_jobs(4, max_attempts=2))
    worker = staying(handler)
    until(lambda: len(worker.ends) == 5)
    assert sorted(worker.ends, key=str) == [
        ("job 0", JobState.FAILED, WORDS),
        ("job 1", JobState.DEAD, WORDS),
        ("job 1", JobState.QUEUED, WORDS),
        ("job 2", JobState.CANCELLED, "cancelled by its client"),
        ("job 3", JobState.DONE, None),
    ]


def test_a_broken_engine_is_told_and_ends_it_too(ledger, staying):
    def handler(_):
        raise EngineError("openvino", **EXPLAINED)

    ledger.enqueue(QUEUE, new_jobs(2))
    worker = staying(handler)
    assert worker.join() is WorkerEnd.BROKEN_ENGINE
    assert worker.ends == [("job 0", JobState.QUEUED, WORDS)]


def test_a_job_it_gives_back_or_has_lost_is_told_too(ledger, staying):
    begun = threading.Event()

    def handler(attempt):
        if attempt.job.payload["n"] == 0:
            ledger.end_leases("worker")
            assert ledger.claim("another", queue=QUEUE, lease_s=60.0).job.id == attempt.job.id
            return {"of": "the one that was late"}
        begun.set()
        while True:
            attempt.check()
            time.sleep(0.01)

    first, second = new_jobs(2)
    ledger.enqueue(QUEUE, [NewJob(key=first.key, kind="test", payload=first.payload, priority=1), second])
    worker = staying(handler)
    assert begun.wait(_PATIENCE_SECONDS)
    worker.stop.set()
    assert worker.join() is WorkerEnd.STOPPED
    assert worker.ends == [("job 0", JobState.RUNNING, None), ("job 1", JobState.QUEUED, None)]
    assert job_named(ledger, "job 1").num_attempts == 0


def test_a_result_that_the_ledger_will_not_take_costs_an_attempt_and_not_the_worker(ledger, staying):
    def handler(attempt):
        unfit = NewJob(key=None if attempt.job.payload["n"] == 0 else "k", kind="deliver", payload={})
        return Finished({}, {"deliver": [unfit]})

    ledger.enqueue(QUEUE, new_jobs(2, max_attempts=2))
    worker = staying(handler)
    until(lambda: len(worker.ends) == 3)
    assert job_named(ledger, "job 0").state is JobState.DEAD
    assert "expected a job ledger that answers" in job_named(ledger, "job 0").error
    assert job_named(ledger, "job 1").state is JobState.DONE


def test_several_that_stay_do_each_job_once(ledger, staying):
    taken = []

    def handler(attempt):
        taken.append(attempt.job.key)
        return {}

    for name in ("a", "b", "c", "d"):
        staying(handler, name)
    for n in range(40):
        ledger.enqueue(QUEUE, [NewJob(key=f"job {n}", kind="test", payload={})])
    until(lambda: ledger.counts(QUEUE)[JobState.DONE] == 40)
    assert sorted(taken) == sorted(f"job {n}" for n in range(40))


def test_a_database_that_is_away_is_waited_for_and_no_finished_result_is_lost(postgres, caplog, monkeypatch):
    """It goes while a job runs, which ends meanwhile, and comes back with the lease still the worker's."""
    monkeypatch.setattr(patience, "_FURTHER_WAITS_S", ())
    monkeypatch.setattr(patience, "_LAST_WAITS_S", 0.1)
    ended = threading.Event()

    def handler(attempt):
        if attempt.job.payload["n"] == 0:
            postgres.stop()
        ended.set()
        return {"n": attempt.job.payload["n"]}

    with Ledger(empty_schema(postgres)) as ledger:
        ledger.enqueue(QUEUE, new_jobs(2))
        worker = Staying(ledger, handler)
        assert ended.wait(_PATIENCE_SECONDS)
        until(lambda: caplog.messages)
        time.sleep(1.0)
        with pytest.raises(LedgerError):
            ledger.listed()
        worker.stop.set()  # it still keeps what it has finished
        postgres.start()
        assert worker.join() is WorkerEnd.STOPPED
        assert worker.ends == [("job 0", JobState.DONE, None)]
        job = job_named(ledger)
        assert (job.state, job.attempt, job.result) == (JobState.DONE, 1, {"n": 0})
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert caplog.messages[1] == "The job ledger is back."


def test_a_computation_does_not_wait_for_a_database_that_is_away(postgres, caplog):
    """It goes on without what it would have recorded, and notices that it is to stop."""
    recorded, checked = threading.Event(), threading.Event()

    def handler(attempt):
        postgres.stop()
        for n in range(3):
            attempt.record({"done": n})
        recorded.set()
        checked.wait(_PATIENCE_SECONDS)
        attempt.check()
        raise AssertionError("it goes on")

    with Ledger(empty_schema(postgres)) as ledger:
        ledger.enqueue(QUEUE, new_jobs(1))
        worker = Staying(ledger, handler)
        try:
            assert recorded.wait(_PATIENCE_SECONDS)
            assert caplog.messages == []  # nobody waits
            worker.stop.set()
            worker.drain.set()
            checked.set()
            assert worker.join() is WorkerEnd.STOPPED
        finally:
            postgres.start()
        assert job_named(ledger).result is None


def test_what_a_worker_cannot_record_since_the_ledger_refuses_it_is_said(ledger, staying):
    refused = []

    def handler(attempt):
        if attempt.job.payload["n"] == 0:
            with pytest.raises(LedgerError) as caught:
                attempt.record({"text": "unfit"})
            refused.append(caught.value)
        return {}

    with ledger.reading() as connection:
        if connection.dialect.name == "sqlite":  # takes whatever it is given
            refuse = "CREATE TRIGGER refuse BEFORE UPDATE OF result ON scnas_jobs WHEN new.result LIKE '%text%'"
            connection.exec_driver_sql(f"{refuse} BEGIN SELECT RAISE(ABORT, 'refused'); END")
            connection.commit()
        else:
            connection.exec_driver_sql("ALTER TABLE scnas_jobs ADD CHECK (result ->> 'text' IS NULL)")
            connection.commit()
    ledger.enqueue(QUEUE, new_jobs(1))
    worker = staying(handler)
    until(lambda: worker.ends)
    assert worker.ends == [("job 0", JobState.DONE, None)]
    assert len(refused) == 1


def test_without_jobs_it_waits_for_a_database_that_is_away_until_it_is_asked_to_end(postgres, caplog):
    with Ledger(empty_schema(postgres)) as ledger:
        worker = Staying(ledger, lambda _: {})
        postgres.stop()
        until(lambda: caplog.messages)
        worker.stop.set()
        worker.drain.set()
        assert worker.join() is WorkerEnd.STOPPED
        postgres.start()
        ledger.enqueue(QUEUE, new_jobs(1))
        again = Staying(ledger, lambda _: {})
        until(lambda: again.ends)
        again.stop.set()
        again.drain.set()
        assert again.join() is WorkerEnd.STOPPED
