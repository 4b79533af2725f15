"""A worker as a process of its own, for tests that kill it: python -m tests.jobs.worker_process ORDERS."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.worker import Attempt, Worker, WorkerSettings

QUEUE = "killed"


class StartedProcess:
    """A process, as a crew wants its runners."""

    def __init__(self, *command: str, **options: object) -> None:
        self.process = subprocess.Popen([sys.executable, *command], **options)

    def status(self) -> int | None:
        return self.process.poll()

    def ask_to_stop(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class SleepingRunner(StartedProcess):
    """Runs jobs that sleep; the numbers of some end it."""

    def __init__(
        self, url: str, name: str, *, lease_s: float = 2.0, job_s: float = 0.02, deadly: Sequence[int] = ()
    ) -> None:
        super().__init__("-m", __name__, json.dumps([url, name, lease_s, job_s, deadly]))
        self.name = name


def main() -> None:
    url, name, lease_s, job_s, deadly = json.loads(sys.argv[1])

    def handler(attempt: Attempt) -> dict[str, object]:
        if attempt.job.payload["n"] in deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(job_s)
        attempt.record({"by": name})
        return {"by": name, "n": attempt.job.payload["n"]}

    settings = WorkerSettings(queue=QUEUE, name=name, lease_s=lease_s, poll_s=0.05)
    with Ledger(url) as ledger:
        Worker(ledger, handler, settings, threading.Event()).run()


if __name__ == "__main__":
    main()
