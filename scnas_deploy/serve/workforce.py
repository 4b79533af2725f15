"""The threads that run a server's jobs, and how they end."""

import threading
import time
from collections.abc import Callable
from typing import Final

from scnas_deploy.errors import LedgerError
from scnas_deploy.jobs.job import Job, JobState
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.names import new_name
from scnas_deploy.jobs.worker import Handler, Worker, WorkerSettings
from scnas_deploy.serve.logs import event, logger
from scnas_deploy.serve.loops import Loop

_LOG: Final = logger("serve.workforce")
_WARNING: Final = 30
_POLL_S: Final = 0.5
_AGAIN_S: Final = 1.0
"""Before a worker whose engine broke goes on with a new one."""
_LAST_S: Final = 10.0
"""Beyond the grace period, for the patch or the file that was under way when a worker was asked to end at once."""


class Workforce:
    """Workers of one ledger, each in a thread.

    Args:
        ledger: Where their jobs are.
        lease_s: Of their leases.
        on_end: Told how each attempt has ended.
        drain: Asks them to finish what they have and take nothing more.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        lease_s: float,
        on_end: Callable[[Job, JobState, str | None], None],
        drain: threading.Event,
    ) -> None:
        self._ledger, self._lease_s, self._on_end, self._drain = ledger, lease_s, on_end, drain
        self._halt = threading.Event()
        self._loops: dict[str, Loop] = {}

    def hire(self, queue: str, handler: Handler, number: int) -> None:
        """Start so many workers of a queue."""
        for _ in range(number):
            settings = WorkerSettings(queue=queue, name=new_name(), lease_s=self._lease_s, poll_s=_POLL_S, stay=True)
            worker = Worker(self._ledger, handler, settings, self._halt, self._on_end, drain=self._drain)
            loop = self._loops[settings.name] = Loop(queue, worker.run, _AGAIN_S, self._drain)
            loop.start()

    def finish_within(self, grace_s: float) -> threading.Timer:
        """Have what is under way finished, or given back after the grace period; :meth:`join` waits for that."""
        timer = threading.Timer(grace_s, self._halt.set)
        timer.start()
        return timer

    def join(self, deadline: float) -> None:
        """Wait until all have ended, a little longer than the deadline, and give back what the others still hold.

        Args:
            deadline: Of the monotonic clock.
        """
        self._join_until(deadline)
        self._halt.set()
        self._join_until(max(deadline, time.monotonic()) + _LAST_S)
        for name, loop in self._loops.items():
            if loop.is_alive():
                self._release(name)

    def _release(self, name: str) -> None:
        try:
            self._ledger.release(name)
        except LedgerError as error:  # its lease runs out
            event(_LOG, _WARNING, "a job could not be given back", error=error.redacted)

    def _join_until(self, deadline: float) -> None:
        for loop in self._loops.values():
            loop.join(max(0.0, deadline - time.monotonic()))
