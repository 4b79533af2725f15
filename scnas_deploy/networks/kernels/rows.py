"""The layout the kernels work on, and how they share the cores.

A channels-last volume is a set of rows: for each x and y, all z and channels side by side in memory. Shifting a
row by one voxel shifts it by C numbers, so that a tap of a kernel is one long vector operation, whatever C is.

At stride two a row is parted into its even and its odd voxels, the phases; then every tap is a shift again.

A shifted row runs over the ends of the volume into its neighbours in memory. Kernels let it: what comes from there
is multiplied by zero (:func:`inside`), so that every row is one loop of full length.

Legend: B batch, C channels, X Y Z voxels in NIfTI order, P phases, L numbers of a row (Z / P * C).
"""

import functools
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
import torch
from torch import Tensor

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

SMALL: Final = 1 << 15
"""Numbers below which a second thread costs more than it brings."""


def compiled(kernel: Kernel) -> Kernel:
    """Compile a kernel over slabs ``start`` to ``stop``; the result stays on disk for the next process."""
    compiler = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
    return cast(Kernel, compiler(kernel))


def over_slabs(kernel: Callable[..., Any], num_slabs: int, size: int, *arguments: Any) -> None:
    """Run a kernel over all slabs, on as many threads as PyTorch has; which thread takes which changes no result."""
    num_threads = torch.get_num_threads() if size >= SMALL else 1
    bounds = [num_slabs * part // num_threads for part in range(num_threads + 1)]
    running = [
        _threads(num_threads).submit(kernel, start, stop, *arguments) for start, stop in itertools.pairwise(bounds[1:])
    ]
    kernel(bounds[0], bounds[1], *arguments)
    for part in running:
        part.result()


@functools.lru_cache(maxsize=1)
def _threads(num_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(num_threads - 1, thread_name_prefix="scnas-kernel")


def to_rows(x_BCXYZ: Tensor, stride: int = 1) -> np.ndarray:
    """View (where it is channels-last and the stride one) or copy as rows, (B, X, Y, P, L)."""
    batch, channels, x, y, z = x_BCXYZ.shape
    dense = x_BCXYZ.detach().contiguous(memory_format=torch.channels_last_3d).permute(0, 2, 3, 4, 1)
    if stride > 1:
        dense = dense.reshape(batch, x, y, z // stride, stride, channels).transpose(3, 4).contiguous()
    return dense.numpy().reshape(batch, x, y, stride, -1)


def from_rows(rows_BXYPL: np.ndarray, channels: int) -> Tensor:
    """The channels-last tensor (B, C, X, Y, Z) of rows."""
    batch, x, y, phases, _ = rows_BXYPL.shape
    dense = torch.from_numpy(rows_BXYPL.reshape(batch, x, y, phases, -1, channels))
    return dense.transpose(3, 4).reshape(batch, x, y, -1, channels).permute(0, 4, 1, 2, 3)


@functools.lru_cache
def taps_of_row(stride: int, dilation: int, channels: int, length: int) -> np.ndarray:
    """Where taps 0, 1 and 2 of output row 0 begin, counted in numbers from the input row that holds its phase 0."""
    offsets = (np.arange(3) - 1) * dilation
    phases = offsets % stride
    return phases * length + (offsets - phases) // stride * channels


@functools.lru_cache
def inside(stride: int, dilation: int, channels: int, length: int) -> np.ndarray:
    """Whether tap 0, 1 or 2 of each number of a row lies inside the volume, (3, L)."""
    voxels = np.arange(length) // channels * stride
    taps = voxels + (np.arange(3)[:, None] - 1) * dilation
    return (taps >= 0) & (taps < length // channels * stride)
