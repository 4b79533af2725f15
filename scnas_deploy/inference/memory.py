"""What memory there is, and what a piece of work took at its peak."""

from pathlib import Path
from typing import Final

_PROCESS: Final = Path("/proc/self/status")
_RESET_PEAK: Final = Path("/proc/self/clear_refs"), "5"
"""Linux since 4.0: sets a process' highest resident memory to what is resident now (proc(5))."""

_MACHINE: Final = Path("/proc/meminfo")
_LIMITS: Final = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
"""Limit and use of a container, cgroup version 2 and 1."""


def available_bytes() -> int | None:
    """Memory that can be taken without swapping: the machine's, or the container's where that is less.

    None where the system does not tell.
    """
    left = [_kilobytes(_MACHINE, "MemAvailable"), *(_left(limit, use) for limit, use in _LIMITS)]
    known = [each for each in left if each is not None]
    return min(known) if known else None


def resident_bytes() -> int | None:
    """Memory of this process that is resident now; None where the system does not tell."""
    return _kilobytes(_PROCESS, "VmRSS")


class PeakMemory:
    """Measures the highest resident memory between two points, above that at the first one.

    The figure is the whole process': what other threads take meanwhile is in it.
    """

    def __init__(self) -> None:
        path, text = _RESET_PEAK
        try:
            path.write_text(text)
        except OSError:
            self._start = None
        else:
            self._start = resident_bytes()

    def above_start(self) -> int | None:
        """Bytes; None where the system does not tell."""
        peak = _kilobytes(_PROCESS, "VmHWM")
        return None if self._start is None or peak is None else max(0, peak - self._start)


def _left(limit: Path, use: Path) -> int | None:
    try:
        return max(0, int(limit.read_text()) - int(use.read_text()))
    except (OSError, ValueError):  # no such file, or the limit 'max'
        return None


def _kilobytes(path: Path, field: str) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    found = next((line.split()[1] for line in lines if line.startswith(f"{field}:")), None)
    return None if found is None else 1024 * int(found)
