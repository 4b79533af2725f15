"""The ledger's contract, on SQLite and on PostgreSQL."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from scnas_deploy.errors import StaleLeaseError
from scnas_deploy.jobs.job import JobState, NewJob
from scnas_deploy.jobs.ledger import Ledger
from tests.jobs.conftest import new_jobs

QUEUE = "studies"


def claim(ledger, worker="a worker", queue=QUEUE):
    return ledger.claim(worker, queue=queue, lease_s=10.0)


def job_named(ledger, key):
    return ledger.named(QUEUE, [key])[key]


def test_a_job_is_claimed_run_and_done(ledger):
    ledger.enqueue(QUEUE, [NewJob(key="k", kind="test", payload={"path": "ä", "n": [1, None, 2.5]})])
    lease = claim(ledger)
    assert lease.job.payload == {"path": "ä", "n": [1, None, 2.5]}
    assert (lease.job.state, lease.job.attempt, lease.worker) == (JobState.RUNNING, 1, "a worker")
    assert claim(ledger) is None
    ledger.done(lease, {"ml": 3.5})
    assert claim(ledger) is None
    job = job_named(ledger, "k")
    assert (job.state, job.result, job.error, job.num_attempts) == (JobState.DONE, {"ml": 3.5}, None, 1)


def test_higher_priorities_come_first_then_what_was_never_tried_then_older_jobs(ledger):
    archive, clinical = new_jobs(2), [NewJob(key=k, kind="test", payload={}, priority=5) for k in ("x", "y")]
    ledger.enqueue(QUEUE, [*archive, *clinical])
    ledger.fail(claim(ledger), "broken", retry_in_s=0.0)
    assert [claim(ledger).job.key for _ in range(4)] == ["y", "x", "job 0", "job 1"]


def test_queues_do_not_see_each_other(ledger):
    ledger.enqueue("one", new_jobs(1))
    ledger.enqueue("two", new_jobs(2))
    assert claim(ledger, queue="three") is None
    assert ledger.counts("one")[JobState.QUEUED] == 1
    assert ledger.counts("two")[JobState.QUEUED] == 2
    assert ledger.seconds_to_next("three") is None


def test_a_job_enqueued_again_is_one_job_with_the_latest_payload_until_it_is_finished(ledger):
    ledger.enqueue(QUEUE, [NewJob(key="k", kind="test", payload={"n": 1})])
    ledger.enqueue(QUEUE, [NewJob(key="k", kind="test", payload={"n": 2}, priority=7)])
    lease = claim(ledger)
    assert (lease.job.payload, lease.job.priority) == ({"n": 2}, 7)
    ledger.done(lease, {})
    ledger.enqueue(QUEUE, [NewJob(key="k", kind="test", payload={"n": 3})])
    assert job_named(ledger, "k").payload == {"n": 2}
    assert sum(ledger.counts(QUEUE).values()) == 1


def test_many_jobs_are_enqueued_and_found_by_name(ledger):
    jobs = new_jobs(1203)
    ledger.enqueue(QUEUE, jobs)
    found = ledger.named(QUEUE, [*(job.key for job in jobs), "nobody"])
    assert found.keys() == {job.key for job in jobs}
    assert all(job.payload == {"n": int(key.split()[1])} for key, job in found.items())


def test_a_lease_that_has_run_out_is_claimed_by_the_next_and_its_holder_changes_nothing(ledger, clock):
    ledger.enqueue(QUEUE, new_jobs(1))
    asleep = claim(ledger, "asleep")
    clock.now += 10.1
    awake = claim(ledger, "awake")
    assert (awake.job.id, awake.job.attempt) == (asleep.job.id, 2)
    actions = [
        lambda: ledger.renew(asleep),
        lambda: ledger.record(asleep, {"n": 0}),
        lambda: ledger.done(asleep, {"n": 0}),
        lambda: ledger.fail(asleep, "no", retry_in_s=1.0),
        lambda: ledger.fail(asleep, "no", retry_in_s=None),
        lambda: ledger.give_back(asleep),
    ]
    before = job_named(ledger, "job 0")
    for action in actions:
        with pytest.raises(StaleLeaseError, match="attempt 2"):
            action()
    assert job_named(ledger, "job 0") == before
    ledger.done(awake, {"n": 1})
    for action in actions:
        with pytest.raises(StaleLeaseError, match="done"):
            action()
    assert job_named(ledger, "job 0").result == {"n": 1}


def test_a_renewed_lease_lasts(ledger, clock):
    ledger.enqueue(QUEUE, new_jobs(1))
    lease = claim(ledger)
    for _ in range(3):
        clock.now += 9.0
        ledger.renew(lease)
        assert claim(ledger) is None
    assert ledger.seconds_to_next(QUEUE) == 10.0


def test_a_failed_attempt_waits_for_the_next_and_the_last_one_makes_the_job_dead(ledger, clock):
    ledger.enqueue(QUEUE, new_jobs(1, max_attempts=2))
    assert ledger.fail(claim(ledger), "first", retry_in_s=5.0) is JobState.QUEUED
    assert claim(ledger) is None
    assert ledger.seconds_to_next(QUEUE) == 5.0
    clock.now += 5.0
    assert ledger.seconds_to_next(QUEUE) == 0.0
    assert ledger.fail(claim(ledger), "second", retry_in_s=5.0) is JobState.DEAD
    clock.now += 100.0
    assert claim(ledger) is None
    assert ledger.seconds_to_next(QUEUE) is None
    assert (job_named(ledger, "job 0").error, job_named(ledger, "job 0").num_attempts) == ("second", 2)


def test_what_no_attempt_can_mend_fails_at_once(ledger):
    ledger.enqueue(QUEUE, new_jobs(1, max_attempts=9))
    assert ledger.fail(claim(ledger), "no such file", retry_in_s=None) is JobState.FAILED
    assert ledger.seconds_to_next(QUEUE) is None
    assert job_named(ledger, "job 0").error == "no such file"


def test_a_job_that_ends_its_worker_at_each_attempt_is_given_up(ledger, clock):
    ledger.enqueue(QUEUE, new_jobs(2, max_attempts=2))
    assert claim(ledger).job.key == "job 0"
    clock.now += 11.0
    ledger.done(claim(ledger), {})
    assert claim(ledger).job.key == "job 0"
    clock.now += 11.0
    assert claim(ledger) is None
    job = job_named(ledger, "job 0")
    assert job.state is JobState.DEAD
    assert "worker has ended" in job.error


def test_a_job_that_is_given_up_keeps_what_its_earlier_attempts_said(ledger, clock):
    ledger.enqueue(QUEUE, new_jobs(1, max_attempts=2))
    ledger.fail(claim(ledger), "expected space, found none.", retry_in_s=0.0)
    claim(ledger)
    clock.now += 11.0
    assert claim(ledger) is None
    error = job_named(ledger, "job 0").error
    assert error.startswith("expected space, found none. Then: ")
    assert "worker has ended" in error


def test_a_clock_that_is_set_back_keeps_no_job_waiting(ledger, clock):
    ledger.enqueue(QUEUE, new_jobs(3))
    ledger.give_back(claim(ledger))
    ledger.done(claim(ledger), {})
    ledger.reopen(QUEUE, new_jobs(3))
    clock.now -= 3600.0
    assert ledger.seconds_to_next(QUEUE) == 0.0
    assert {claim(ledger).job.key for _ in range(3)} == {"job 0", "job 1", "job 2"}


def test_a_job_given_back_is_claimable_at_once_and_has_lost_no_attempt(ledger):
    ledger.enqueue(QUEUE, new_jobs(1, max_attempts=1))
    for attempt in (1, 2, 3):
        lease = claim(ledger)
        assert (lease.job.attempt, lease.job.num_attempts) == (attempt, 1)
        ledger.give_back(lease)
        with pytest.raises(StaleLeaseError):
            ledger.done(lease, {})
    assert ledger.counts(QUEUE)[JobState.QUEUED] == 1


def test_a_job_given_back_for_a_while_waits_and_has_lost_no_attempt(ledger, clock):
    ledger.enqueue(QUEUE, new_jobs(2, max_attempts=1))
    ledger.give_back(claim(ledger), in_s=30.0)
    ledger.done(claim(ledger), {})
    assert claim(ledger) is None
    assert ledger.seconds_to_next(QUEUE) == 30.0
    clock.now += 30.0
    lease = claim(ledger)
    assert (lease.job.key, lease.job.num_attempts) == ("job 0", 1)


def test_what_a_worker_runs_is_given_back_in_its_stead(ledger, clock):
    ledger.enqueue(QUEUE, new_jobs(4, max_attempts=1))
    ledger.done(claim(ledger, "late"), {})
    held = [claim(ledger, "late"), claim(ledger, "late")]
    other = claim(ledger, "other")
    clock.now -= 3600.0  # a clock that is set back keeps nothing waiting
    ledger.release("late")
    for lease in held:
        for word in (ledger.renew, ledger.give_back, lambda lease: ledger.done(lease, {})):
            with pytest.raises(StaleLeaseError):
                word(lease)
    ledger.renew(other)
    again = [claim(ledger, "next") for _ in range(2)]
    assert [(lease.job.key, lease.job.num_attempts) for lease in again] == [("job 1", 1), ("job 2", 1)]
    assert claim(ledger, "next") is None
    ledger.release("late")
    assert ledger.counts(QUEUE)[JobState.RUNNING] == 3
    with pytest.raises(StaleLeaseError, match="attempt 2"):
        ledger.done(held[0], {})


def test_the_leases_of_a_worker_that_is_gone_end_at_once(ledger):
    ledger.enqueue(QUEUE, new_jobs(2))
    claim(ledger, "gone"), claim(ledger, "here")
    assert ledger.workers(QUEUE) == {"gone", "here"}
    ledger.end_leases("gone")
    assert claim(ledger, "next").job.key == "job 0"
    assert claim(ledger, "next") is None


def test_what_a_job_has_recorded_outlives_its_worker(ledger, clock):
    ledger.enqueue(QUEUE, new_jobs(1))
    ledger.record(claim(ledger), {"output_sha256": "ab"})
    clock.now += 11.0
    assert claim(ledger).job.result == {"output_sha256": "ab"}


def test_finished_jobs_are_queued_again_only_when_asked_to(ledger):
    ledger.enqueue(QUEUE, new_jobs(3, max_attempts=1))
    ledger.done(claim(ledger), {"n": 0})
    ledger.fail(claim(ledger), "dead", retry_in_s=1.0)
    again = [NewJob(key=f"job {n}", kind="test", payload={"again": n}, priority=n) for n in range(4)]
    ledger.reopen(QUEUE, again)
    assert ledger.counts(QUEUE)[JobState.QUEUED] == 3
    leases = sorted((claim(ledger) for _ in range(3)), key=lambda lease: lease.job.id)
    assert [lease.job.num_attempts for lease in leases] == [1, 1, 1]
    assert [lease.job.result for lease in leases] == [{"n": 0}, None, None]
    assert [lease.job.payload for lease in leases] == [{"again": 0}, {"again": 1}, {"n": 2}]  # job 2 was not finished
    assert [lease.job.max_attempts for lease in leases] == [3, 3, 1]
    assert {lease.job.error for lease in leases} == {None}


def test_what_another_queue_has_done_is_adopted_and_nothing_else(ledger):
    ledger.enqueue("before", new_jobs(2))
    ledger.done(claim(ledger, queue="before"), {"n": 0})
    ledger.adopt(QUEUE, ["job 0", "job 1", "job 2"])
    ledger.adopt(QUEUE, ["job 0"])
    assert ledger.named(QUEUE, ["job 0", "job 1", "job 2"]).keys() == {"job 0"}
    assert job_named(ledger, "job 0").result == {"n": 0}
    assert sum(ledger.counts("before").values()) == 2


def test_jobs_are_found_by_what_stands_in_their_results(ledger):
    ledger.enqueue(QUEUE, new_jobs(3))
    for output in ("a.nii", "b.nii"):
        ledger.done(claim(ledger), {"output": output, "n": 1})
    (found,) = ledger.recorded("test", "output", ["b.nii", "c.nii"])
    assert (found.key, found.payload, found.result) == ("job 1", {"n": 1}, {"output": "b.nii", "n": 1})
    assert ledger.recorded("other kind", "output", ["b.nii"]) == []


def test_every_state_is_counted(ledger):
    ledger.enqueue(QUEUE, new_jobs(6, max_attempts=1))
    ledger.done(claim(ledger), {})
    ledger.fail(claim(ledger), "bad", retry_in_s=None)
    ledger.fail(claim(ledger), "broken", retry_in_s=1.0)
    claim(ledger)
    assert ledger.counts(QUEUE) == {"queued": 2, "running": 1, "done": 1, "failed": 1, "dead": 1, "cancelled": 0}


def test_claimers_at_the_same_time_never_get_the_same_job(ledger_url):
    """Three processes' worth of connections: each thread opens the ledger for itself."""
    number = 60
    with Ledger(ledger_url) as ledger:
        ledger.enqueue(QUEUE, new_jobs(number))
    barrier = threading.Barrier(3)

    def take_all(name: str) -> list[str]:
        with Ledger(ledger_url) as own:
            barrier.wait()
            taken = []
            while (lease := claim(own, name)) is not None:
                taken.append(lease.job.key)
                own.done(lease, {"by": name})
            return taken

    with ThreadPoolExecutor(3) as pool:
        taken = list(pool.map(take_all, ("a", "b", "c")))
    assert sorted(key for keys in taken for key in keys) == sorted(job.key for job in new_jobs(number))


def test_without_a_set_clock_leases_run_by_the_clock_on_the_wall(ledger_url):
    with Ledger(ledger_url) as ledger:
        ledger.enqueue(QUEUE, new_jobs(1))
        ledger.claim("brief", queue=QUEUE, lease_s=-1.0)
        assert claim(ledger).job.attempt == 2
        assert 5.0 < ledger.seconds_to_next(QUEUE) <= 10.0
