"""The loop under search and training: steps, epochs, checkpoints, exact resume, and a clean stop on a signal."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from scnas_deploy.errors import ConfigError
from scnas_deploy.process import interrupt_flag
from scnas_deploy.training.checkpoint import State, load_checkpoint, save_checkpoint
from scnas_deploy.training.distributed import ALONE, World
from scnas_deploy.training.memory import keep_freed_memory, peak_bytes
from scnas_deploy.training.metrics_writer import MetricsLog

CHECKPOINT = "checkpoint.safetensors"

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and the latest figures in words."""


class Task(Protocol):
    """What a loop runs. Every step must be a function of the task's state and the step's number."""

    num_epochs: int
    steps_per_epoch: int

    def begin(self, first_step: int, num_steps: int) -> None:
        """Get ready for the steps from ``first_step`` on."""

    def step(self, number: int) -> float:
        """Take one step and return its loss, the same on every rank."""

    def finish_epoch(self, epoch: int, mean_loss: float) -> dict[str, Any]:
        """Conclude an epoch and return its figures."""

    def is_finished(self) -> bool:
        """Whether to stop before the last epoch."""

    def state(self) -> State:
        """Everything that the next step depends on."""

    def restore(self, state: State) -> None:
        """Go back to a state."""


class Loop:
    """Runs a task in a run folder; of several processes, the main one writes.

    Args:
        task: What to run.
        folder: The run folder; holds the checkpoint and the metrics.
        resume: Continue from the checkpoint, where there is one.
        progress: Called after each step, by the main process.
        world: The processes that run the task together; all of them see the folder.

    Raises:
        ConfigError: If the folder holds a checkpoint and ``resume`` is False.
    """

    def __init__(
        self, task: Task, folder: Path, *, resume: bool, progress: Progress | None = None, world: World = ALONE
    ) -> None:
        self._task, self._path, self._world = task, folder / CHECKPOINT, world
        self._progress = progress if world.is_main else None
        self._step, self._loss_sum, self._seconds = 0, 0.0, 0.0
        if self._path.is_file():
            if not resume:
                raise ConfigError(
                    folder,
                    expected="a new run folder",
                    found="a run that has started",
                    remedy="Continue it with --resume or choose another --name",
                )
            self._restore(load_checkpoint(self._path))
        self._log = MetricsLog(folder, first_epoch=self._step // task.steps_per_epoch) if world.is_main else None

    @property
    def seconds(self) -> float:
        """Time spent in steps, earlier sittings included."""
        return self._seconds

    @property
    def num_steps_done(self) -> int:
        """Steps taken, earlier sittings included."""
        return self._step

    def run(self) -> None:
        """Run to the end.

        Raises:
            KeyboardInterrupt: After Ctrl-C or SIGTERM, in all processes once the current step is done and saved.
        """
        keep_freed_memory()
        total = self._task.num_epochs * self._task.steps_per_epoch
        self._task.begin(self._step, total - self._step)
        with interrupt_flag() as interrupted:
            while self._step < total and not self._task.is_finished():
                self._one_step(total)
                if self._world.largest(interrupted.is_set()):
                    self._save()
                    self._world.barrier()
                    raise KeyboardInterrupt
        if self._log is not None:
            self._log.close()

    def _one_step(self, total: int) -> None:
        started = time.monotonic()
        loss = self._task.step(self._step)
        self._step += 1
        self._loss_sum += loss
        self._seconds += time.monotonic() - started
        if self._step % self._task.steps_per_epoch == 0:
            self._finish_epoch()
        if self._progress is not None:
            self._progress(self._step, total, f"loss {loss:.3f}")

    def _finish_epoch(self) -> None:
        started = time.monotonic()
        epoch = self._step // self._task.steps_per_epoch - 1
        mean_loss = self._loss_sum / self._task.steps_per_epoch
        record = {"epoch": epoch, "loss": mean_loss, **self._task.finish_epoch(epoch, mean_loss)}
        self._loss_sum = 0.0
        self._seconds += time.monotonic() - started
        if self._log is not None:
            self._log.append({**record, "seconds": round(self._seconds, 3), "peak_bytes": peak_bytes()})
        self._save()

    def _save(self) -> None:
        if not self._world.is_main:
            return
        progress = {"step": self._step, "loss_sum": self._loss_sum, "seconds": self._seconds}
        save_checkpoint(self._path, {"loop": progress, "task": self._task.state()})

    def _restore(self, state: State) -> None:
        progress = state["loop"]
        self._step, self._loss_sum, self._seconds = progress["step"], progress["loss_sum"], progress["seconds"]
        self._task.restore(state["task"])
