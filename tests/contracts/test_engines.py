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
from scnas_deploy.inference.engines.openvino import OpenVinoEngine
from scnas_deploy.inference.engines.pytorch import TorchEngine
from scnas_deploy.inference.engines.triton import TritonEngine
from scnas_deploy.inference.package import open_package

DEPLOYED = {"onnxruntime": OnnxRuntimeEngine, "openvino": OpenVinoEngine}
HALF = "onnxruntime in half precision"

TOLERANCE = {"float32": (1e-2, 0.9999), "float16": (0.2, 0.998)}
"""Largest difference of a logit from PyTorch's, and label agreement. The network is untrained, its labels undecided."""


@pytest.fixture(scope="module")
def opened(exported, triton):
    package = open_package(exported.package)
    engines = {name: kind(package.model) for name, kind in DEPLOYED.items()}
    engines[HALF] = OnnxRuntimeEngine(to_half(package.model), precision="float16")
    engines["triton"] = TritonEngine(triton.url("phantom"), package.models)
    return {**engines, "pytorch": TorchEngine(copy.deepcopy(exported.network))}


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
    assert kind in {*DEPLOYED, "triton", "pytorch"}
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


@pytest.mark.parametrize("name", list(DEPLOYED))
def test_the_number_of_threads_changes_no_label(name, exported, batch, reference):
    logits = DEPLOYED[name](open_package(exported.package).model, num_threads=1).run(batch[:1])
    np.testing.assert_allclose(logits, reference[:1], rtol=0, atol=1e-2)


@pytest.mark.parametrize("name", list(DEPLOYED))
@pytest.mark.parametrize("model", [b"", b"not a network", bytes(10_000)])
def test_bytes_that_are_no_network_are_an_engine_error(name, model):
    with pytest.raises(EngineError, match=rf"{name} .*expected a loadable ONNX model"):
        DEPLOYED[name](model)


@pytest.mark.parametrize("name", list(DEPLOYED))
def test_a_truncated_network_is_an_engine_error(name, exported):
    model = open_package(exported.package).model
    with pytest.raises(EngineError, match=rf"{name} "):
        DEPLOYED[name](model[: len(model) // 2])


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
