"""What every engine promises, checked on the exported package."""

import copy
import subprocess
import sys

import numpy as np
import pytest

from scnas_deploy.errors import EngineError
from scnas_deploy.export.half import to_half
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.engines.onnxruntime import OnnxRuntimeEngine
from scnas_deploy.inference.engines.pytorch import TorchEngine
from scnas_deploy.inference.engines.select import installed_engines, open_engine
from scnas_deploy.inference.inputs import InputRange
from scnas_deploy.inference.package import open_package
from tests.inference.tensorrt.cuda_fake import CudaFake
from tests.inference.tensorrt.tensorrt_fake import fake_gpu

ON_THE_CPU = ("onnxruntime", "openvino")
ON_A_GPU = ("tensorrt", "onnxruntime-cuda", "onnxruntime-tensorrt")
DEPLOYED = (*ON_THE_CPU, "tensorrt-on-a-fake", *(pytest.param(name, marks=pytest.mark.gpu) for name in ON_A_GPU))

HALF = "onnxruntime in half precision"

TOLERANCE = {"float32": (1e-2, 0.9999), "float16": (0.2, 0.998)}
"""Largest difference of a logit from PyTorch's, and label agreement. The network is untrained, its labels undecided."""

INPUTS = InputRange(least=(1, 1, 24, 24, 24), usual=(3, 1, 24, 24, 24), most=(4, 1, 24, 24, 24))


class TensorRtOnAFake:
    """TensorRT's engine, with the fake library and GPU around each of its calls."""

    def __init__(self, model: bytes) -> None:
        self._cuda = CudaFake()
        with fake_gpu(self._cuda):
            self._engine = opened = open_engine({"float32": model}, "tensorrt", inputs=INPUTS).engine
        self.name, self.precision, self.device = opened.name, opened.precision, opened.device
        self.preferred_batch, self.concurrency = opened.preferred_batch, opened.concurrency

    def run(self, patches_BCXYZ):
        with fake_gpu(self._cuda):
            return self._engine.run(patches_BCXYZ)


def open_deployed(name: str, model: bytes, num_threads: int | None = None) -> Engine:
    """Open an engine by the name that a test has for it."""
    if name == "tensorrt-on-a-fake":
        return TensorRtOnAFake(model)
    if name in ON_A_GPU and name not in installed_engines(built=True):
        pytest.skip(f"{name} or an NVIDIA GPU is not here")
    return open_engine({"float32": model}, name, num_threads=num_threads, inputs=INPUTS).engine


@pytest.fixture(scope="module", autouse=True)
def _cache_of_its_own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCNAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def opened(exported, request):
    """Engines by name, each opened when it is first asked for."""
    models = open_package(exported.package).models

    class Opened(dict):
        def __missing__(self, name: str) -> Engine:
            if name == HALF:
                self[name] = OnnxRuntimeEngine(to_half(models["float32"]), precision="float16")
                return self[name]
            address = request.getfixturevalue("triton").url("phantom") if name == "triton" else name
            self[name] = open_deployed(address, models["float32"])
            return self[name]

    return Opened(pytorch=TorchEngine(copy.deepcopy(exported.network)))


@pytest.fixture(params=[*DEPLOYED, HALF, "triton", "pytorch"])
def engine(request, opened):
    return opened[request.param]


@pytest.fixture(params=[*DEPLOYED, HALF, "triton"])
def deployed(request, opened):
    return opened[request.param]


@pytest.fixture(scope="module")
def batch(exported):
    return np.concatenate(exported.patches[:3])


@pytest.fixture(scope="module")
def reference(opened, batch):
    """PyTorch's answer, one patch a call."""
    return np.concatenate([opened["pytorch"].run(patch[None]) for patch in batch])


def assert_near(logits, wanted, engine):
    """Check an engine's logits against PyTorch's, as closely as its precision allows."""
    error, agreement = TOLERANCE[engine.precision]
    np.testing.assert_allclose(logits, wanted, rtol=0, atol=error)
    assert (logits.argmax(axis=1) == wanted.argmax(axis=1)).mean() >= agreement


def test_it_is_an_engine_and_says_what_it_runs_on(engine):
    assert isinstance(engine, Engine)
    kind, version = engine.name.split(" ", 1)
    assert kind in {*ON_THE_CPU, *ON_A_GPU, "triton", "pytorch"}
    assert version[0].isdigit()
    assert engine.precision in TOLERANCE
    assert engine.device in {"CPU", "CUDA"} or kind == "triton"
    assert engine.preferred_batch >= 1


