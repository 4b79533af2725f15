"""What memory there is, and what a piece of work took at its peak."""

from pathlib import Path
from typing import Final

from scnas_deploy.inference.control_groups import group_bytes_left

_PROCESS: Final = Path("/proc/self/status")
_RESET_PEAK: Final = Path("/proc/self/clear_refs"), "5"
"""Linux since 4.0: sets a process' highest resident memory to what is resident now (proc(5))."""

_MACHINE: Final = Path("/proc/meminfo")


def available_bytes() -> int | None:
    """Memory that can be taken without swapping: the machine's, or what a container's limits leave where that is less.

    None where the system does not tell.
    """
    known = [each for each in (_kilobytes(_MACHINE, "MemAvailable"), group_bytes_left()) if each is not None]
    return min(known, default=None)


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


def _kilobytes(path: Path, field: str) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    found = next((line.split()[1] for line in lines if line.startswith(f"{field}:")), None)
    return None if found is None else 1024 * int(found)
