"""What is taken from the GPU is given back, and every failure is an error of ours."""

import gc

import numpy as np
import pytest

from scnas_deploy.errors import EngineError, MissingExtraError
from scnas_deploy.inference.tensorrt.cuda import Buffer, Gpu, Memory, Stream, check, current_gpu, download, upload
from tests.inference.tensorrt.cuda_fake import CudaFake, Status
from tests.inference.tensorrt.tensorrt_fake import fake_gpu


@pytest.fixture
def cuda(gpu):
    return gpu.cuda


def test_memory_lasts_as_long_as_its_object(cuda):
    memory, pinned = Memory(100), Memory(200, pinned=True)
    assert set(cuda.device) == {memory.address}
    assert set(cuda.pinned) == {pinned.address}
    del memory, pinned
    assert (cuda.device, cuda.pinned) == ({}, {})


def test_a_stream_lasts_as_long_as_its_object(cuda):
    stream = Stream()
    assert set(cuda.streams) == {stream.handle}
    del stream
    assert cuda.streams == {}


def test_what_was_taken_before_a_failure_is_given_back(cuda):
    cuda.allocations_left = 1
    buffer = Buffer()
    with pytest.raises(EngineError, match=r"enough free memory on the GPU, found out of memory \(cudaErrorMemoryAlloc"):
        buffer.fit((4, 4))
    gc.collect()  # the failed call's own frame
    assert (cuda.device, cuda.pinned) == ({}, {})
    cuda.allocations_left = None
    assert buffer.fit((4, 4))[0].shape == (4, 4)


def test_numbers_go_to_the_gpu_and_come_back(cuda):
    there, stream = Buffer(), Stream()
    numbers, address = there.fit((2, 3))
    numbers[:] = np.arange(6).reshape(2, 3)
    upload(numbers, address, stream)
    stream.wait()
    numbers[:] = 0
    download(numbers, address, stream)
    assert not numbers.any()  # only queued
    stream.wait()
    np.testing.assert_array_equal(numbers, np.arange(6).reshape(2, 3))


def test_a_buffer_grows_and_keeps_what_it_has(cuda):
    buffer = Buffer()
    _, first = buffer.fit((10,))
    _, smaller = buffer.fit((2, 2))
    assert smaller == first
    numbers, larger = buffer.fit((100,))
    assert numbers.nbytes == 400
    assert set(cuda.device) == {larger}
    assert len(cuda.pinned) == 1


def test_a_buffer_gives_back_before_it_takes_more(cuda):
    """The GPU may have room for the larger one, but not for both."""
    buffer = Buffer()
    buffer.fit((10,))
    cuda.cudaMalloc, allocate = None, cuda.cudaMalloc
    seen = []
    cuda.cudaMalloc = lambda size: (seen.append(len(cuda.device)), allocate(size))[1]
    buffer.fit((100,))
    assert seen == [0]


def test_the_gpu_is_known_by_name_and_capability(gpu):
    gpu.cuda.gpu = ("NVIDIA L4", 8, 9)
    assert current_gpu() == Gpu("NVIDIA L4", (8, 9))


def test_a_machine_without_a_gpu_says_what_cuda_says():
    with fake_gpu(CudaFake(None)), pytest.raises(EngineError, match=r"found CUDA driver version is insufficient"):
        current_gpu()


@pytest.mark.parametrize("status", [Status.cudaErrorIllegalAddress, Status.cudaErrorMemoryAllocation])
def test_a_status_is_an_error_with_its_name(status, cuda):
    with pytest.raises(EngineError, match=rf"CUDA: .*\({status.name}\).*nvidia-smi"):
        check((status, None))


def test_a_call_without_a_value_has_none(cuda):
    assert check((Status.cudaSuccess,)) is None


def test_missing_bindings_name_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cuda.bindings.runtime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'scnas-deploy\[gpu\]'"):
        Memory(1)
