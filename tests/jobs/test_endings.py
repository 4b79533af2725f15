"""How jobs end and what follows: done with others enqueued, cancelled, tried again, forgotten."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from scnas_deploy.errors import LedgerError, StaleLeaseError
from scnas_deploy.jobs.job import JobState, NewJob
from scnas_deploy.jobs.ledger import Ledger
from tests.jobs.conftest import empty_schema, new_jobs
from tests.jobs.old_ledger import connect

QUEUE = "segment"
DELIVERIES = [NewJob(key=f"to {place}", kind="deliver", payload={"to": place}) for place in ("pacs", "archive")]


def claim(ledger, queue=QUEUE):
    return ledger.claim("a worker", queue=queue, lease_s=10.0)


def queued(ledger, **settings):
    """Enqueue one job and return its number."""
    ledger.enqueue(QUEUE, new_jobs(1, **settings))
    return ledger.named(QUEUE, ["job 0"])["job 0"].id


def in_state(ledger, state):
    """Bring a job into a state and return its number."""
    job_id = queued(ledger, max_attempts=1)
    if state is JobState.CANCELLED:
        ledger.cancel(job_id, "why")
    elif state is not JobState.QUEUED:
        lease = claim(ledger)
        ledger.record(lease, {"stage": "reading"})
        if state is JobState.DONE:
            ledger.done(lease, {"stage": "finished"})
        elif state in (JobState.FAILED, JobState.DEAD):
            ledger.fail(lease, "bad", retry_in_s=None if state is JobState.FAILED else 1.0)
    assert ledger.find(job_id).state is state
    return job_id


def test_what_follows_is_enqueued_with_the_jobs_end(ledger):
    queued(ledger)
    ledger.done(claim(ledger), {"ml": 3.5}, {"deliver": DELIVERIES, "report": [DELIVERIES[0]], "none": []})
    assert ledger.counts(QUEUE)[JobState.DONE] == 1
    assert [claim(ledger, "deliver").job.payload["to"] for _ in range(2)] == ["pacs", "archive"]
    assert claim(ledger, "report").job.key == "to pacs"
    assert ledger.queues() == ["deliver", "report", QUEUE]


def test_a_job_is_not_done_where_what_follows_cannot_be_enqueued(ledger):
    """Its second statement fails, in the database and on the way there."""
    job_id = queued(ledger)
    lease = claim(ledger)
    unfit = NewJob(key=None, kind="deliver", payload={})
    with pytest.raises(LedgerError):
        ledger.done(lease, {"ml": 3.5}, {"deliver": [DELIVERIES[0]], "unfit": [unfit]})
    job = ledger.find(job_id)
    assert (job.state, job.result) == (JobState.RUNNING, None)
    assert ledger.queues() == [QUEUE]
    ledger.done(lease, {"ml": 3.5}, {"deliver": DELIVERIES})
    assert ledger.counts("deliver")[JobState.QUEUED] == 2


def test_nothing_follows_from_a_lease_that_has_been_lost(ledger, clock):
    queued(ledger)
    asleep = claim(ledger)
    clock.now += 11.0
    claim(ledger)
    with pytest.raises(StaleLeaseError):
        ledger.done(asleep, {}, {"deliver": DELIVERIES})
    assert ledger.counts("deliver")[JobState.QUEUED] == 0


def test_a_cancelled_job_is_not_claimed_and_says_why(ledger):
    job_id = queued(ledger)
    assert ledger.cancel(job_id, "cancelled by an operator") is JobState.CANCELLED
    assert claim(ledger) is None
    assert ledger.seconds_to_next(QUEUE) is None
    job = ledger.find(job_id)
    assert (job.state, job.error, job.num_attempts) == (JobState.CANCELLED, "cancelled by an operator", 0)
    ledger.enqueue(QUEUE, new_jobs(1))
    assert claim(ledger) is None


def test_whoever_runs_a_job_that_is_cancelled_is_refused_from_then_on(ledger):
    job_id = queued(ledger)
    lease = claim(ledger)
    ledger.record(lease, {"stage": "reading"})
    assert ledger.cancel(job_id, "why") is JobState.CANCELLED
    words = [
        lambda: ledger.renew(lease),
        lambda: ledger.record(lease, {}),
        lambda: ledger.done(lease, {}, {"deliver": DELIVERIES}),
        lambda: ledger.fail(lease, "no", retry_in_s=1.0),
        lambda: ledger.give_back(lease),
    ]
    for again in (False, True):
        if again:
            assert ledger.retry(job_id) is JobState.QUEUED
        for word in words:
            with pytest.raises(StaleLeaseError):
                word()
    assert ledger.find(job_id).result == {"stage": "reading"}
    assert ledger.counts("deliver")[JobState.QUEUED] == 0


@pytest.mark.parametrize("state", [JobState.DONE, JobState.FAILED, JobState.DEAD, JobState.CANCELLED])
def test_what_is_finished_stays_so_when_it_is_cancelled(ledger, state):
    job_id = in_state(ledger, state)
    before = ledger.find(job_id)
    assert ledger.cancel(job_id, "too late") is state
    assert ledger.find(job_id) == before


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.DEAD, JobState.CANCELLED])
def test_a_job_that_is_tried_again_has_all_its_attempts_before_it(ledger, clock, state):
    job_id = in_state(ledger, state)
    recorded = ledger.find(job_id).result
    clock.now += 5.0
    assert ledger.retry(job_id) is JobState.QUEUED
    job = ledger.find(job_id)
    assert (job.error, job.num_attempts, job.result, job.changed_at) == (None, 0, recorded, clock.now)
    assert claim(ledger).job.num_attempts == 1


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.DONE])
def test_other_jobs_are_not_tried_again(ledger, state):
    job_id = in_state(ledger, state)
    before = ledger.find(job_id)
    assert ledger.retry(job_id) is state
    assert ledger.find(job_id) == before


def test_jobs_that_wait_beyond_their_time_are_cancelled_and_no_others(ledger, clock):
    times = {
        "over": {"expires_at": clock.now - 0.25},
        "over as a whole number": {"expires_at": int(clock.now) - 1},
        "runs": {"expires_at": clock.now - 1.0},
        "just not over": {"expires_at": clock.now},
        "long": {"expires_at": clock.now + 60.0},
        "endless": {"expires_at": None},
        "of an earlier version": {},
    }
    jobs = [NewJob(key=key, kind="t", payload=payload, priority=key == "runs") for key, payload in times.items()]
    for queue in (QUEUE, "other"):
        ledger.enqueue(queue, jobs)
    assert claim(ledger).job.key == "runs"
    assert ledger.cancel_expired(QUEUE, "expires_at", "its time was over") == 2
    assert ledger.cancel_expired(QUEUE, "expires_at", "again") == 0
    cancelled = [job for job in ledger.listed() if job.state is JobState.CANCELLED]
    assert {job.key for job in cancelled} == {"over", "over as a whole number"}
    assert {(job.queue, job.error, job.changed_at) for job in cancelled} == {(QUEUE, "its time was over", clock.now)}
    assert ledger.counts(QUEUE)[JobState.QUEUED] == 4
    assert ledger.counts("other")[JobState.QUEUED] == 7


def test_a_job_that_waits_for_its_next_attempt_is_cancelled_when_its_time_is_over(ledger, clock):
    ledger.enqueue(QUEUE, [NewJob(key="k", kind="t", payload={"until": clock.now + 5.0})])
    ledger.fail(claim(ledger), "broken", retry_in_s=60.0)
    assert ledger.cancel_expired(QUEUE, "until", "over") == 0
    clock.now += 5.5
    assert ledger.cancel_expired(QUEUE, "until", "over") == 1
    assert ledger.seconds_to_next(QUEUE) is None


def test_a_job_that_is_not_there_has_no_state(ledger):
    assert ledger.cancel(99, "why") is None
    assert ledger.retry(99) is None


def test_only_what_is_done_failed_or_cancelled_is_forgotten(ledger):
    ledger.enqueue(QUEUE, new_jobs(6, max_attempts=1))
    ledger.done(claim(ledger), {})
    ledger.fail(claim(ledger), "bad", retry_in_s=None)
    ledger.fail(claim(ledger), "broken", retry_in_s=1.0)
    claim(ledger)
    jobs = ledger.listed()
    ledger.cancel(jobs[0].id, "why")
    ledger.forget([99, *(job.id for job in jobs)])
    assert {job.state for job in ledger.listed()} == {JobState.DEAD, JobState.RUNNING, JobState.QUEUED}
    ledger.forget([])


def test_a_connection_that_is_broken_off_leaves_nothing_half_done(postgres):
    """By the server, between the two statements."""
    with Ledger(empty_schema(postgres)) as ledger:
        job_id = queued(ledger)
        lease = claim(ledger)

        def break_off(connection, _cursor, statement, *_):
            if statement.startswith("INSERT"):
                own = connection.connection.dbapi_connection.info.backend_pid
                other = connect(postgres.url)
                with other.connect() as server:
                    server.exec_driver_sql(f"SELECT pg_terminate_backend({own})")
                other.dispose()

        with ledger.reading() as connection:
            engine = connection.engine
        sa.event.listen(engine, "before_cursor_execute", break_off)
        with pytest.raises(LedgerError):
            ledger.done(lease, {}, {"deliver": DELIVERIES})
        sa.event.remove(engine, "before_cursor_execute", break_off)
        assert ledger.find(job_id).state is JobState.RUNNING
        assert ledger.queues() == [QUEUE]


def test_a_job_cancelled_while_it_is_finished_is_one_or_the_other(ledger_url):
    rounds = 20
    barrier = threading.Barrier(2)
    with Ledger(ledger_url) as ledger:
        ledger.enqueue(QUEUE, new_jobs(rounds))
        leases = [claim(ledger) for _ in range(rounds)]

        def finish(lease):
            barrier.wait()
            try:
                ledger.done(lease, {}, {"deliver": [NewJob(key=lease.job.key, kind="deliver", payload={})]})
            except StaleLeaseError:
                return False
            return True

        def cancel(lease):
            barrier.wait()
            return ledger.cancel(lease.job.id, "why")

        with ThreadPoolExecutor(2) as pool:
            for lease in leases:
                finished, state = pool.submit(finish, lease), pool.submit(cancel, lease)
                assert state.result() is (JobState.DONE if finished.result() else JobState.CANCELLED)
        assert ledger.counts("deliver")[JobState.QUEUED] == ledger.counts(QUEUE)[JobState.DONE]
