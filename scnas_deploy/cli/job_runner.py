"""Running several folds' commands side by side, each a process of its own."""

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scnas_deploy.cli.console import note
from scnas_deploy.cli.fold_jobs import FoldJob
from scnas_deploy.machine import num_cores
from scnas_deploy.process import interrupt_flag
from scnas_deploy.training.cross_validation import FoldFailure
from scnas_deploy.training.distributed import end_with_parent

_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class _Running:
    job: FoldJob
    command: list[str]
    process: subprocess.Popen[bytes]
    log: Path
    log_start: int
    """Size of the log before the command."""


class JobRunner:
    """Runs jobs to their end, up to a number of them at a time; a job that fails ends alone.

    Args:
        num_parallel: How many jobs run at a time. They share the cores, and take the GPUs in turns.
        logs: Folder for what the commands print, one file a job.
    """

    def __init__(self, num_parallel: int, logs: Path) -> None:
        self._environments = _environments(num_parallel)
        self._logs = logs
        self._running: dict[int, _Running] = {}
        self.failures: list[FoldFailure] = []
        """In the order in which they happened."""

    def run(self, jobs: Sequence[FoldJob]) -> None:
        """Run all jobs.

        Raises:
            KeyboardInterrupt: After Ctrl-C or SIGTERM, once every running command has saved and ended.
        """
        waiting = deque(jobs)
        try:
            with interrupt_flag() as interrupted:
                while (waiting or self._running) and not interrupted.is_set():
                    for slot in range(len(self._environments)):
                        if slot not in self._running and waiting:
                            self._start_next(slot, waiting.popleft())
                    time.sleep(_POLL_SECONDS)
                    self._collect()
                if interrupted.is_set():
                    self._stop()
                    raise KeyboardInterrupt
        finally:
            for running in self._running.values():
                running.process.kill()

    def _start_next(self, slot: int, job: FoldJob) -> None:
        command = job.next_command()
        if command is None:
            note(f"{job.name}: finished")
            return
        note(f"{job.name}: scnas {command[0]}" + (" --resume" if "--resume" in command else ""))
        log = self._logs / f"{job.name}.log"
        with log.open("ab") as output:
            start = output.tell()
            process = subprocess.Popen(  # noqa: S603 (our own command line)
                [sys.executable, "-m", "scnas_deploy", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environments[slot],
                start_new_session=True,  # a Ctrl-C reaches this process alone, which passes it on once
                preexec_fn=end_with_parent,  # noqa: PLW1509 (no other thread of ours runs)
            )
        self._running[slot] = _Running(job, command, process, log, start)

    def _collect(self) -> None:
        for slot, running in list(self._running.items()):
            status = running.process.poll()
            if status is None:
                continue
            del self._running[slot]
            if status == 0 and running.job.next_command() != running.command:
                self._start_next(slot, running.job)
            else:
                self._fail(running, status)

    def _fail(self, running: _Running, status: int) -> None:
        job = running.job
        with running.log.open("rb") as log:
            log.seek(running.log_start)
            lines = log.read().decode(errors="replace").splitlines()
        message = lines[-1] if lines else "it said nothing"
        note(f"{job.name}: scnas {running.command[0]} failed: {message}")
        command = " ".join(["scnas", *running.command])
        self.failures.append(FoldFailure(run=job.name, command=command, exit_status=status, message=message))

    def _stop(self) -> None:
        for running in self._running.values():
            running.process.terminate()
        for running in self._running.values():
            running.process.wait()
        self._running.clear()


def _environments(num_parallel: int) -> list[dict[str, str]]:
    """One environment a place: of several, each has its part of the cores and one of the visible GPUs."""
    import torch

    if num_parallel == 1:
        return [dict(os.environ)]
    threads = str(max(1, num_cores() // num_parallel))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
    gpus = visible.split(",")
    return [
        {"OMP_NUM_THREADS": threads, **os.environ, "CUDA_VISIBLE_DEVICES": gpus[place % len(gpus)]}
        for place in range(num_parallel)
    ]
