"""Measuring what a sitting of a run costs: time, memory and energy."""

import time
from typing import Final

import torch

from scnas_deploy.energy import gpu_joules, processor_joules
from scnas_deploy.training.distributed import World
from scnas_deploy.training.ledger import Ledger, LedgerWriter, Sitting, now_utc
from scnas_deploy.training.memory import peak_bytes
from scnas_deploy.training.runs import RunFolder

_INTERVAL_SECONDS: Final = 30.0
"""How much of a sitting a kill may leave unrecorded; also often enough for energy counters that wrap around."""


class CostMeter:
    """Keeps a run folder's ledger.json up to date while the run goes on; does nothing but in the main process.

    Energy is that of the main process's machine, and unknown where the processes are on several.
    """

    def __init__(self, run: RunFolder, world: World) -> None:
        self._world, self._started, self._start = world, now_utc(), time.monotonic()
        self._saved = self._start
        on_one_machine = world.world_size == world.machine_size
        gpus = range(min(world.machine_size, torch.cuda.device_count()))
        uuids = [f"GPU-{torch.cuda.get_device_properties(number).uuid}" for number in gpus]
        self._cpu_joules = processor_joules() if on_one_machine else None
        self._gpu_joules = gpu_joules(uuids) if on_one_machine else None
        self._ledger = LedgerWriter(run.path, run.record().kind, self._sitting)

    def after_step(self) -> None:
        """Record the sitting, where the last time is long ago."""
        if time.monotonic() - self._saved > _INTERVAL_SECONDS:
            self.save()

    def save(self) -> Ledger | None:
        """Record the sitting as it stands; returns all of the run's costs in the main process."""
        self._saved = time.monotonic()
        return self._ledger.save() if self._world.is_main else None

    def _sitting(self) -> Sitting:
        return Sitting(
            started=self._started,
            device=self._world.hardware,
            num_processes=self._world.world_size,
            seconds=round(time.monotonic() - self._start, 1),
            peak_bytes=peak_bytes(),
            cpu_joules=_rounded(self._cpu_joules() if self._cpu_joules else None),
            gpu_joules=_rounded(self._gpu_joules() if self._gpu_joules else None),
        )


def _rounded(joules: float | None) -> float | None:
    return None if joules is None else round(joules, 1)
