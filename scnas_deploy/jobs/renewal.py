"""Keeping the lease of a job while it runs."""

import threading
import time
from typing import Final, Self

from scnas_deploy.errors import LedgerError, StaleLeaseError
from scnas_deploy.jobs.job import Lease
from scnas_deploy.jobs.ledger import Ledger

_LOOK_S: Final = 1.0
"""Seconds between two looks at the clock of a lease, which a machine may sleep through."""


class Renewal:
    """Renews a lease in the background."""

    def __init__(self, ledger: Ledger, lease: Lease) -> None:
        self._ledger, self._lease = ledger, lease
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self.lost = threading.Event()
        """Set when the job is somebody else's."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _renew(self) -> None:
        length_s, renewed = self._lease.length_s, _clocks()
        while not self._ended.wait(min(_LOOK_S, length_s / 12)):
            now = _clocks()
            if all(late - early < length_s / 3 for late, early in zip(now, renewed, strict=True)):
                continue
            try:
                self._ledger.renew(self._lease)
            except StaleLeaseError:
                self.lost.set()
                return
            except LedgerError:
                continue  # where it is away for us, it most likely is for others, who cannot claim the job either
            renewed = now


def _clocks() -> tuple[float, float]:
    """The wall's clock, which leases run by and which may be set, and one that stands still in a machine's sleep."""
    return time.time(), time.monotonic()
