"""Energy counters, on fake ones: neither powercap nor a GPU can be asked for in a test."""

import sys

import pytest

from scnas_deploy import energy
from scnas_deploy.energy import GpuEnergy, ProcessorEnergy, gpu_joules, gpu_uuids

LIMIT_UJ = 1_000_000_000


def make_zone(folder, zone, name, energy_uj):
    (folder / zone).mkdir(parents=True, exist_ok=True)
    (folder / zone / "name").write_text(f"{name}\n")
    (folder / zone / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / zone / "max_energy_range_uj").write_text(f"{LIMIT_UJ}\n")


@pytest.fixture
def fake_powercap(tmp_path):
    """Two packages, one with memory and cores, and the whole platform, as the kernel lists them."""
    make_zone(tmp_path, "intel-rapl:0", "package-0", 100_000_000)
    make_zone(tmp_path, "intel-rapl:0:0", "core", 50_000_000)
    make_zone(tmp_path, "intel-rapl:0:1", "dram", 10_000_000)
    make_zone(tmp_path, "intel-rapl:1", "package-1", 900_000_000)
    make_zone(tmp_path, "intel-rapl:2", "psys", 5_000_000)
    return tmp_path


def test_on_fake_sysfs_packages_and_memory_count_and_what_lies_within_them_does_not(fake_powercap):
    counter = ProcessorEnergy(fake_powercap)
    make_zone(fake_powercap, "intel-rapl:0", "package-0", 130_000_000)
    make_zone(fake_powercap, "intel-rapl:0:0", "core", 70_000_000)
    make_zone(fake_powercap, "intel-rapl:0:1", "dram", 12_000_000)
    make_zone(fake_powercap, "intel-rapl:2", "psys", 99_000_000)
    assert counter.joules() == pytest.approx(32)


def test_on_fake_sysfs_a_counter_that_wraps_around_goes_on(fake_powercap):
    counter = ProcessorEnergy(fake_powercap)
    make_zone(fake_powercap, "intel-rapl:1", "package-1", 20_000_000)
    assert counter.joules() == pytest.approx(120)
    make_zone(fake_powercap, "intel-rapl:1", "package-1", 30_000_000)
    assert counter.joules() == pytest.approx(130)


def test_on_fake_sysfs_what_may_not_be_read_is_not_known(fake_powercap):
    counter = ProcessorEnergy(fake_powercap)
    (fake_powercap / "intel-rapl:0" / "energy_uj").unlink()
    (fake_powercap / "intel-rapl:0" / "energy_uj").mkdir()  # unreadable, to root as well
    assert counter.joules() is None


def test_without_counters_nothing_is_known(tmp_path):
    assert ProcessorEnergy(tmp_path / "none").joules() is None
    assert ProcessorEnergy(tmp_path).joules() is None


class FakeNvml:
    """Two GPUs; one does not count its energy."""

    class NVMLError(Exception):
        pass

    def __init__(self):
        self.millijoules = {"GPU-a": 1000}

    def nvmlInit(self):  # noqa: N802 (the library's names)
        pass

    def nvmlDeviceGetCount(self):  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return ("GPU-a", "GPU-old")[index]

    def nvmlDeviceGetUUID(self, handle):  # noqa: N802
        return handle

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
        if handle not in self.millijoules:
            raise self.NVMLError
        return self.millijoules[handle]


def test_on_a_fake_gpu_joules_count_from_the_start():
    nvml = FakeNvml()
    counter = GpuEnergy(["GPU-a"], nvml)
    nvml.millijoules["GPU-a"] += 2500
    assert counter.joules() == pytest.approx(2.5)


def test_a_fake_gpu_that_does_not_count_makes_the_sum_unknown():
    assert GpuEnergy(["GPU-a", "GPU-old"], FakeNvml()).joules() is None


def test_on_fake_gpus_all_of_them_are_found_and_none_without_the_library(monkeypatch):
    monkeypatch.setattr(energy, "find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    assert gpu_uuids() == ["GPU-a", "GPU-old"]
    assert gpu_joules(["GPU-a"])() == 0
    monkeypatch.setattr(energy, "find_spec", lambda name: None)
    assert gpu_uuids() == []
    assert gpu_joules(["GPU-a"])() is None


def test_on_a_fake_machine_without_a_driver_there_are_no_gpus(monkeypatch):
    class NoDriverFake(FakeNvml):
        def nvmlInit(self):  # noqa: N802
            raise self.NVMLError

    monkeypatch.setattr(energy, "find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "pynvml", NoDriverFake())
    assert gpu_uuids() == []