@pytest.mark.parametrize("size", [1, 3])
def test_any_batch_gives_pytorchs_answer_for_each_of_its_patches(size, engine, batch, reference):
    logits = engine.run(batch[:size])
    assert logits.shape == (size, 3, 24, 24, 24)
    assert logits.dtype == np.float32
    assert_near(logits, reference[:size], engine)
    assert len(np.unique(reference.argmax(axis=1))) > 1


def test_every_real_patch_has_pytorchs_labels(deployed, opened, exported):
    pairs = [(deployed.run(patch).argmax(axis=1), opened["pytorch"].run(patch).argmax(axis=1))
             for patch in exported.patches]  # fmt: skip
    assert np.mean([(ours == theirs).mean() for ours, theirs in pairs]) >= TOLERANCE[deployed.precision][1]


def test_the_order_within_a_batch_is_kept(engine, batch):
    np.testing.assert_allclose(engine.run(batch[::-1].copy()), engine.run(batch)[::-1], rtol=0, atol=1e-4)


def test_an_answer_is_not_overwritten_by_the_next_call(engine, batch):
    first = engine.run(batch[:1])
    kept = first.copy()
    second = engine.run(batch[1:2])
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, kept)


def test_the_patches_are_left_as_they_are(engine, batch):
    given = batch.copy()
    engine.run(given)
    np.testing.assert_array_equal(given, batch)


def test_patches_that_are_not_contiguous_are_read_right(engine, batch):
    np.testing.assert_allclose(engine.run(np.asfortranarray(batch)), engine.run(batch), rtol=0, atol=1e-4)


def test_the_same_patch_gets_the_same_answer_each_time(engine, batch):
    np.testing.assert_array_equal(engine.run(batch[:1]), engine.run(batch[:1]))


@pytest.mark.parametrize("name", ON_THE_CPU)
def test_the_number_of_threads_changes_no_label(name, exported, batch, reference):
    logits = open_deployed(name, open_package(exported.package).model, num_threads=1).run(batch[:1])
    np.testing.assert_allclose(logits, reference[:1], rtol=0, atol=1e-2)


@pytest.mark.parametrize("name", DEPLOYED)
@pytest.mark.parametrize("model", [b"", b"not a network", bytes(10_000)])
def test_bytes_that_are_no_network_are_an_engine_error(name, model):
    with pytest.raises(EngineError, match=rf"{name.removesuffix('-on-a-fake')} .*expected a loadable ONNX model"):
        open_deployed(name, model)


@pytest.mark.parametrize("name", DEPLOYED)
def test_a_truncated_network_is_an_engine_error(name, exported):
    model = open_package(exported.package).model
    with pytest.raises(EngineError, match=rf"{name.removesuffix('-on-a-fake')} "):
        open_deployed(name, model[: len(model) // 2])


def test_a_channel_too_many_is_an_engine_error(engine):
    with pytest.raises(EngineError, match="expected patches the model can take"):
        engine.run(np.zeros((1, 2, 24, 24, 24), dtype=np.float32))


@pytest.mark.parametrize("shape", [(16, 16, 16), (24, 24, 32)])
def test_another_patch_size_than_the_exported_one_is_an_engine_error(shape, deployed):
    with pytest.raises(EngineError, match="expected patches the model can take"):
        deployed.run(np.zeros((1, 1, *shape), dtype=np.float32))


ON_ONE_CORE = """
import os, sys
from pathlib import Path
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import numpy as np
from scnas_deploy.inference.engines.openvino import OpenVinoEngine
from scnas_deploy.inference.package import open_package
OpenVinoEngine(open_package(Path(sys.argv[1])).model).run(np.zeros((1, 1, 16, 16, 16), dtype=np.float32))
"""


def test_another_patch_size_is_an_engine_error_on_a_single_core(exported):
    """There OpenVINO itself checks nothing: it answers with another patch's voxels, or crashes."""
    command = [sys.executable, "-c", ON_ONE_CORE, str(exported.package)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "EngineError" in ended.stderr.splitlines()[-1]


def test_an_engine_goes_on_working_after_a_refusal(engine, batch, reference):
    with pytest.raises(RuntimeError):
        engine.run(np.zeros((1, 2, 24, 24, 24), dtype=np.float32))
    assert_near(engine.run(batch[:1]), reference[:1], engine)
