"""metrics.jsonl and TensorBoard events of a run."""

import json
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from scnas_deploy.files import write_text

CLOCK_FIELDS = ("seconds", "peak_bytes")
"""Fields that differ between two runs with the same seed."""


class MetricsLog:
    """One JSON object an epoch.

    Args:
        folder: The run folder.
        first_epoch: Records of this epoch and later are dropped: they belong to work that a checkpoint has
            not kept and that will be done again.
    """

    def __init__(self, folder: Path, *, first_epoch: int) -> None:
        self._path = folder / "metrics.jsonl"
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


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read the records; a line cut off by a kill is left out."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records
