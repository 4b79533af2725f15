"""Depthwise dilated 3x3x3 convolution and its gradients.

A tap is an offset of (t - 1) * dilation voxels from ``stride`` times the output's place, in each axis.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from scnas_deploy.networks.kernels.rows import compiled, from_rows, inside, over_slabs, taps_of_row, to_rows


class DepthwiseConv(torch.autograd.Function):
    """Arguments: input (B, C, X, Y, Z), weight (C, 1, 3, 3, 3), stride, dilation."""

    @staticmethod
    def forward(ctx: Any, x_BCXYZ: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
        """Convolve each channel."""
        ctx.save_for_backward(x_BCXYZ, weight)
        ctx.stride, ctx.dilation = stride, dilation
        rows = to_rows(x_BCXYZ, stride)
        batch, x, y, _, length = rows.shape
        out = np.empty((batch, x // stride, y // stride, 1, length), np.float32)
        taps = _taps(weight, length, stride, dilation)
        first = taps_of_row(stride, dilation, len(weight), length)
        over_slabs(_forward, batch * (x // stride), out.size, rows, taps, first, out, stride, dilation)
        return from_rows(out, len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of input and weight, each only where it is asked for."""
        x_BCXYZ, weight = ctx.saved_tensors
        stride, dilation, channels = ctx.stride, ctx.dilation, len(weight)
        rows, out = to_rows(x_BCXYZ, stride), to_rows(gradient)
        batch, x, _, _, length = rows.shape
        first = taps_of_row(stride, dilation, channels, length)
        of_input = of_weight = None
        if ctx.needs_input_grad[0]:
            to_input = np.empty_like(rows)
            taps = _taps(weight, length, stride, dilation)
            over_slabs(_backward_input, batch * x, rows.size, out, taps, first, to_input, stride, dilation)
            of_input = from_rows(to_input, channels)
        if ctx.needs_input_grad[1]:
            sums = np.empty((batch, 3, 3, 3, length), np.float32)
            over_slabs(_backward_weight, 3 * batch, out.size, out, rows, first, sums, stride, dilation)
            along = sums.sum(axis=0) * inside(stride, dilation, channels, length)
            by_tap = along.reshape(27, -1, channels).sum(axis=1)
            of_weight = torch.from_numpy(by_tap.T.copy()).view_as(weight)
        return of_input, of_weight, None, None


def _taps(weight: Tensor, length: int, stride: int, dilation: int) -> np.ndarray:
    """Each tap's weights along a row, zero where the tap is outside of the volume, (27, L)."""
    by_tap = weight.detach().numpy().reshape(len(weight), 27).T
    along = np.tile(by_tap, length // len(weight)).reshape(9, 3, length)
    masked: np.ndarray = along * inside(stride, dilation, len(weight), length)
    return masked.reshape(27, length)


@compiled
def _multiply_add(out: np.ndarray, to: int, one: np.ndarray, source: np.ndarray, begin: int) -> None:
    """Add one row times the source's numbers from ``begin`` on to the row at ``to``; ends outside count nothing."""
    low, high = max(0, -begin, -to), min(len(one), len(source) - begin, len(out) - to)
    target, factor, other = out[to + low : to + high], one[low:high], source[begin + low : begin + high]
    for i in range(high - low):
        target[i] += factor[i] * other[i]


@compiled
def _forward(
    start: int, stop: int, x: np.ndarray, taps: np.ndarray, first: np.ndarray, out: np.ndarray, stride: int, reach: int
) -> None:
    in_x, in_y, phases, length = x.shape[1:]
    out_x, out_y = out.shape[1:3]
    for slab in range(start, stop):
        b, xo = slab // out_x, slab % out_x
        for yo in range(out_y):
            row = out[b, xo, yo, 0]
            row[:] = 0
            for i in range(3):
                xi = xo * stride + (i - 1) * reach
                if 0 <= xi < in_x:
                    source = x[b, xi].reshape(-1)
                    for j in range(3):
                        yi = yo * stride + (j - 1) * reach
                        if 0 <= yi < in_y:
                            for k in range(3):
                                weights = taps[9 * i + 3 * j + k]
                                _multiply_add(row, 0, weights, source, yi * phases * length + first[k])


@compiled
def _backward_input(
    start: int, stop: int, g: np.ndarray, taps: np.ndarray, first: np.ndarray, dx: np.ndarray, stride: int, reach: int
) -> None:
    in_x, in_y, phases, length = dx.shape[1:]
    out_x, out_y = g.shape[1:3]
    for slab in range(start, stop):
        b, xi = slab // in_x, slab % in_x
        target = dx[b, xi].reshape(-1)
        target[:] = 0
        for yo in range(out_y):
            for i in range(3):
                xo = xi - (i - 1) * reach
                if xo % stride == 0 and 0 <= xo // stride < out_x:
                    row = g[b, xo // stride, yo, 0]
                    for j in range(3):
                        yi = yo * stride + (j - 1) * reach
                        if 0 <= yi < in_y:
                            for k in range(3):
                                weights = taps[9 * i + 3 * j + k]
                                _multiply_add(target, yi * phases * length + first[k], weights, row, 0)


@compiled
def _backward_weight(
    start: int, stop: int, g: np.ndarray, x: np.ndarray, first: np.ndarray, sums: np.ndarray, stride: int, reach: int
) -> None:
    """A slab is one of three planes of taps of one sample."""
    in_x, in_y, phases, length = x.shape[1:]
    out_x, out_y = g.shape[1:3]
    for slab in range(start, stop):
        b, i = slab // 3, slab % 3
        sums[b, i] = 0
        for xo in range(out_x):
            xi = xo * stride + (i - 1) * reach
            if 0 <= xi < in_x:
                source = x[b, xi].reshape(-1)
                for yo in range(out_y):
                    row = g[b, xo, yo, 0]
                    for j in range(3):
                        yi = yo * stride + (j - 1) * reach
                        if 0 <= yi < in_y:
                            for k in range(3):
                                _multiply_add(sums[b, i, j, k], 0, row, source, yi * phases * length + first[k])
