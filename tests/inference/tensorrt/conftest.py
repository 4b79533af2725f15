"""A fake GPU, and a network to build for it."""

from pathlib import Path

import pytest

from scnas_deploy.inference.inputs import InputRange, input_range
from scnas_deploy.inference.package import ModelPackage, open_package
from scnas_deploy.inference.tensorrt.cache import EngineCache
from tests.inference.tensorrt.tensorrt_fake import fake_gpu


@pytest.fixture
def gpu():
    """A machine with a GPU and TensorRT: the fake ones."""
    with fake_gpu() as trt:
        yield trt


@pytest.fixture(scope="session")
def package(exported) -> ModelPackage:
    return open_package(exported.package)


@pytest.fixture(scope="session")
def inputs(package) -> InputRange:
    return input_range(package.plan, package.genotype.architecture)


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")
