"""CUDA through NVIDIA's own Python bindings: memory, streams, and which GPU this is.

What is taken is given back when the object goes that holds it, also when making the next one fails, and at the
latest when the process ends.
"""

import ctypes
import weakref
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from scnas_deploy.errors import EngineError
from scnas_deploy.extras import require

_DEVICE = 0
"""The first that CUDA_VISIBLE_DEVICES leaves visible."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """What an engine is built for."""

    name: str
    """For instance 'NVIDIA L4'."""
    capability: tuple[int, int]
    """Compute capability, major and minor."""


class Memory:
    """Bytes on the GPU, or pinned ones of the host that the GPU copies from and to by itself.

    Args:
        num_bytes: How many; at least one.
        pinned: On the host.

    Raises:
        EngineError: If there is not as much.
    """

    def __init__(self, num_bytes: int, *, pinned: bool = False) -> None:
        cuda = runtime()
        allocate, free = (cuda.cudaMallocHost, cuda.cudaFreeHost) if pinned else (cuda.cudaMalloc, cuda.cudaFree)
        self.address = int(check(allocate(num_bytes)))
        self.num_bytes = num_bytes
        weakref.finalize(self, free, self.address)


class Stream:
    """A queue of copies and computations that the GPU works off in their order."""

    def __init__(self) -> None:
        cuda = runtime()
        self.handle: Any = check(cuda.cudaStreamCreateWithFlags(cuda.cudaStreamNonBlocking))
        weakref.finalize(self, cuda.cudaStreamDestroy, self.handle)

    def wait(self) -> None:
        """Return when all is done that was queued.

        Raises:
            EngineError: If something of it failed.
        """
        check(runtime().cudaStreamSynchronize(self.handle))


class Buffer:
    """float32 numbers, pinned on the host and once more on the GPU; it grows with what is asked of it."""

    def __init__(self) -> None:
        self._host: Memory | None = None
        self._device: Memory | None = None

    def fit(self, shape: tuple[int, ...]) -> tuple[np.ndarray, int]:
        """Make room.

        Returns:
            The host's part as an array of this shape, valid until the next call, and the GPU's part's address.

        Raises:
            EngineError: If there is not as much memory.
        """
        size = int(np.prod(shape))
        num_bytes = size * ctypes.sizeof(ctypes.c_float)
        if self._host is None or self._device is None or self._host.num_bytes < num_bytes:
            self._host = self._device = None  # give back first: there may not be room for both
            self._host, self._device = Memory(num_bytes, pinned=True), Memory(num_bytes)
        numbers = (ctypes.c_float * size).from_address(self._host.address)
        return np.ctypeslib.as_array(numbers).reshape(shape), self._device.address


def upload(array: np.ndarray, address: int, stream: Stream) -> None:
    """Queue a copy of pinned numbers to the GPU."""
    cuda = runtime()
    kind = cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
    check(cuda.cudaMemcpyAsync(address, array.ctypes.data, array.nbytes, kind, stream.handle))


def download(array: np.ndarray, address: int, stream: Stream) -> None:
    """Queue a copy from the GPU to pinned numbers."""
    cuda = runtime()
    kind = cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
    check(cuda.cudaMemcpyAsync(array.ctypes.data, address, array.nbytes, kind, stream.handle))


def current_gpu() -> Gpu:
    """Say which GPU this process uses.

    Raises:
        EngineError: If CUDA shows none.
    """
    properties = check(runtime().cudaGetDeviceProperties(_DEVICE))
    return Gpu(properties.name.split(b"\0")[0].decode(), (properties.major, properties.minor))


def runtime() -> ModuleType:
    """Return the bindings of CUDA's runtime.

    Raises:
        MissingExtraError: If they are not installed.
    """
    return require("cuda.bindings.runtime", extra="gpu", purpose="TensorRT engines")


def check(answer: tuple[Any, ...]) -> Any:
    """Return the value of a CUDA call, of which the first is always a status.

    Raises:
        EngineError: If the call failed, or an earlier one that had only been queued.
    """
    status, *values = answer
    if int(status):
        raise _error(status)
    return values[0] if values else None


def _error(status: Any) -> EngineError:
    out_of_memory = status == runtime().cudaError_t.cudaErrorMemoryAllocation
    _, text = runtime().cudaGetErrorString(status)
    return EngineError(
        "CUDA",
        expected="enough free memory on the GPU" if out_of_memory else "a GPU that does as it is told",
        found=f"{text.decode()} ({status.name})",
        remedy="End what else uses the GPU (nvidia-smi), or take another engine with --engine"
        if out_of_memory
        else "Check the driver with nvidia-smi, or take another engine with --engine",
    )
