"""Maximum and average pooling and their gradients.

The maximum remembers which of its 27 voxels was taken in one byte, where PyTorch keeps eight.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from scnas_deploy.networks.kernels.rows import compiled, from_rows, inside, over_slabs, taps_of_row, to_rows


class MaxPool(torch.autograd.Function):
    """3x3x3, padded by one. Arguments: input (B, C, X, Y, Z), stride. Of equal voxels the first counts."""

    @staticmethod
    def forward(ctx: Any, x_BCXYZ: Tensor, stride: int) -> Tensor:
        """Take the maximum."""
        rows, channels = to_rows(x_BCXYZ, stride), x_BCXYZ.shape[1]
        out = np.empty(_pooled_shape(rows, stride), np.float32)
        taken = np.empty(out.shape, np.uint8)
        penalty = np.where(inside(stride, 1, channels, rows.shape[-1]), 0, -np.inf).astype(np.float32)
        first = taps_of_row(stride, 1, channels, rows.shape[-1])
        slabs = out.shape[0] * out.shape[1]
        over_slabs(_max_forward, slabs, out.size, rows, penalty, first, out, taken, stride)
        ctx.save_for_backward(torch.from_numpy(taken))
        ctx.stride, ctx.rows = stride, rows.shape
        return from_rows(out, channels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Each gradient goes to the voxel that was taken."""
        (taken,) = ctx.saved_tensors
        channels = gradient.shape[1]
        to_input = np.empty(ctx.rows, np.float32)
        first = taps_of_row(ctx.stride, 1, channels, ctx.rows[-1])
        arguments = (to_rows(gradient), taken.numpy(), first, to_input, ctx.stride)
        over_slabs(_max_backward, ctx.rows[0] * ctx.rows[1], to_input.size, *arguments)
        return from_rows(to_input, channels), None


