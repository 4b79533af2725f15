"""InstanceNorm and its gradients: two passes over the voxels forward, two backward.

A slab is a sample. Sums run in float32 along the rows of a plane and in float64 across planes; the variance is
summed around each plane's own mean (Chan et al. 1979, "Updating formulae and a pairwise algorithm for computing
sample variances").
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from scnas_deploy.networks.kernels.rows import compiled, from_rows, over_slabs, to_rows


class InstanceNorm(torch.autograd.Function):
    """Arguments: input (B, C, X, Y, Z), weight (C) or None, bias (C) or None, eps."""

    @staticmethod
    def forward(ctx: Any, x_BCXYZ: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        """Bring each sample's channel to mean zero and variance one, then scale and shift."""
        rows, (batch, channels) = to_rows(x_BCXYZ), x_BCXYZ.shape[:2]
        out, mean_BC, scale_BC = np.empty_like(rows), np.empty((batch, channels)), np.empty((batch, channels))
        factor_C = np.ones(channels, np.float32) if weight is None else weight.detach().numpy()
        shift_C = np.zeros(channels, np.float32) if bias is None else bias.detach().numpy()
        over_slabs(_forward, batch, rows.size, rows, factor_C, shift_C, eps, mean_BC, scale_BC, out)
        ctx.save_for_backward(x_BCXYZ, weight)
        ctx.mean, ctx.scale, ctx.factor = mean_BC, scale_BC, factor_C
        return from_rows(out, channels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of input, weight and bias."""
        x_BCXYZ, weight = ctx.saved_tensors
        rows, out = to_rows(x_BCXYZ), to_rows(gradient)
        to_input, sums_2BC = np.empty_like(rows), np.empty((2, *ctx.mean.shape))
        over_slabs(_backward, len(rows), rows.size, out, rows, ctx.mean, ctx.scale, ctx.factor, *sums_2BC, to_input)
        of_input = from_rows(to_input, len(ctx.factor))
        if weight is None:
            return of_input, None, None, None
        of_bias, of_weight = torch.from_numpy(sums_2BC.sum(axis=1)).float()
        return of_input, of_weight, of_bias, None


@compiled
def _along(values: np.ndarray, length: int) -> np.ndarray:
    """One value a channel, repeated for each voxel of a row."""
    row = np.empty(length, np.float32)
    for i in range(length):
        row[i] = values[i % len(values)]
    return row


@compiled
def _collect(row: np.ndarray, totals: np.ndarray) -> None:
    """Add a row's numbers to their channels' totals."""
    for i in range(len(row)):
        totals[i % len(totals)] += row[i]


@compiled
def _plane_moments(plane: np.ndarray, sums: np.ndarray, totals: np.ndarray, squares: np.ndarray) -> None:
    """Add to each channel's total, and to its sum of squares around the plane's own mean."""
    in_y, _, length = plane.shape
    sums[:] = 0
    for y in range(in_y):
        row = plane[y, 0]
        for i in range(length):
            sums[i] += row[i]
    _collect(sums, totals)
    mean_row = _along(totals * len(totals) / (in_y * length), length)
    sums[:] = 0
    for y in range(in_y):
        row = plane[y, 0]
        for i in range(length):
            sums[i] += (row[i] - mean_row[i]) * (row[i] - mean_row[i])
    _collect(sums, squares)


@compiled
def _forward(
    start: int,
    stop: int,
    x: np.ndarray,
    factor: np.ndarray,
    shift: np.ndarray,
    eps: float,
    mean: np.ndarray,
    scale: np.ndarray,
    out: np.ndarray,
) -> None:
    in_x, in_y, _, length = x.shape[1:]
    channels = len(factor)
    in_plane = in_y * length // channels
    sums, totals, squares = np.empty(length, np.float32), np.empty((in_x, channels)), np.empty((in_x, channels))
    shift_row = _along(shift, length)
    for b in range(start, stop):
        totals[:] = 0
        squares[:] = 0
        for xi in range(in_x):
            _plane_moments(x[b, xi], sums, totals[xi], squares[xi])
        for c in range(channels):
            mean[b, c] = totals[:, c].sum() / (in_x * in_plane)
            between = ((totals[:, c] / in_plane - mean[b, c]) ** 2).sum() * in_plane
            scale[b, c] = 1 / np.sqrt((squares[:, c].sum() + between) / (in_x * in_plane) + eps)
        mean_row, scale_row = _along(mean[b], length), _along(scale[b] * factor, length)
        for xi in range(in_x):
            for y in range(in_y):
                row, target = x[b, xi, y, 0], out[b, xi, y, 0]
                for i in range(length):
                    target[i] = (row[i] - mean_row[i]) * scale_row[i] + shift_row[i]


@compiled
def _backward(
    start: int,
    stop: int,
    g: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    scale: np.ndarray,
    factor: np.ndarray,
    sum_g: np.ndarray,
    sum_gx: np.ndarray,
    out: np.ndarray,
) -> None:
    """``sum_g`` and ``sum_gx``, (B, C): the gradients of bias and weight, sample by sample."""
    in_x, in_y, _, length = x.shape[1:]
    count = in_x * in_y * length // len(factor)
    plain, product = np.empty(length, np.float32), np.empty(length, np.float32)
    for b in range(start, stop):
        mean_row = _along(mean[b], length)
        sum_g[b] = 0
        sum_gx[b] = 0
        for xi in range(in_x):
            plain[:] = 0
            product[:] = 0
            for y in range(in_y):
                gradient, row = g[b, xi, y, 0], x[b, xi, y, 0]
                for i in range(length):
                    plain[i] += gradient[i]
                    product[i] += gradient[i] * (row[i] - mean_row[i])
            _collect(plain, sum_g[b])
            _collect(product, sum_gx[b])
        sum_gx[b] *= scale[b]
        by_gradient = _along(scale[b] * factor, length)
        by_input = _along(-scale[b] * factor * scale[b] * sum_gx[b] / count, length)
        constant = _along(-scale[b] * factor * sum_g[b] / count, length)
        for xi in range(in_x):
            for y in range(in_y):
                gradient, row, target = g[b, xi, y, 0], x[b, xi, y, 0], out[b, xi, y, 0]
                for i in range(length):
                    target[i] = by_gradient[i] * gradient[i] + by_input[i] * (row[i] - mean_row[i]) + constant[i]
