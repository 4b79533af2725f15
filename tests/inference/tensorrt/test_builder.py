"""An engine is built as the network and the options say, can be watched, and can be stopped."""

import sys
import threading

import pytest

from scnas_deploy.errors import EngineError, MissingExtraError
from scnas_deploy.inference.inputs import InputRange
from scnas_deploy.inference.tensorrt.builder import BuildOptions, build
from scnas_deploy.inference.tensorrt.library import Library
from scnas_deploy.inference.tensorrt.progress import BuildState
from tests.inference.tensorrt.cuda_fake import CudaFake
from tests.inference.tensorrt.tensorrt_fake import fake_gpu


def test_float32_is_float32(gpu, package, inputs):
    build(Library(), package.model, inputs)
    assert gpu.builds[0].flags_now == set()  # TF32, which TensorRT sets by itself, is gone


def test_a_layer_may_take_all_memory_and_the_engine_is_for_this_gpu_unless_said(gpu, package, inputs):
    build(Library(), package.model, inputs)
    assert gpu.builds[0].pool_limits == {}
    assert gpu.builds[0].hardware_compatibility_level == gpu.HardwareCompatibilityLevel.NONE


def test_the_options_reach_the_builder(gpu, package, inputs):
    build(Library(), package.model, inputs, BuildOptions(workspace_bytes=1 << 30, hardware_compatible=True))
    assert gpu.builds[0].pool_limits == {gpu.MemoryPoolType.WORKSPACE: 1 << 30}
    assert gpu.builds[0].hardware_compatibility_level == gpu.HardwareCompatibilityLevel.AMPERE_PLUS


def test_the_profile_holds_the_batches_that_will_be_asked(gpu, package, inputs):
    build(Library(), package.model, inputs)
    (profile,) = gpu.builds[0].profiles
    assert profile.shapes == {"image": ((1, 1, 24, 24, 24), (16, 1, 24, 24, 24), (16, 1, 24, 24, 24))}


@pytest.mark.parametrize("model", [b"", b"not a network", bytes(1000)])
def test_what_the_parser_says_is_the_error(model, gpu, inputs):
    with pytest.raises(EngineError, match=r"tensorrt 11.*a loadable ONNX model, found Failed to parse .*the file it"):
        build(Library(), model, inputs)


def test_batches_that_the_network_cannot_take_are_an_error(gpu, package):
    other = (1, 1, 32, 24, 24)
    with pytest.raises(EngineError, match="dimensions of the profile and the network differ"):
        build(Library(), package.model, InputRange(least=other, usual=other, most=other))


def test_batches_that_make_no_range_are_an_error(gpu, package):
    least, usual, most = (2, 1, 24, 24, 24), (1, 1, 24, 24, 24), (2, 1, 24, 24, 24)
    with pytest.raises(EngineError, match="a network for batches of 2 x 1 x 24"):
        build(Library(), package.model, InputRange(least=least, usual=usual, most=most))


def test_another_build_starts_with_the_timings_of_the_first(gpu, package, inputs):
    first = build(Library(), package.model, inputs)
    second = build(Library(), package.model, inputs, timings=first.timings)
    assert gpu.builds[1].timing_cache.timed["networks"] == 2
    assert second.plan == first.plan


def test_timings_that_are_damaged_or_another_gpus_count_for_nothing(gpu, package, inputs):
    with fake_gpu(CudaFake(("NVIDIA Other", 9, 0))):
        others = build(Library(), package.model, inputs).timings
    for timings in (others, b"damaged"):
        build(Library(), package.model, inputs, timings=timings)
        assert gpu.builds[-1].timing_cache.timed == {"gpu": ["NVIDIA Fake", 8, 9], "networks": 1}


@pytest.fixture
def held(gpu):
    """Builds wait before their first step until the test lets them."""
    gpu.step.clear()
    return gpu


def test_progress_is_told_while_the_builder_works(held, package, inputs, monkeypatch):
    monkeypatch.setattr("scnas_deploy.inference.tensorrt.progress._INTERVAL_SECONDS", 0.001)
    seen = []
    release = held.step.wait

    def one_step_at_a_time():
        while len(seen) < done[0]:
            release(0.001)
        done[0] += 1

    done = [0]
    monkeypatch.setattr(held, "step", type("Steps", (), {"wait": staticmethod(one_step_at_a_time)}))
    build(Library(), package.model, inputs, progress=lambda done, total: seen.append((done, total)))
    assert {total for _, total in seen} == {1000}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[0] == (125, 1000)  # a quarter of the first of two steps
    assert len({done for done, _ in seen}) >= 6


class EnoughError(Exception):
    pass


@pytest.mark.parametrize("stop", [EnoughError, KeyboardInterrupt])
def test_a_build_can_be_stopped_and_leaves_no_thread(stop, held, package, inputs, monkeypatch):
    monkeypatch.setattr("scnas_deploy.inference.tensorrt.progress._INTERVAL_SECONDS", 0.001)
    library = Library()

    def ask(done, total):
        held.step.set()
        raise stop

    monkeypatch.setattr(BuildState, "fraction", lambda self: 0.5)
    with pytest.raises(stop):
        build(library, package.model, inputs, progress=ask)
    assert library.log.errors == ["the build was cancelled"]
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("tensorrt")] == []


def test_phases_add_up_and_the_fraction_never_falls():
    state = BuildState()
    assert state.fraction() == 0
    state.start("building", None, 2)
    state.start("timing", "building", 4)
    assert state.step("timing", 1)
    assert state.fraction() == pytest.approx(0.25)
    state.finish("timing")  # before all of its steps, as happens
    assert state.fraction() == pytest.approx(0.25)
    state.step("building", 0)
    assert state.fraction() == pytest.approx(0.5)
    state.finish("building")
    state.start("another", None, 10)
    state.step("another", 0)
    assert state.fraction() == pytest.approx(0.5)
    state.step("never begun", 3)
    state.stopped = True
    assert not state.step("another", 1)


def test_without_a_gpu_the_driver_is_named(package, inputs):
    with (
        fake_gpu(CudaFake(None)),
        pytest.raises(EngineError, match="expected a working NVIDIA driver, found a failure without a reason"),
    ):
        build(Library(), package.model, inputs)


def test_an_older_tensorrt_is_refused():
    with fake_gpu(version="10.16.1.11"), pytest.raises(EngineError, match=r"TensorRT 11 or later, found 10\.16"):
        Library()


def test_a_missing_tensorrt_names_the_extra():
    with pytest.raises(MissingExtraError, match=r"pip install 'scnas-deploy\[gpu\]'"):
        Library()


def test_bindings_without_their_libraries_are_an_engine_error(tmp_path, monkeypatch):
    text = 'raise ImportError("libnvinfer.so.11: cannot open shared object file: No such file or directory")'
    (tmp_path / "tensorrt.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EngineError, match=r"TensorRT 11 with its libraries, found libnvinfer\.so\.11: cannot open"):
        Library()
    assert "tensorrt" not in sys.modules
