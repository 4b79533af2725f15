"""metrics.jsonl: what each epoch of a run has recorded. Torch-free."""

import json
from pathlib import Path
from typing import Any, Final

METRICS: Final = "metrics.jsonl"

CLOCK_FIELDS = ("seconds", "peak_bytes")
"""Fields that differ between two runs with the same seed."""


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
