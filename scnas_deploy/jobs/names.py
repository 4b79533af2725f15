"""Names of workers, by which one machine knows those of its own that are gone."""

import os
import socket
from pathlib import Path
from typing import Final
from uuid import uuid4

from scnas_deploy.jobs.ledger import Ledger

_PROCESSES: Final = Path("/proc")


def new_name() -> str:
    """Name a worker that lives no longer than this process: ``HOST/PROCESS/RANDOM``."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex}"


def end_leases_of_the_gone(ledger: Ledger, queue: str) -> None:
    """End the leases of workers whose process on this machine is gone, instead of waiting for them to run out.

    To be called before this process names workers: those that bear its number are of an earlier life, as in a container
    that was started again, whose first process has the same number each time. Where it cannot be told, as on other
    systems than Linux, leases run out. Were a worker still there, it would be refused by the ledger, and its job be
    done twice.
    """
    for worker in ledger.workers(queue):
        host, process, _ = worker.rsplit("/", 2)
        if host == socket.gethostname() and _is_gone(process):
            ledger.end_leases(worker)


def _is_gone(process: str) -> bool:
    return process == str(os.getpid()) or (_PROCESSES.is_dir() and not (_PROCESSES / process).exists())