class AveragePool(torch.autograd.Function):
    """Of ``padding`` voxels before and one behind ``stride`` times the output's place, in each axis.

    Arguments: input (B, C, X, Y, Z), stride, padding (1 for a size of three, 0 for two). The padding is not counted.
    """

    @staticmethod
    def forward(ctx: Any, x_BCXYZ: Tensor, stride: int, padding: int) -> Tensor:
        """Take the average."""
        rows, channels = to_rows(x_BCXYZ, stride), x_BCXYZ.shape[1]
        out = np.empty(_pooled_shape(rows, stride), np.float32)
        ctx.rows, ctx.settings = rows.shape, (*_counts(x_BCXYZ, stride, padding), stride, padding, channels)
        over_slabs(_average_forward, out.shape[0] * out.shape[1], out.size, rows, out, *ctx.settings)
        return from_rows(out, channels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Each gradient is shared among the voxels that were counted."""
        to_input = np.empty(ctx.rows, np.float32)
        slabs = ctx.rows[0] * ctx.rows[1]
        over_slabs(_average_backward, slabs, to_input.size, to_rows(gradient), to_input, *ctx.settings)
        return from_rows(to_input, gradient.shape[1]), None, None


def _pooled_shape(rows: np.ndarray, stride: int) -> tuple[int, ...]:
    batch, x, y, _, length = rows.shape
    return batch, x // stride, y // stride, 1, length


def _counts(x_BCXYZ: Tensor, stride: int, padding: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a sum is divided by is a product of three one-axis counts: (X), (Y) and, along a row, (L)."""
    channels, *shape = x_BCXYZ.shape[1:]
    counts = []
    for size in shape:
        centres = np.arange(0, size, stride)[:, None] + np.arange(-padding, 2)
        counts.append(((centres >= 0) & (centres < size)).sum(axis=1).astype(np.float32))
    x, y, z = counts
    return x, y, np.repeat(z, channels)


@compiled
def _max_forward(
    start: int,
    stop: int,
    x: np.ndarray,
    penalty: np.ndarray,
    first: np.ndarray,
    out: np.ndarray,
    taken: np.ndarray,
    stride: int,
) -> None:
    in_x, in_y, phases, length = x.shape[1:]
    out_x, out_y = out.shape[1:3]
    places = np.empty(length, np.int32)
    for slab in range(start, stop):
        b, xo = slab // out_x, slab % out_x
        for yo in range(out_y):
            row, bytes_of_row = out[b, xo, yo, 0], taken[b, xo, yo, 0]
            row[:] = -np.inf
            for i in range(3):
                xi = xo * stride + i - 1
                if 0 <= xi < in_x:
                    source = x[b, xi].reshape(-1)
                    for j in range(3):
                        yi = yo * stride + j - 1
                        if 0 <= yi < in_y:
                            for k in range(3):
                                tap, begin = np.int32(9 * i + 3 * j + k), yi * phases * length + first[k]
                                _keep_larger(row, places, penalty[k], source, begin, tap)
            for n in range(length):
                bytes_of_row[n] = places[n]


@compiled
def _keep_larger(
    row: np.ndarray, places: np.ndarray, penalty: np.ndarray, source: np.ndarray, begin: int, tap: np.int32
) -> None:
    low, high = max(0, -begin), min(len(penalty), len(source) - begin)
    target, which = row[low:high], places[low:high]
    minus, other = penalty[low:high], source[begin + low : begin + high]
    for i in range(high - low):
        value = other[i] + minus[i]
        which[i] = tap if value > target[i] else which[i]
        target[i] = value if value > target[i] else target[i]


@compiled
def _max_backward(
    start: int, stop: int, g: np.ndarray, taken: np.ndarray, first: np.ndarray, dx: np.ndarray, stride: int
) -> None:
    in_x, in_y, phases, length = dx.shape[1:]
    out_x, out_y = g.shape[1:3]
    for slab in range(start, stop):
        b, xi = slab // in_x, slab % in_x
        target = dx[b, xi].reshape(-1)
        target[:] = 0
        for yo in range(out_y):
            for i in range(3):
                xo = xi - (i - 1)
                if xo % stride == 0 and 0 <= xo // stride < out_x:
                    row, which = g[b, xo // stride, yo, 0], taken[b, xo // stride, yo, 0]
                    for j in range(3):
                        yi = yo * stride + j - 1
                        if 0 <= yi < in_y:
                            for k in range(3):
                                tap, begin = np.uint8(9 * i + 3 * j + k), yi * phases * length + first[k]
                                _add_where(target, begin, row, which, tap)


@compiled
def _add_where(out: np.ndarray, to: int, gradient: np.ndarray, which: np.ndarray, tap: np.uint8) -> None:
    low, high = max(0, -to), min(len(gradient), len(out) - to)
    target, source, places, nothing = out[to + low : to + high], gradient[low:high], which[low:high], np.float32(0)
    for i in range(high - low):
        target[i] += source[i] if places[i] == tap else nothing


@compiled
def _average_forward(
    start: int,
    stop: int,
    x: np.ndarray,
    out: np.ndarray,
    count_x: np.ndarray,
    count_y: np.ndarray,
    count_z: np.ndarray,
    stride: int,
    padding: int,
    channels: int,
) -> None:
    in_x, in_y, phases, length = x.shape[1:]
    out_x, out_y = out.shape[1:3]
    columns = np.empty((phases, length), np.float32)
    for slab in range(start, stop):
        b, xo = slab // out_x, slab % out_x
        for yo in range(out_y):
            columns[:] = 0
            for xi in range(max(0, xo * stride - padding), min(in_x, xo * stride + 2)):
                for yi in range(max(0, yo * stride - padding), min(in_y, yo * stride + 2)):
                    for p in range(phases):
                        source, target = x[b, xi, yi, p], columns[p]
                        for i in range(length):
                            target[i] += source[i]
            row, in_plane = out[b, xo, yo, 0], count_x[xo] * count_y[yo]
            row[:] = 0
            for offset in range(-padding, 2):
                shift = (offset - offset % stride) // stride * channels
                low, high = max(0, -shift), min(length, length - shift)
                target, source = row[low:high], columns[offset % stride][low + shift : high + shift]
                for i in range(high - low):
                    target[i] += source[i]
            for i in range(length):
                row[i] /= in_plane * count_z[i]


@compiled
def _average_backward(
    start: int,
    stop: int,
    g: np.ndarray,
    dx: np.ndarray,
    count_x: np.ndarray,
    count_y: np.ndarray,
    count_z: np.ndarray,
    stride: int,
    padding: int,
    channels: int,
) -> None:
    in_x, in_y, _, length = dx.shape[1:]
    out_x, out_y = g.shape[1:3]
    column = np.empty(length, np.float32)
    for slab in range(start, stop):
        b, xi = slab // in_x, slab % in_x
        for yi in range(in_y):
            column[:] = 0
            for xo in range((xi - 1 + stride - 1) // stride, min(out_x, (xi + padding) // stride + 1)):
                for yo in range((yi - 1 + stride - 1) // stride, min(out_y, (yi + padding) // stride + 1)):
                    if xo >= 0 and yo >= 0:
                        source, in_plane = g[b, xo, yo, 0], count_x[xo] * count_y[yo]
                        for i in range(length):
                            column[i] += source[i] / in_plane
            for i in range(length):
                column[i] /= count_z[i]
            dx[b, xi, yi] = 0
            for offset in range(-padding, 2):
                shift = (offset - offset % stride) // stride * channels
                low, high = max(0, -shift), min(length, length - shift)
                target, source = dx[b, xi, yi, offset % stride][low + shift : high + shift], column[low:high]
                for i in range(high - low):
                    target[i] += source[i]
