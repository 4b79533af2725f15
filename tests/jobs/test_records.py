"""What a ledger says of its jobs."""

import pytest
import sqlalchemy as sa

from scnas_deploy.jobs.job import JobState, NewJob
from scnas_deploy.jobs.ledger import Ledger
from tests.jobs.conftest import new_jobs


def claim(ledger, queue):
    return ledger.claim("a worker", queue=queue, lease_s=10.0)


def test_a_job_is_found_by_its_number_with_all_that_is_known(ledger, clock):
    ledger.enqueue("one", new_jobs(1))
    clock.now += 3.0
    lease = claim(ledger, "one")
    clock.now += 4.0
    ledger.record(lease, {"fraction": 0.5})
    job = ledger.find(lease.job.id)
    assert (job.worker, job.enqueued_at, job.changed_at) == ("a worker", clock.now - 7.0, clock.now)
    assert (job.queue, job.key, job.payload, job.result) == ("one", "job 0", {"n": 0}, {"fraction": 0.5})
    assert ledger.find(job.id + 1) is None


def test_jobs_are_listed_newest_first_and_page_by_page(ledger):
    ledger.enqueue("one", new_jobs(3))
    ledger.enqueue("two", new_jobs(4))
    pages, before = [], None
    while page := ledger.listed(limit=3, before=before):
        pages.append([(job.queue, job.key) for job in page])
        before = page[-1].id
    named = [("two", f"job {n}") for n in (3, 2, 1, 0)] + [("one", f"job {n}") for n in (2, 1, 0)]
    assert pages == [named[:3], named[3:6], named[6:]]


def test_jobs_are_listed_by_queue_and_state(ledger):
    for queue in ("one", "two", "three"):
        ledger.enqueue(queue, new_jobs(2))
        ledger.done(claim(ledger, queue), {})
    done = ledger.listed(queues=["one", "three"], states=[JobState.DONE])
    assert [(job.queue, job.key) for job in done] == [("three", "job 0"), ("one", "job 0")]
    assert len(ledger.listed(queues=["two"])) == 2
    assert len(ledger.listed(states=[JobState.QUEUED, JobState.DONE])) == 6
    assert ledger.listed(queues=[]) == []
    assert ledger.listed(states=[]) == []
    assert ledger.queues() == ["one", "three", "two"]


def test_what_is_finished_for_long_is_told_the_oldest_first_but_not_the_dead(ledger, clock):
    ledger.enqueue("one", new_jobs(7, max_attempts=1))
    ledger.done(claim(ledger, "one"), {})
    ledger.fail(claim(ledger, "one"), "bad", retry_in_s=None)
    ledger.fail(claim(ledger, "one"), "broken", retry_in_s=1.0)
    ledger.cancel(claim(ledger, "one").job.id, "why")
    claim(ledger, "one")
    clock.now += 100.0
    ledger.done(claim(ledger, "one"), {})
    assert [job.key for job in ledger.finished_before(clock.now - 50.0)] == ["job 0", "job 1", "job 3"]
    assert [job.key for job in ledger.finished_before(clock.now - 50.0, limit=2)] == ["job 0", "job 1"]
    assert [job.key for job in ledger.finished_before(clock.now + 1.0)] == ["job 0", "job 1", "job 3", "job 5"]


def test_what_is_finished_for_long_is_told_page_by_page_and_by_queue(ledger, clock):
    for queue in ("one", "two"):
        ledger.enqueue(queue, new_jobs(3))
        for _ in range(3):
            ledger.done(claim(ledger, queue), {})
    clock.now += 100.0
    pages, after = [], 0
    while page := ledger.finished_before(clock.now, queues=["two"], limit=2, after=after):
        pages.append([(job.queue, job.key) for job in page])
        after = page[-1].id
    assert pages == [[("two", "job 0"), ("two", "job 1")], [("two", "job 2")]]


def test_a_transaction_writes_whole_or_not_at_all_and_knows_the_time(ledger, clock):
    ledger.enqueue("one", new_jobs(1))

    def remove_all(*, fail: bool) -> None:
        with ledger.transaction() as (connection, now):
            assert now == clock.now
            connection.exec_driver_sql("DELETE FROM scnas_jobs")
            if fail:
                raise KeyError

    with pytest.raises(KeyError):
        remove_all(fail=True)
    assert len(ledger.listed()) == 1
    remove_all(fail=False)
    assert ledger.listed() == []


def test_databases_tell_their_own_time(ledger_url):
    with Ledger(ledger_url) as ledger, ledger.transaction() as (_, now), ledger.reading() as connection:
        assert isinstance(now, float)
        assert now > 1.7e9
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_jobs_are_counted_by_priority(ledger):
    ledger.enqueue("one", [NewJob(key=f"{n}", kind="test", payload={}, priority=10 * (n < 2)) for n in range(5)])
    ledger.enqueue("two", new_jobs(1))
    ledger.done(claim(ledger, "one"), {})
    counted = ledger.counts_by_priority("one")
    assert list(counted) == [10, 0]
    assert counted[10] == dict.fromkeys(JobState, 0) | {JobState.DONE: 1, JobState.QUEUED: 1}
    assert counted[0][JobState.QUEUED] == 3
    assert ledger.counts_by_priority("none") == {}


def test_the_latest_word_comes_first_whatever_the_number(ledger, clock):
    ledger.enqueue("one", new_jobs(5, max_attempts=1))
    leases = [claim(ledger, "one") for _ in range(4)]
    for number, end in ((2, ledger.done), (0, ledger.done), (3, ledger.done)):
        clock.now += 1.0
        end(leases[number], {})
    clock.now += 1.0
    ledger.fail(leases[1], "bad", retry_in_s=None)
    states = [JobState.DONE, JobState.FAILED]
    assert [job.key for job in ledger.changed_last("one", states, limit=9)] == ["job 1", "job 3", "job 0", "job 2"]
    assert [job.key for job in ledger.changed_last("one", states, limit=2)] == ["job 1", "job 3"]
    assert ledger.changed_last("two", states, limit=2) == []


def test_what_ended_is_counted_by_the_hour(ledger, clock):
    ledger.enqueue("one", new_jobs(5))
    for wait_s in (0.0, 1800.0, 3600.0 + 1900.0, 0.0):
        clock.now += wait_s
        ledger.done(claim(ledger, "one"), {})
    assert ledger.changed_by_hour("one", JobState.DONE, 3) == [1, 1, 2]
    assert ledger.changed_by_hour("one", JobState.DONE, 1) == [2]
    assert ledger.changed_by_hour("one", JobState.FAILED, 2) == [0, 0]


def test_the_oldest_that_waits_is_found(ledger):
    ledger.enqueue("one", new_jobs(3))
    claim(ledger, "one")
    assert ledger.oldest("one", JobState.QUEUED).key == "job 1"
    assert ledger.oldest("one", JobState.DEAD) is None


@pytest.mark.parametrize("state", [JobState.DONE, JobState.FAILED])
def test_figures_are_taken_from_an_index(tmp_path, state):
    """What is counted since a time, and what changed last, costs the same in a ledger of any size."""
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        asked = []
        sa.event.listen(ledger._engine, "before_cursor_execute", lambda *told: asked.append(told[2:4]))
        ledger.changed_by_hour("one", state, 24)
        ledger.changed_last("one", [state], limit=10)
        ledger.oldest("one", state)
        with ledger.reading() as connection:
            for statement, values in [each for each in asked if each[0].startswith("SELECT")]:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
                assert not any("SCAN scnas_jobs" in row.detail for row in plan), statement
