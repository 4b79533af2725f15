"""A ledger that is away for a while."""

import logging
import threading

import pytest

from scnas_deploy.errors import LedgerError, StaleLeaseError
from scnas_deploy.jobs import patience
from scnas_deploy.jobs.job import NewJob
from scnas_deploy.jobs.patience import patiently, tirelessly

AWAY = {"expected": "an answer", "found": "none", "remedy": "Wait"}


class Away:
    """Answers after a number of failed calls."""

    def __init__(self, failures: int, kind: type[LedgerError] = LedgerError) -> None:
        self.calls, self._failures, self._kind = 0, failures, kind

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._kind("the ledger", **AWAY)
        return "answer"


@pytest.fixture
def quick(monkeypatch):
    """Without waits."""
    monkeypatch.setattr(patience, "_FIRST_WAIT_S", 0.0)
    monkeypatch.setattr(patience, "_FURTHER_WAITS_S", (0.0,))
    monkeypatch.setattr(patience, "_LAST_WAITS_S", 0.0)


def unfit(ledger):
    """Tell the ledger what it will never take."""
    return lambda: ledger.enqueue("queue", [NewJob(key=None, kind="test", payload={})])


def test_it_asks_until_it_is_answered():
    action = Away(2)
    assert patiently(action, threading.Event(), waits_s=(0.0, 0.0, 0.0)) == "answer"
    assert action.calls == 3


def test_it_gives_up_after_the_last_wait():
    action = Away(9)
    with pytest.raises(LedgerError):
        patiently(action, threading.Event(), waits_s=(0.0, 0.0))
    assert action.calls == 3


def test_a_refusal_is_an_answer():
    action = Away(9, StaleLeaseError)
    with pytest.raises(StaleLeaseError):
        patiently(action, threading.Event())
    assert action.calls == 1


def test_whoever_is_to_stop_does_not_wait():
    stop = threading.Event()
    stop.set()
    action = Away(9)
    with pytest.raises(LedgerError):
        patiently(action, stop)
    assert action.calls == 1


def test_without_tiring_it_asks_for_as_long_as_it_takes_and_says_so_once(quick, caplog):
    action = Away(500)
    assert tirelessly(action, threading.Event()) == "answer"
    assert action.calls == 501
    assert [record.name for record in caplog.records] == ["scnas_deploy.jobs"] * 2
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "away; waiting for it: expected an answer, found none" in caplog.messages[0]
    assert caplog.messages[1] == "The job ledger is back."


def test_a_ledger_that_answers_is_not_talked_about(caplog):
    assert tirelessly(Away(0), threading.Event()) == "answer"
    assert caplog.records == []


@pytest.mark.parametrize("ask", [patiently, tirelessly])
def test_what_the_ledger_refuses_is_not_asked_again(ask, ledger, caplog):
    with pytest.raises(LedgerError):
        ask(unfit(ledger), threading.Event())
    assert caplog.records == []
    stale = Away(9, StaleLeaseError)
    with pytest.raises(StaleLeaseError):
        ask(stale, threading.Event())
    assert stale.calls == 1


def test_whoever_is_to_stop_does_not_wait_without_tiring_either():
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(LedgerError):
        tirelessly(Away(500), stop)
