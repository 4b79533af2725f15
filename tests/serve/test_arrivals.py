"""Studies that arrive object by object."""

import pytest

from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.serve.arrivals import Arrivals, study_key


@pytest.fixture
def arrivals(ledger_url, clock):
    """On SQLite and on PostgreSQL."""
    with Ledger(ledger_url, clock=clock) as ledger:
        yield Arrivals(ledger)


def touch(arrivals, study="1.2", called="SCNAS"):
    return arrivals.touch(study, called, "PACS")


def test_the_first_object_begins_a_study(arrivals):
    assert touch(arrivals)
    assert not touch(arrivals)
    assert touch(arrivals, study="1.3")
    assert touch(arrivals, called="OTHER")


def test_a_study_is_quiet_when_nothing_more_has_come_for_a_while(arrivals, clock):
    touch(arrivals)
    clock.now += 9
    touch(arrivals)
    clock.now += 9
    assert arrivals.quiet(10) == []
    clock.now += 1
    (study,) = arrivals.quiet(10)
    assert (study.version, study.last_at - study.first_at) == (2, 9)


def test_what_comes_after_the_look_leaves_it_open(arrivals, clock):
    touch(arrivals)
    clock.now += 10
    (study,) = arrivals.quiet(10)
    touch(arrivals)
    arrivals.close(study, num_objects=1, outcome="rules: a")
    clock.now += 10
    assert len(arrivals.quiet(10)) == 1


def test_a_closed_study_is_quiet_for_good(arrivals, clock):
    touch(arrivals)
    clock.now += 10
    (study,) = arrivals.quiet(10)
    arrivals.close(study, num_objects=1, outcome="rules: a")
    assert arrivals.quiet(10) == []
    assert arrivals.quiet(0) == []
    (closed,) = arrivals.closed(before=clock.now)
    assert (closed.outcome, closed.num_objects) == ("rules: a", 1)


def test_a_late_object_opens_it_again(arrivals, clock):
    touch(arrivals)
    clock.now += 10
    arrivals.close(arrivals.quiet(10)[0], num_objects=1, outcome="rules: a")
    touch(arrivals)
    clock.now += 10
    assert len(arrivals.quiet(10)) == 1


def test_an_older_look_does_not_take_back_a_newer_one(arrivals, clock):
    touch(arrivals)
    clock.now += 10
    (old,) = arrivals.quiet(10)
    touch(arrivals)
    clock.now += 10
    (new,) = arrivals.quiet(10)
    arrivals.close(new, num_objects=2, outcome="new")
    arrivals.close(old, num_objects=1, outcome="old")
    assert arrivals.find(study_key("1.2", "SCNAS")).outcome == "new"


def test_it_is_forgotten_only_if_nothing_has_come(arrivals, clock):
    touch(arrivals)
    clock.now += 10
    arrivals.close(arrivals.quiet(10)[0], num_objects=1, outcome="")
    closed = arrivals.find(study_key("1.2", "SCNAS"))
    touch(arrivals)
    done = []
    assert not arrivals.forget(closed, lambda: done.append(True))
    assert not done
    assert arrivals.find(closed.key) is not None


def test_why_it_waits_is_noted(arrivals, clock):
    touch(arrivals)
    clock.now += 10
    (study,) = arrivals.quiet(10)
    arrivals.keep_waiting(study, "waits: no such model")
    assert arrivals.quiet(10)[0].outcome == "waits: no such model"
