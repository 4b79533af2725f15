"""The jobs that run in this process: how far they are, and a way to have one stop within a patch."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from scnas_deploy.serve.work import StudyProgress


@dataclass(slots=True)
class RunningJob:
    """One of them."""

    progress: StudyProgress
    halted: threading.Event = field(default_factory=threading.Event)
    """Set when it is to stop."""


class Running:
    """All of them; may be used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[int, RunningJob] = {}

    @contextmanager
    def run(self, job_id: int) -> Iterator[RunningJob]:
        """Have a job known for as long as the block lasts."""
        job = RunningJob(StudyProgress(stage="reading"))
        with self._lock:
            self._jobs[job_id] = job
        try:
            yield job
        finally:
            with self._lock:
                if self._jobs.get(job_id) is job:
                    del self._jobs[job_id]

    def halt(self, job_id: int) -> None:
        """Have a job stop within a patch; without effect where it does not run here."""
        with self._lock:
            job = self._jobs.get(job_id)
        if job is not None:
            job.halted.set()

    def progress(self, job_id: int) -> StudyProgress | None:
        """How far a job is; None where it does not run here."""
        with self._lock:
            job = self._jobs.get(job_id)
        return None if job is None else job.progress

    def __len__(self) -> int:
        with self._lock:
            return len(self._jobs)
