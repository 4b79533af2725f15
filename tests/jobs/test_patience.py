"""A ledger that is away for a while."""

import threading

import pytest

from scnas_deploy.errors import LedgerError, StaleLeaseError
from scnas_deploy.jobs.patience import patiently

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
