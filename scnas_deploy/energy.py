"""Energy counters of processors and GPUs, read where the system lets us. Torch-free."""

import importlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

_POWERCAP: Final = Path("/sys/class/powercap")
_MICROJOULES: Final = 1e-6
_MILLIJOULES: Final = 1e-3


class ProcessorEnergy:
    """Joules of the processor packages and their memory since this counter was made, by Linux' RAPL.

    All of the machine counts, other programs included. The hardware's counters wrap around after minutes to hours
    at full load (``max_energy_range_uj``): :meth:`joules` has to be called at least that often. Zones that lie
    within another one (cores, graphics) and the whole platform (psys) are left out, so that nothing counts twice.

    Args:
        folder: The kernel's power capping folder.

    Reference:
        Linux kernel documentation, Documentation/power/powercap/powercap.rst.
    """

    def __init__(self, folder: Path = _POWERCAP) -> None:
        self._zones = [zone for zone in sorted(folder.glob("intel-rapl:*")) if _counts(zone)]
        self._last = self._read()
        self._joules = 0.0

    def joules(self) -> float | None:
        """Return the energy so far; None where there are no counters or they may not be read."""
        now = self._read()
        if now is None or self._last is None:
            return None
        for (count, limit), (before, _) in zip(now, self._last, strict=True):
            self._joules += (count - before + (limit if count < before else 0)) * _MICROJOULES
        self._last = now
        return self._joules

    def _read(self) -> list[tuple[int, int]] | None:
        """Count and range of each zone in microjoules."""
        try:
            return [
                (_number(zone / "energy_uj"), _number(zone / "max_energy_range_uj")) for zone in self._zones
            ] or None
        except (OSError, ValueError):  # since Linux 5.10 only root may read them
            return None


def _counts(zone: Path) -> bool:
    try:
        name = (zone / "name").read_text().strip()
    except OSError:
        return False
    return name.startswith("package") or name == "dram"


def _number(path: Path) -> int:
    return int(path.read_text())


class GpuEnergy:
    """Joules of GPUs since this counter was made, by NVIDIA's management library where its Python package is there.

    Args:
        uuids: The GPUs; other programs' share of them counts too.
        nvml: The module ``pynvml`` (package nvidia-ml-py).
    """

    def __init__(self, uuids: Sequence[str], nvml: Any) -> None:
        self._uuids, self._nvml = uuids, nvml
        self._start = self._read()

    def joules(self) -> float | None:
        """Return the energy so far; None where a GPU does not count it (before Volta)."""
        now = self._read()
        return None if now is None or self._start is None else (now - self._start) * _MILLIJOULES

    def _read(self) -> int | None:
        nvml = self._nvml
        try:
            nvml.nvmlInit()
            handles = [nvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in self._uuids]
            return sum(int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) for handle in handles)
        except nvml.NVMLError:
            return None


def processor_joules() -> Callable[[], float | None]:
    """Start counting this machine's processors."""
    return ProcessorEnergy().joules


def gpu_joules(uuids: Sequence[str]) -> Callable[[], float | None]:
    """Start counting GPUs, named by UUID; without any, or without pynvml, the answer is always None."""
    if not uuids or find_spec("pynvml") is None:
        return lambda: None
    return GpuEnergy(uuids, importlib.import_module("pynvml")).joules


def gpu_uuids() -> list[str]:
    """Return the GPUs of this machine that NVIDIA's library sees; none without pynvml or without a driver."""
    if find_spec("pynvml") is None:
        return []
    nvml: Any = importlib.import_module("pynvml")
    try:
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        return [str(nvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    except nvml.NVMLError:
        return []
