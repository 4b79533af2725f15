"""The operations of an edge as PyTorch modules.

Legend: B batch, C channels, X Y Z voxels in NIfTI order. Every operation maps C channels to C channels, at
stride 1 or 2. Convolutions are LeakyReLU-Conv-InstanceNorm (PAPER: SCNAS, section 2); the LeakyReLU is
computed once per state by the cell, because several edges leave one state.

Ours to choose, since the paper is silent: pooling and identity carry no parameters (an InstanceNorm without
scale and shift follows a pooling), so that edges with the same source share one result; identity at stride
two is a 2x2x2 average.
"""

from typing import Final

import torch
from torch import Tensor, nn

from scnas_deploy.networks import kernels
from scnas_deploy.networks.genotype import DILATIONS, Operation

NEGATIVE_SLOPE: Final = 0.01


class InstanceNorm(nn.InstanceNorm3d):
    """InstanceNorm over X, Y, Z."""

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """Normalise each channel of each sample."""
        return kernels.instance_norm(x_BCXYZ, self.weight, self.bias, self.eps)


def activation() -> nn.Module:
    """LeakyReLU."""
    return nn.LeakyReLU(NEGATIVE_SLOPE)


class ConvNorm(nn.Module):
    """3x3x3 convolution and InstanceNorm, for an activated input."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, kernel_size: int = 3) -> None:
        super().__init__()
        padding = kernel_size // 2 if kernel_size % 2 else 0
        self.conv = nn.Conv3d(in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False)
        self.norm = InstanceNorm(out_channels, affine=True)

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """Convolve and normalise."""
        return self.norm(self.conv(x_BCXYZ))  # type: ignore[no-any-return]


class DepthwiseConv(nn.Conv3d):
    """Dilated 3x3x3 convolution of each channel by itself."""

    def __init__(self, channels: int, *, stride: int, dilation: int) -> None:
        options = {"stride": stride, "padding": dilation, "dilation": dilation}
        super().__init__(channels, channels, 3, groups=channels, bias=False, **options)  # type: ignore[arg-type]

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """Convolve each channel."""
        return kernels.depthwise_conv(x_BCXYZ, self.weight, stride=self.stride[0], dilation=self.dilation[0])


class SeparableConvNorm(nn.Module):
    """Depthwise dilated 3x3x3 convolution, pointwise convolution and InstanceNorm, for an activated input."""

    def __init__(self, channels: int, *, stride: int, dilation: int) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv(channels, stride=stride, dilation=dilation)
        self.pointwise = nn.Conv3d(channels, channels, 1, bias=False)
        self.norm = InstanceNorm(channels, affine=True)

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """Convolve each channel, mix the channels, normalise."""
        return self.norm(self.pointwise(self.depthwise(x_BCXYZ)))  # type: ignore[no-any-return]


class Pool(nn.Module):
    """3x3x3 pooling, padded by one."""

    def __init__(self, operation: Operation, *, stride: int) -> None:
        super().__init__()
        self._pool = kernels.max_pool if operation is Operation.MAX_POOL else kernels.average_pool
        self._stride = stride

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """Pool."""
        return self._pool(x_BCXYZ, stride=self._stride)


class Halve(nn.Module):
    """2x2x2 average at stride two: the identity of a reduction cell."""

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """Average."""
        return kernels.halve(x_BCXYZ)


class PoolNorm(nn.Module):
    """3x3x3 pooling and InstanceNorm without parameters."""

    def __init__(self, pool: Pool, channels: int) -> None:
        super().__init__()
        self.pool = pool
        self.norm = InstanceNorm(channels)

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """Pool and normalise."""
        return self.norm(self.pool(x_BCXYZ))  # type: ignore[no-any-return]


class Zero(nn.Module):
    """A disconnection: zeros of the right size. Only a mixture runs it; a built network leaves it out."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """Return zeros."""
        step = self.stride
        return torch.zeros_like(x_BCXYZ[..., ::step, ::step, ::step])


def make_operation(operation: Operation, channels: int, stride: int) -> nn.Module:
    """Build the module of an operation on ``channels`` channels at stride 1 or 2."""
    if operation is Operation.CONV:
        return ConvNorm(channels, channels, stride=stride)
    if operation in DILATIONS:
        return SeparableConvNorm(channels, stride=stride, dilation=DILATIONS[operation])
    if operation in (Operation.MAX_POOL, Operation.AVERAGE_POOL):
        return PoolNorm(Pool(operation, stride=stride), channels)
    if operation is Operation.IDENTITY:
        return nn.Identity() if stride == 1 else Halve()
    return Zero(stride)
