"""A worker as a process of its own, for tests that kill it: python -m tests.jobs.worker_process ORDERS."""

import json
import subprocess
import sys
import threading
import time

from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.worker import Attempt, Worker, WorkerSettings

QUEUE = "killed"


class SleepingRunner:
    """Runs jobs that sleep; a runner as a crew wants it."""

    def __init__(self, url: str, name: str, *, lease_s: float = 2.0, job_s: float = 0.02) -> None:
        orders = json.dumps([url, name, lease_s, job_s])
        self.name = name
        self.process = subprocess.Popen([sys.executable, "-m", __name__, orders])

    def status(self) -> int | None:
        return self.process.poll()

    def ask_to_stop(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def main() -> None:
    url, name, lease_s, job_s = json.loads(sys.argv[1])

    def handler(attempt: Attempt) -> dict[str, object]:
        time.sleep(job_s)
        attempt.record({"by": name})
        return {"by": name, "n": attempt.job.payload["n"]}

    settings = WorkerSettings(queue=QUEUE, name=name, lease_s=lease_s, poll_s=0.05)
    with Ledger(url) as ledger:
        Worker(ledger, handler, settings, threading.Event()).run()


if __name__ == "__main__":
    main()
