"""Waiting for a ledger that is away, such as a database that is being restarted."""

import logging
import threading
from collections.abc import Callable, Iterable
from itertools import chain, repeat
from typing import Final, TypeVar

from scnas_deploy.errors import LedgerError
from scnas_deploy.jobs.schema import is_away

Answer = TypeVar("Answer")

_WAITS_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0)
_FIRST_WAIT_S: Final = 0.5
_FURTHER_WAITS_S: Final = (1.0, 2.0)
_LAST_WAITS_S: Final = 4.0
_LOG: Final = logging.getLogger("scnas_deploy.jobs")


def patiently(action: Callable[[], Answer], stop: threading.Event, *, waits_s: Iterable[float] = _WAITS_S) -> Answer:
    """Ask the ledger, and ask again while it does not answer.

    Args:
        action: One call of the ledger.
        stop: Ends the waiting.
        waits_s: Seconds before each repetition.

    Raises:
        StaleLeaseError: At once; that is an answer.
        LedgerError: If the ledger refuses what it is told, the last repetition fails too, or ``stop`` is set.
    """
    for wait_s in waits_s:
        try:
            return action()
        except LedgerError as error:
            if not is_away(error) or stop.wait(wait_s):
                raise
    return action()


def tirelessly(action: Callable[[], Answer], stop: threading.Event) -> Answer:
    """Ask the ledger, and ask again however long it is away; the log is told when it goes, and when it is back.

    Args:
        action: One call of the ledger.
        stop: Ends the waiting.

    Raises:
        StaleLeaseError: At once; that is an answer.
        LedgerError: At once where the ledger refuses what it is told; where it is away, once ``stop`` is set.
    """
    try:
        return action()
    except LedgerError as error:
        if not is_away(error):
            raise
        _LOG.warning("The job ledger is away; waiting for it: %s", error.redacted)
        if stop.wait(_FIRST_WAIT_S):
            raise
    answer = patiently(action, stop, waits_s=chain(_FURTHER_WAITS_S, repeat(_LAST_WAITS_S)))
    _LOG.warning("The job ledger is back.")
    return answer
