"""CUDA's runtime over the host's memory, for machines without a GPU.

It keeps what the real one keeps: a status before every value, device and pinned memory that are not each other's, and
streams that do nothing before they are waited for. What the real one leaves undefined is an error here: a copy beyond
an allocation, memory given back twice, or a copy from the wrong kind of memory.
"""

import ctypes
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

from cuda.bindings import runtime as real

Status = real.cudaError_t
SUCCESS = Status.cudaSuccess
_GARBAGE = 0xFF  # a NaN, read as float32


class CudaFake(ModuleType):
    """Stands for ``cuda.bindings.runtime``.

    Args:
        gpu: Name and compute capability; None: there is no GPU.
    """

    cudaError_t = Status
    cudaMemcpyKind = real.cudaMemcpyKind
    cudaStreamNonBlocking = real.cudaStreamNonBlocking
    cudaGetErrorString = staticmethod(real.cudaGetErrorString)

    def __init__(self, gpu: tuple[str, int, int] | None = ("NVIDIA Fake", 8, 9)) -> None:
        super().__init__("cuda.bindings.runtime")
        self.gpu = gpu
        self.device: dict[int, Any] = {}
        self.pinned: dict[int, Any] = {}
        self.streams: dict[int, list[Callable[[], Status]]] = {}
        self.allocations_left: int | None = None
        """How many more succeed; None: all."""
        self.failure: Status = SUCCESS
        """What waiting for a stream answers."""
        self._streams_made = 0

    def cudaGetDeviceProperties(self, device: int) -> tuple[Status, Any]:
        if self.gpu is None:
            return Status.cudaErrorInsufficientDriver, None
        name, major, minor = self.gpu
        return SUCCESS, SimpleNamespace(name=name.encode(), major=major, minor=minor)

    def cudaMalloc(self, size: int) -> tuple[Status, int | None]:
        return self._allocate(size, self.device)

    def cudaFree(self, devPtr: int) -> tuple[Status]:
        return self._free(devPtr, self.device)

    def cudaMallocHost(self, size: int) -> tuple[Status, int | None]:
        return self._allocate(size, self.pinned)

    def cudaFreeHost(self, ptr: int) -> tuple[Status]:
        return self._free(ptr, self.pinned)

    def cudaMemcpyAsync(self, dst: int, src: int, count: int, kind: Any, stream: int) -> tuple[Status]:
        up = kind == real.cudaMemcpyKind.cudaMemcpyHostToDevice
        source, target = (self.pinned, self.device) if up else (self.device, self.pinned)
        require_within(src, count, source)
        require_within(dst, count, target)

        def copy() -> Status:
            ctypes.memmove(dst, src, count)
            return SUCCESS

        self.streams[stream].append(copy)
        return (SUCCESS,)

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Status, int]:
        assert flags == real.cudaStreamNonBlocking
        self._streams_made += 1
        self.streams[self._streams_made] = []
        return SUCCESS, self._streams_made

    def cudaStreamSynchronize(self, stream: int) -> tuple[Status]:
        queued, self.streams[stream] = self.streams[stream], []
        for work in queued:
            work()
        return (self.failure,)

    def cudaStreamDestroy(self, stream: int) -> tuple[Status]:
        del self.streams[stream]
        return (SUCCESS,)

    def _allocate(self, size: int, owner: dict[int, Any]) -> tuple[Status, int | None]:
        if self.allocations_left is not None:
            if not self.allocations_left:
                return Status.cudaErrorMemoryAllocation, None
            self.allocations_left -= 1
        memory = ctypes.create_string_buffer(size)
        ctypes.memset(memory, _GARBAGE, size)
        owner[ctypes.addressof(memory)] = memory
        return SUCCESS, ctypes.addressof(memory)

    def _free(self, address: int, owner: dict[int, Any]) -> tuple[Status]:
        assert address in owner, "given back twice, or to the wrong side"
        del owner[address]
        return (SUCCESS,)


def require_within(address: int, count: int, owner: dict[int, Any]) -> None:
    """Fail where bytes do not lie within one allocation."""
    assert any(start <= address and address + count <= start + len(memory) for start, memory in owner.items()), (
        "a copy from or to memory that was not allocated for it"
    )
