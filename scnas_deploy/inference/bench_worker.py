"""What runs in the process of an engine that is measured.

Legend: B batch, C channels, X Y Z voxels.
"""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import numpy as np

from scnas_deploy.data.volume import Volume
from scnas_deploy.energy import gpu_joules, gpu_uuids, processor_joules
from scnas_deploy.errors import ScnasError
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.latency import noise_patch
from scnas_deploy.inference.memory import PeakMemory
from scnas_deploy.inference.model import NOBODY, SegmentOptions, load_model
from scnas_deploy.inference.segmentation import MemoryUse
from scnas_deploy.inference.trust import Trust
from scnas_deploy.types import PatchesBCXYZ

_PATCH_SECONDS: Final = 0.5
"""How long patches are computed in one turn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineTask:
    """What one process measures."""

    package: Path
    """The model."""
    engine: str
    """A name that `--engine` takes."""
    precision: str
    """One of the package's precisions, or 'auto'."""
    num_threads: int | None
    """Threads of the engine; None lets it choose."""
    study: Volume
    trust: Trust = NOBODY
    """Whose signatures count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """An engine that is ready and has segmented the study once."""

    engine: str
    """Name and version."""
    precision: str
    device: str
    batch_size: int
    """Patches of a call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """What an engine did in one turn."""

    patches_per_second: float
    study_seconds: float
    """From the loaded study to labels on its own grid."""
    cpu_joules: float | None
    """The machine's processors and memory during the study, other programs included; None where not readable."""
    gpu_joules: float | None
    """The machine's GPUs during the study; None where not readable."""
    peak_bytes: int | None
    """Highest resident memory so far above what the process had before the model; None where not readable."""
    study_memory: MemoryUse
    """What the study takes beside the model, the most of all its segmentations so far."""


def serve(connection: Connection, task: EngineTask) -> None:
    """What runs in the process: one answer when the engine is ready, then one for each turn asked for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    try:
        measured = _Measured(task)
        connection.send(measured.opened)
        while True:
            connection.recv()
            connection.send(measured.take_turn())
    except ScnasError as error:
        connection.send(error)
    except (EOFError, ConnectionError):  # nobody asks any more
        return


class _Measured:
    """An engine on a model, and what it takes."""

    def __init__(self, task: EngineTask) -> None:
        self._memory = PeakMemory()
        self._peak_bytes: int | None = None
        self._model = load_model(
            task.package,
            engine=task.engine,
            precision=task.precision,
            num_threads=task.num_threads,
            trust=task.trust,
        )
        self._study = task.study
        engine, plan, batch_size = self._model.engine, self._model.package.plan, self._model.predictor.batch
        self._batch_BCXYZ = np.repeat(noise_patch(len(plan.channels), plan.patch_size), batch_size, axis=0)
        self._remember_peak()
        self._study_memory = MemoryUse(0, None)
        self._segment()
        self.opened = Opened(
            engine=engine.name, precision=engine.precision, device=engine.device, batch_size=batch_size
        )

    def take_turn(self) -> Turn:
        """Compute patches, segment the study, read the counters."""
        rate = _patches_per_second(self._model.engine, self._batch_BCXYZ, _PATCH_SECONDS)
        processor, gpus = processor_joules(), gpu_joules(gpu_uuids())
        started = time.perf_counter()
        self._segment()
        seconds = time.perf_counter() - started
        return Turn(
            patches_per_second=rate,
            study_seconds=seconds,
            cpu_joules=processor(),
            gpu_joules=gpus(),
            peak_bytes=self._peak_bytes,
            study_memory=self._study_memory,
        )

    def _segment(self) -> None:
        """The labels are thrown away, so that a study outside of the model's limits does no harm."""
        use = self._model.segment(self._study, SegmentOptions(force=True)).memory
        assert use is not None
        taken = [each for each in (use.taken, self._study_memory.taken) if each is not None]
        self._study_memory = MemoryUse(use.said, max(taken, default=None))
        self._remember_peak()

    def _remember_peak(self) -> None:
        """Each segmentation measures its own memory, whereupon the system forgets what was higher before."""
        peak = self._memory.above_start()
        if peak is not None:
            self._peak_bytes = max(peak, self._peak_bytes or 0)


def _patches_per_second(engine: Engine, batch_BCXYZ: PatchesBCXYZ, seconds: float) -> float:
    """The rate with as many calls under way as the engine answers at a time; each thread makes one at least."""
    started = time.perf_counter()

    def call(_: int) -> int:
        calls = 0
        while not calls or time.perf_counter() - started < seconds:
            engine.run(batch_BCXYZ)
            calls += 1
        return calls

    with ThreadPoolExecutor(engine.concurrency) as threads:
        calls = sum(threads.map(call, range(engine.concurrency)))
    return calls * len(batch_BCXYZ) / (time.perf_counter() - started)
