"""TensorRT's engine: built once, kept, opened again, and never run where it does not belong."""

import gc
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest

from scnas_deploy.errors import EngineError
from scnas_deploy.inference.canary import check_canary
from scnas_deploy.inference.engines.onnxruntime import OnnxRuntimeEngine
from scnas_deploy.inference.engines.tensorrt import TensorRtEngine, open_tensorrt
from scnas_deploy.inference.inputs import InputRange
from scnas_deploy.inference.tensorrt.builder import build
from scnas_deploy.inference.tensorrt.cache import EngineCache
from scnas_deploy.inference.tensorrt.library import Library
from scnas_deploy.inference.tensorrt.runtime import LoadedEngine
from tests.inference.tensorrt.cuda_fake import SUCCESS, CudaFake, Status
from tests.inference.tensorrt.tensorrt_fake import ContextFake, EngineOfTensorRtFake, fake_gpu

PATCH = (1, 24, 24, 24)


@pytest.fixture
def opened(gpu, package, inputs, cache):
    return open_tensorrt(package.model, precision="float32", inputs=inputs, cache=cache)


@pytest.fixture(scope="module")
def patches():
    return np.random.default_rng(0).standard_normal((5, *PATCH), dtype=np.float32)


@pytest.fixture(scope="module")
def answer(package, patches):
    return OnnxRuntimeEngine(package.model, num_threads=1).run(patches)


def test_it_answers_as_the_network_does(opened, patches, answer):
    assert (opened.name, opened.device) == ("tensorrt 11.4.0.106", "CUDA")
    np.testing.assert_array_equal(opened.run(patches), answer)


def test_an_engine_is_built_once_and_then_taken_from_the_cache(gpu, package, inputs, cache, patches, caplog):
    for _ in range(2):
        engine = open_tensorrt(package.model, precision="float32", inputs=inputs, cache=cache)
    assert len(gpu.builds) == 1
    assert engine.run(patches[:1]).shape == (1, 3, 24, 24, 24)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Building a TensorRT engine for NVIDIA Fake" in caplog.text


@pytest.mark.parametrize("gpu_name", [("NVIDIA Fake", 9, 0), ("NVIDIA Other", 8, 9)])
def test_another_gpu_gets_an_engine_of_its_own(gpu_name, opened, package, inputs, cache, patches, answer):
    with fake_gpu(CudaFake(gpu_name)) as other:
        engine = open_tensorrt(package.model, precision="float32", inputs=inputs, cache=cache)
        assert len(other.builds) == 1
        np.testing.assert_array_equal(engine.run(patches), answer)


def test_another_version_of_tensorrt_builds_again(opened, package, inputs, cache):
    with fake_gpu(version="11.5.0.2") as other:
        engine = open_tensorrt(package.model, precision="float32", inputs=inputs, cache=cache)
        assert len(other.builds) == 1
        assert engine.name == "tensorrt 11.5.0.2"


def test_a_damaged_engine_is_built_again_and_said_to_be(gpu, opened, package, inputs, cache, caplog):
    (path,) = cache.folder.glob("*.engine")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    open_tensorrt(package.model, precision="float32", inputs=inputs, cache=cache)
    assert "cannot be used, it is built again" in caplog.text
    assert "the file was changed" in caplog.text
    assert path.read_bytes() == whole
    assert len(gpu.builds) == 2


def test_a_kept_engine_that_tensorrt_will_not_load_is_built_again(gpu, opened, package, inputs, cache, caplog):
    """As after another driver: the key is right, the library says no."""
    (path,) = cache.folder.glob("*.engine")
    whole = path.read_bytes()
    with fake_gpu(CudaFake(("NVIDIA Other", 9, 0))):
        foreign = build(Library(), package.model, inputs).plan
    from scnas_deploy.inference.tensorrt.cache import EngineHeader

    key = EngineHeader.model_validate_json(whole.split(b"\n")[0]).key
    cache.keep(key, foreign)
    open_tensorrt(package.model, precision="float32", inputs=inputs, cache=cache)
    assert "found Using an engine plan file across different models of devices" in caplog.text
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({"cuda": CudaFake(("NVIDIA Other", 9, 0))}, "across different models of devices"),
        ({"version": "11.5.0.2"}, "Version tag does not match"),
    ],
)
def test_a_plan_of_another_gpu_or_version_is_refused_with_tensorrts_own_words(made, says, gpu, package, inputs):
    with fake_gpu(**made):
        plan = build(Library(), package.model, inputs).plan
    with pytest.raises(EngineError, match=rf"an engine that TensorRT can load, found .*{says}.*scnas export --trt"):
        LoadedEngine(Library(), plan)


