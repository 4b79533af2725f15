"""What is said to be there is there."""

import subprocess
import sys

import pytest

from scnas_deploy.inference.engines import hardware


class DriverFake:
    """NVIDIA's driver, as far as it is asked."""

    def __init__(self, *, started: int = 0, gpus: int = 1) -> None:
        self.started, self.gpus = started, gpus

    def cuInit(self, flags):  # noqa: N802
        return self.started

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = self.gpus
        return 0


@pytest.fixture
def driver(monkeypatch):
    """Pretend that the driver is this one."""
    hardware.has_gpu.cache_clear()
    yield lambda fake: monkeypatch.setattr(hardware.ctypes, "CDLL", lambda name: fake)
    hardware.has_gpu.cache_clear()


@pytest.mark.parametrize(
    ("fake", "there"),
    [(DriverFake(), True), (DriverFake(gpus=0), False), (DriverFake(started=100), False)],
    ids=["a GPU", "none visible", "no device"],
)
def test_a_gpu_is_what_the_driver_shows(fake, there, driver):
    driver(fake)
    assert hardware.has_gpu() is there


def test_without_a_driver_there_is_no_gpu(monkeypatch, driver):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(hardware.ctypes, "CDLL", missing)
    assert not hardware.has_gpu()


def test_asking_imports_no_library_of_an_engine():
    code = """
import sys
from scnas_deploy.inference.engines.select import installed_engines
installed_engines(built=True)
print([name for name in ("onnxruntime", "openvino", "tensorrt", "cuda", "torch") if name in sys.modules])
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
