"""Waiting for a ledger that is away, such as a database that is being restarted."""

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from scnas_deploy.errors import LedgerError, StaleLeaseError

Answer = TypeVar("Answer")

_WAITS_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0)


def patiently(action: Callable[[], Answer], stop: threading.Event, *, waits_s: tuple[float, ...] = _WAITS_S) -> Answer:
    """Ask the ledger, and ask again while it does not answer.

    Args:
        action: One call of the ledger.
        stop: Ends the waiting.
        waits_s: Seconds before each repetition.

    Raises:
        StaleLeaseError: At once; that is an answer.
        LedgerError: If the last repetition fails too, or ``stop`` is set.
    """
    for wait_s in waits_s:
        try:
            return action()
        except StaleLeaseError:
            raise
        except LedgerError:
            if stop.wait(wait_s):
                raise
    return action()
