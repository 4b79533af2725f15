"""Writing metrics.jsonl and TensorBoard events of a run."""

import json
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from scnas_deploy.files import write_text
from scnas_deploy.training.metrics_log import METRICS, read_metrics


class MetricsLog:
    """One JSON object an epoch.

    Args:
        folder: The run folder.
        first_epoch: Records of this epoch and later are dropped: they belong to work that a checkpoint has
            not kept and that will be done again.
    """

    def __init__(self, folder: Path, *, first_epoch: int) -> None:
        self._path = folder / METRICS
        kept = [record for record in read_metrics(self._path) if record["epoch"] < first_epoch]
        write_text(self._path, "".join(json.dumps(record) + "\n" for record in kept))
        self._events = SummaryWriter(str(folder / "events"), purge_step=first_epoch)

    def append(self, record: dict[str, Any]) -> None:
        """Add an epoch's figures; ``record`` has an ``epoch``."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        for name, value in record.items():
            if name != "epoch" and isinstance(value, int | float):
                self._events.add_scalar(name, value, record["epoch"])
        self._events.flush()

    def close(self) -> None:
        """Close the event file."""
        self._events.close()
