"""How much memory a process has taken."""

import contextlib
import re
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc/self")
_FORGET_THE_PEAK: Final = "5"


class ResidentPeak:
    """The highest resident memory of this process above what it had when this was made. Linux alone.

    The kernel's high-water mark is that of the program, while getrusage's starts from the process that started it.

    Reference:
        Linux manual pages proc_pid_clear_refs(5), proc_pid_status(5).
    """

    def __init__(self) -> None:
        with contextlib.suppress(OSError):  # where this may not be written, an earlier peak counts
            (_PROC / "clear_refs").write_text(_FORGET_THE_PEAK)
        self._start = _bytes("VmRSS")

    def bytes(self) -> int | None:
        """Return it in bytes; None where the system does not tell."""
        highest = _bytes("VmHWM")
        return None if highest is None or self._start is None else highest - self._start


def _bytes(field: str) -> int | None:
    try:
        status = (_PROC / "status").read_text()
    except OSError:
        return None
    found = re.search(rf"^{field}:\s*(\d+) kB", status, re.MULTILINE)
    return None if found is None else int(found[1]) * 1024