def test_a_plan_that_is_none_is_refused(gpu):
    with pytest.raises(EngineError, match="Magic tag does not match"):
        LoadedEngine(Library(), b"not a plan")


def test_a_network_of_half_precision_at_its_ends_is_refused(gpu, inputs):
    """Patches and logits are float32 with every precision."""
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT16, ["b", *PATCH]) for name in "xy"]
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "half", value[:1], value[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    plan = build(Library(), model.SerializeToString(), inputs).plan
    with pytest.raises(EngineError, match="one input and one output of float32"):
        LoadedEngine(Library(), plan)


def test_a_cache_that_cannot_be_written_costs_only_the_next_build(gpu, package, inputs, small_disk, caplog, patches):
    cache = EngineCache(small_disk / "engines")
    engine = open_tensorrt(package.model, precision="float32", inputs=inputs, cache=cache)
    assert engine.run(patches[:1]).shape[0] == 1
    assert "The engine is not kept for the next time" in caplog.text


def test_a_batch_larger_than_built_for_is_answered_in_parts(gpu, package, patches, answer):
    inputs = InputRange(least=(1, *PATCH), usual=(2, *PATCH), most=(2, *PATCH))
    library = Library()
    engine = TensorRtEngine(
        LoadedEngine(library, build(library, package.model, inputs).plan), inputs, precision="float32"
    )
    assert engine.preferred_batch == 2
    np.testing.assert_allclose(engine.run(patches), answer, rtol=0, atol=1e-5)


def test_calls_from_several_threads_do_not_meet(opened, patches, answer):
    def ask(number):
        return opened.run(patches[number % 5][None])

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(20)))
    for number, logits in enumerate(answers):
        np.testing.assert_array_equal(logits[0], answer[number % 5])


def test_as_many_calls_run_at_a_time_as_it_says(opened, patches, monkeypatch):
    """Each of two calls waits for the other to have begun; a third would have to wait its turn."""
    meeting = threading.Barrier(opened.concurrency)
    execute = ContextFake.execute_async_v3

    def meet(context, stream_handle):
        meeting.wait(timeout=30)
        return execute(context, stream_handle)

    monkeypatch.setattr(ContextFake, "execute_async_v3", meet)
    assert opened.concurrency == 2
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(opened.run, [patches[:1]] * 4))) == 4


def test_all_that_was_taken_is_given_back(gpu, package, inputs, cache, patches):
    engine = open_tensorrt(package.model, precision="float32", inputs=inputs, cache=cache)
    engine.run(patches)
    assert gpu.cuda.device
    del engine
    gc.collect()
    assert (gpu.cuda.device, gpu.cuda.pinned, gpu.cuda.streams) == ({}, {}, {})


@pytest.mark.parametrize("allocations", [0, 1, 2, 3])
def test_too_little_memory_is_an_error_and_what_was_taken_serves_a_smaller_batch(allocations, gpu, opened, patches):
    gpu.cuda.allocations_left = allocations
    with pytest.raises(EngineError, match="enough free memory on the GPU"):
        opened.run(patches)
    gpu.cuda.allocations_left = None
    assert opened.run(patches[:1]).shape[0] == 1


def test_no_memory_for_a_context_is_an_error(gpu, package, inputs, cache, monkeypatch):
    monkeypatch.setattr(EngineOfTensorRtFake, "create_execution_context", lambda _: None)
    with pytest.raises(EngineError, match="enough memory on the GPU for a context"):
        open_tensorrt(package.model, precision="float32", inputs=inputs, cache=cache)
    assert gpu.cuda.streams == {}


