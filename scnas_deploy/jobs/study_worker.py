"""A worker that segments studies, as a process of its own: ``python -m scnas_deploy.jobs.study_worker``.

Its orders come as one line of JSON on standard input, where a password within the ledger's URL is seen by no other
process. When its standard input ends, so does the worker: its parent has closed it, or is gone.
"""

import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from pydantic import TypeAdapter

from scnas_deploy.errors import ScnasError
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.studies import StudyHandler, StudySettings
from scnas_deploy.jobs.worker import Worker, WorkerEnd, WorkerSettings
from scnas_deploy.process import interrupt_flag


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyOrders:
    """All that a worker must know."""

    ledger_url: str
    """Where the jobs are."""
    studies: StudySettings
    """How they are segmented."""
    worker: WorkerSettings
    """Which of them, and by whom."""

    def named(self, name: str) -> "StudyOrders":
        """The same for another worker."""
        return replace(self, worker=replace(self.worker, name=name))

    def to_json(self) -> str:
        """Return one line."""
        return _JSON.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> "StudyOrders":
        """Read what :meth:`to_json` has written."""
        return _JSON.validate_json(text)


_TERMINATED: Final = 143
"""Exit status of a worker that was ended from outside, as a shell has it for SIGTERM: its place needs another one."""

_JSON: Final = TypeAdapter(StudyOrders)


def work(orders: StudyOrders, stop: threading.Event) -> int:
    """Segment studies until none is left or ``stop`` is set.

    Returns:
        0 when that is so, 1 when the engine is broken.

    Raises:
        ScnasError: If the model or the ledger cannot be opened.
    """
    handler = StudyHandler(orders.studies)
    with Ledger(orders.ledger_url) as ledger:
        end = Worker(ledger, handler, orders.worker, stop).run()
    return 1 if end is WorkerEnd.BROKEN_ENGINE else 0


class ProcessRunner:
    """A worker in a process of this machine; see :class:`scnas_deploy.jobs.crew.Runner`."""

    def __init__(self, orders: StudyOrders) -> None:
        command = [sys.executable, "-P", "-m", __name__]  # -P: no module of the folder we are called in
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)  # noqa: S603
        self._tell(f"{orders.to_json()}\n".encode())

    def status(self) -> int | None:
        """None while it runs, then its exit status."""
        status = self._process.poll()
        if status is not None:
            self.ask_to_stop()
        return status

    def ask_to_stop(self) -> None:
        """Close its standard input."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # orders that it has not lived to read
            self._process.stdin.close()

    def kill(self) -> None:
        """End it, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self.ask_to_stop()

    def _tell(self, orders: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it is gone already; its status will say so
            self._process.stdin.write(orders)
            self._process.stdin.flush()


def main() -> int:
    """Run a worker by the orders on standard input."""
    orders, left = StudyOrders.from_json(sys.stdin.readline()), threading.Event()
    try:
        with interrupt_flag() as stop:
            threading.Thread(target=_stop_at_end_of_input, args=(left, stop), daemon=True).start()
            status = work(orders, stop)
            return _TERMINATED if stop.is_set() and not left.is_set() else status
    except ScnasError as error:
        sys.stderr.write(f"scnas: a worker: {' '.join(error.redacted.split())}\n")
        return error.exit_status
    except KeyboardInterrupt:
        return _TERMINATED


def _stop_at_end_of_input(left: threading.Event, stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1):  # not sys.stdin.read(), whose lock would be held when the process ends
        pass
    left.set()
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
