"""How far a run is, what it has recorded and what it has cost, as its folder tells."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from scnas_deploy.files import sha256_of
from scnas_deploy.inference.package import WEIGHTS
from scnas_deploy.training.gap import GAP
from scnas_deploy.training.ledger import LEDGER, Ledger, load_ledger
from scnas_deploy.training.metrics_log import METRICS, read_metrics
from scnas_deploy.training.runs import EVALUATION, GENOTYPE, RUN, RunFolder, RunRecord

Epoch = dict[str, Any]
"""What one epoch has recorded, by name; None where it was not finite."""

_SILENCE_SECONDS: Final = 120.0
"""A run that has written nothing for so long, and for two of its epochs, does not run any more: the ledger is
written twice a minute."""


class Condition(StrEnum):
    """Whether a run goes on, as far as its files tell."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunProgress:
    """A run at a moment."""

    name: str
    record: RunRecord
    condition: Condition
    epochs: tuple[Epoch, ...]
    ledger: Ledger | None

    @property
    def num_planned(self) -> int:
        """Epochs at most."""
        return int(self.record.config["num_epochs"])

    @property
    def epoch_seconds(self) -> list[float]:
        """Wall time of each epoch."""
        ends = [0.0, *(float(epoch["seconds"]) for epoch in self.epochs)]
        return [end - start for start, end in pairwise(ends)]

    @property
    def seconds_spent(self) -> float:
        """Wall time: of all sittings, else of the epochs."""
        return sum(self.epoch_seconds) if self.ledger is None else self.ledger.seconds

    @property
    def seconds_left(self) -> float | None:
        """By the median of the last ten epochs; None where the run has ended or no epoch has."""
        if self.condition is Condition.FINISHED or not self.epochs:
            return None
        return statistics.median(self.epoch_seconds[-10:]) * (self.num_planned - len(self.epochs))

    @property
    def peak_bytes(self) -> int | None:
        """Highest memory of the main process; None where nothing is recorded."""
        known = [int(epoch["peak_bytes"]) for epoch in self.epochs]
        return max([*known, *([] if self.ledger is None else [self.ledger.peak_bytes])], default=None)

    def track(self, name: str) -> list[tuple[int, float]]:
        """A figure by epoch, counted from one; epochs without it are left out."""
        return [(epoch["epoch"] + 1, epoch[name]) for epoch in self.epochs if epoch.get(name) is not None]


def progress_of(run: RunFolder, now: float) -> RunProgress:
    """Read a run.

    Args:
        run: Its folder.
        now: Seconds since 1970, to tell a run that goes on from one that was interrupted.

    Raises:
        DataError: If the folder holds no run.
        FormatError: If its settings or its ledger are damaged or not this version's.
    """
    record = run.record()
    epochs = tuple(_finite(each) for each in read_metrics(run.path / METRICS))
    finished = RunProgress(
        name=run.path.resolve().name,
        record=record,
        condition=Condition.FINISHED,
        epochs=epochs,
        ledger=load_ledger(run.path),
    )
    result = run.path / (GENOTYPE if record.kind == "search" else WEIGHTS)
    if result.is_file():
        return finished
    patience = max(_SILENCE_SECONDS, 2 * max(finished.epoch_seconds, default=0.0))
    goes_on = now - _last_sign(run) < patience
    return replace(finished, condition=Condition.RUNNING if goes_on else Condition.INTERRUPTED)


def version_of(run: RunFolder, now: float) -> str:
    """Something that differs as soon as a page of the run would; takes what :func:`progress_of` does."""
    stats = {
        path.name: path.stat() for path in _written(run, (RUN, METRICS, LEDGER, GENOTYPE, WEIGHTS, EVALUATION, GAP))
    }
    files = {name: (stat.st_mtime_ns, stat.st_size) for name, stat in stats.items()}
    return sha256_of(repr((files, progress_of(run, now).condition)).encode())


def _last_sign(run: RunFolder) -> float:
    return max(path.stat().st_mtime for path in _written(run, (RUN, METRICS, LEDGER)))


def _written(run: RunFolder, names: Iterable[str]) -> list[Path]:
    return [path for path in (run.path / name for name in names) if path.is_file()]


def _finite(value: Any) -> Any:
    """The same without infinities and NaNs, which JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list) else value