def test_where_there_is_memory_for_one_context_calls_go_one_by_one(
    opened, package, inputs, cache, patches, monkeypatch
):
    create, made = EngineOfTensorRtFake.create_execution_context, []

    def create_one(engine):
        made.append(1)
        return create(engine) if len(made) == 1 else None

    monkeypatch.setattr(EngineOfTensorRtFake, "create_execution_context", create_one)
    engine = open_tensorrt(package.model, precision="float32", inputs=inputs, cache=cache)
    assert (opened.concurrency, engine.concurrency) == (2, 1)
    np.testing.assert_array_equal(engine.run(patches[:1]), opened.run(patches[:1]))


def test_a_failure_on_the_gpu_is_an_error_of_that_call(gpu, opened, patches, answer):
    gpu.cuda.failure = Status.cudaErrorIllegalAddress
    with pytest.raises(EngineError, match="cudaErrorIllegalAddress"):
        opened.run(patches)
    gpu.cuda.failure = SUCCESS
    np.testing.assert_array_equal(opened.run(patches), answer)


def test_a_network_that_will_not_run_is_an_error(opened, patches, monkeypatch):
    monkeypatch.setattr(ContextFake, "execute_async_v3", lambda self, stream_handle: False)
    with pytest.raises(EngineError, match="expected a network that runs"):
        opened.run(patches)


@pytest.mark.parametrize("wrong", [np.nan, 0.0], ids=["NaN", "background alone"])
def test_an_engine_that_answers_nonsense_fails_the_canary(wrong, opened, package, monkeypatch):
    """What half-precision engines of other tools have answered."""
    check_canary(opened, package.canary)
    nonsense = np.full_like(package.canary.logits_BKXYZ, wrong)
    nonsense[:, 0] += 10
    monkeypatch.setattr("scnas_deploy.inference.tensorrt.runtime.Lane.run", lambda *_: nonsense)
    with pytest.raises(EngineError, match=r"tensorrt .*expected the package's canary answer"):
        check_canary(opened, package.canary)


def whole_volume_network() -> bytes:
    """Two classes of one channel, on volumes of any size."""
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["b", channels, "x", "y", "z"])
        for name, channels in (("image", 1), ("logits", 2))
    ]
    weights = onnx.numpy_helper.from_array(np.ones((2, 1, 3, 3, 3), dtype=np.float32), "weights")
    node = onnx.helper.make_node("Conv", ["image", "weights"], ["logits"], pads=[1] * 6)
    graph = onnx.helper.make_graph([node], "whole", ends[:1], ends[1:], [weights])
    opset = onnx.helper.make_opsetid("", 20)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10).SerializeToString()


def test_whole_volumes_of_changing_size_are_answered_one_at_a_time(gpu, cache):
    inputs = InputRange(least=(1, 1, 8, 8, 8), usual=(1, 1, 8, 8, 8), most=(1, 1, 24, 16, 16))
    model = whole_volume_network()
    engine = open_tensorrt(model, precision="float32", inputs=inputs, cache=cache)
    assert (engine.concurrency, engine.preferred_batch) == (1, 1)
    reference = OnnxRuntimeEngine(model, num_threads=1)
    for size in ((8, 8, 8), (24, 16, 16), (16, 8, 16)):
        volume = np.random.default_rng(1).standard_normal((1, 1, *size), dtype=np.float32)
        np.testing.assert_array_equal(engine.run(volume), reference.run(volume))
    for size in ((32, 8, 8), (4, 8, 8)):
        with pytest.raises(EngineError, match="patches the model can take, 1 x 1 x 8 x 8 x 8 to 1 x 1 x 24 x 16 x 16"):
            engine.run(np.zeros((1, 1, *size), dtype=np.float32))


def test_nothing_is_answered_to_nothing(opened):
    with pytest.raises(EngineError, match="patches the model can take"):
        opened.run(np.zeros((0, *PATCH), dtype=np.float32))


def test_without_a_gpu_it_is_an_engine_error(package, inputs, cache):
    with fake_gpu(CudaFake(None)), pytest.raises(EngineError, match="driver version is insufficient"):
        open_tensorrt(package.model, precision="float32", inputs=inputs, cache=cache)


@pytest.fixture(autouse=True)
def _warnings_are_seen(caplog):
    caplog.set_level(logging.WARNING)
