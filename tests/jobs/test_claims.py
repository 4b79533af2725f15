"""How the next job is found: by the index, without a lock where there is none, by priority whatever its attempts."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from scnas_deploy.jobs.job import JobState, NewJob
from scnas_deploy.jobs.schema import JOBS

QUEUE = "segment"
MANY = 10_000


def claim(ledger, lease_s=10.0):
    return ledger.claim("a worker", queue=QUEUE, lease_s=lease_s)


@contextmanager
def statements_of(ledger) -> Iterator[list[tuple[str, object]]]:
    """The statements that run meanwhile, with their values."""
    run = []
    with ledger.reading() as connection:
        engine = connection.engine

    def note(_connection, _cursor, statement, parameters, *_):
        run.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", note)
    yield run
    sa.event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def large(ledger, clock):
    """Many jobs: most of them done, many that wait, some of which not yet, and a few whose leases have run out."""
    row = {"queue": QUEUE, "kind": "t", "payload": {}, "attempt": 0, "given_back": 0, "max_attempts": 3}
    times = {"run_at": 0.0, "lease_until": None, "enqueued_at": 0.0, "changed_at": 0.0}
    rows = [{**row, **times, "key": str(n), "priority": n % 3, "state": JobState.DONE} for n in range(MANY)]
    for n, each in enumerate(rows):
        if n % 3 == 1:
            each.update(state=JobState.QUEUED, run_at=clock.now + 60.0 if n % 9 == 1 else 0.0)
        if n % 2000 == 0:
            each.update(state=JobState.RUNNING, lease_until=clock.now - 5.0)
    with ledger.transaction() as (connection, _):
        connection.execute(sa.insert(JOBS), rows)
    return ledger


def plans_of_a_claim(ledger) -> list[str]:
    """How the database carries out each statement of a claim."""
    with statements_of(ledger) as run:
        assert claim(ledger) is not None
    explain = "EXPLAIN QUERY PLAN " if _is_sqlite(ledger) else "EXPLAIN "
    plans = []
    for statement, parameters in run:
        if JOBS.name not in statement:
            continue
        with ledger.transaction() as (connection, _):
            found = connection.exec_driver_sql(explain + statement, parameters).all()
        plans.append(f"{statement}\n" + "\n".join(" ".join(map(str, line)) for line in found))
    return plans


def _is_sqlite(ledger):
    with ledger.reading() as connection:
        return connection.dialect.name == "sqlite"


@pytest.mark.parametrize("analyzed", [False, True])
def test_a_claim_among_many_jobs_reads_the_index_and_sorts_nothing(large, analyzed):
    if analyzed:
        with large.transaction() as (connection, _):
            connection.exec_driver_sql("ANALYZE scnas_jobs")
    plans = plans_of_a_claim(large)
    assert len(plans) == 5
    for plan in plans:
        assert re.search("scnas_jobs_ready|scnas_jobs_changed|scnas_jobs_pkey|PRIMARY KEY", plan), plan
        assert not re.search(r"Seq Scan|SCAN scnas_jobs(?! USING)|TEMP B-TREE|Sort", plan), plan


def test_whoever_finds_nothing_to_do_asks_one_query_and_takes_no_lock(ledger, clock):
    ledger.enqueue(QUEUE, [NewJob(key="k", kind="t", payload={})])
    ledger.fail(claim(ledger), "broken", retry_in_s=60.0)
    with ledger.transaction() as (connection, _), statements_of(ledger) as run:
        connection.execute(sa.update(JOBS).values(error="being written"))
        del run[:]
        assert claim(ledger) is None
    assert [statement[:6] for statement, _ in run if "BEGIN" not in statement] == ["SELECT"]
    assert "FOR UPDATE" not in run[-1][0]


def test_urgent_jobs_come_first_however_often_they_were_tried(ledger, clock):
    jobs = [NewJob(key=name, kind="t", payload={}, priority=10 * (name > "c"), max_attempts=9) for name in "abde"]
    ledger.enqueue(QUEUE, jobs)
    for _ in range(3):
        first, second = claim(ledger), claim(ledger)
        assert {first.job.key, second.job.key} == {"d", "e"}
        ledger.fail(first, "broken", retry_in_s=0.0)
        ledger.give_back(second)
    lost = [claim(ledger), claim(ledger)]
    assert claim(ledger).job.key == "a"
    clock.now += 10.1
    assert [claim(ledger).job.key for _ in range(4)] == [*(lease.job.key for lease in lost), "b", "a"]


def test_a_job_that_was_given_back_keeps_its_place(ledger):
    ledger.enqueue(QUEUE, [NewJob(key=name, kind="t", payload={}) for name in ("old", "new", "newest")])
    for _ in range(3):
        lease = claim(ledger)
        assert lease.job.key == "old"
        ledger.give_back(lease)
    ledger.fail(claim(ledger), "broken", retry_in_s=0.0)
    assert [claim(ledger).job.key for _ in range(3)] == ["new", "newest", "old"]


def test_an_urgent_job_that_waits_goes_before_a_lesser_one_whose_lease_has_run_out(ledger, clock):
    ledger.enqueue(QUEUE, [NewJob(key="archive", kind="t", payload={})])
    claim(ledger)
    clock.now += 11.0
    ledger.enqueue(QUEUE, [NewJob(key="clinical", kind="t", payload={}, priority=10)])
    assert [claim(ledger).job.key for _ in range(2)] == ["clinical", "archive"]
