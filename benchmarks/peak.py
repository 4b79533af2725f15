"""The highest resident memory of a process, for benchmarks."""

import resource
import threading
from pathlib import Path


class PeakResident:
    """Highest resident memory above that at entry: sampled, and the kernel's own high-water mark."""

    above_start = 0

    def __enter__(self) -> "PeakResident":
        self._start = self._highest = _resident()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        high_water = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.above_start = max(self._highest, high_water) - self._start

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self._highest = max(self._highest, _resident())


def _resident() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize()
