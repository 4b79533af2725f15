"""Training kernels: the layers where PyTorch's CPU library spends most of a search step, made for rows.

Each function answers what PyTorch's own layer answers, for the value and the gradients, and hands over to that
layer wherever the kernels are not made for the tensor: off the CPU, in another precision, without gradients,
while a network is exported, or where numba is not installed. `benchmarks/train_step.py` shows what they bring.

Legend: B batch, C channels, X Y Z voxels in NIfTI order.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Final, cast

import torch
from torch import Tensor
from torch.nn import functional

_COMPILER_INSTALLED: Final = find_spec("numba") is not None


def instance_norm(x_BCXYZ: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """InstanceNorm over X, Y, Z, as :func:`torch.nn.functional.instance_norm`."""
    if not _suits(x_BCXYZ):
        return functional.instance_norm(x_BCXYZ, weight=weight, bias=bias, eps=eps)
    from scnas_deploy.networks.kernels.norm import InstanceNorm

    return cast(Tensor, InstanceNorm.apply(x_BCXYZ, weight, bias, eps))  # type: ignore[no-untyped-call]


def depthwise_conv(x_BCXYZ: Tensor, weight: Tensor, *, stride: int, dilation: int) -> Tensor:
    """3x3x3 convolution of each channel by itself, padded by the dilation, without bias."""
    if not _suits(x_BCXYZ, stride):
        return functional.conv3d(x_BCXYZ, weight, None, stride, dilation, dilation, groups=len(weight))
    from scnas_deploy.networks.kernels.depthwise import DepthwiseConv

    return cast(Tensor, DepthwiseConv.apply(x_BCXYZ, weight, stride, dilation))  # type: ignore[no-untyped-call]


def max_pool(x_BCXYZ: Tensor, *, stride: int) -> Tensor:
    """3x3x3 maximum, padded by one."""
    if not _suits(x_BCXYZ, stride):
        return functional.max_pool3d(x_BCXYZ, 3, stride, padding=1)
    from scnas_deploy.networks.kernels.pooling import MaxPool

    return cast(Tensor, MaxPool.apply(x_BCXYZ, stride))  # type: ignore[no-untyped-call]


def average_pool(x_BCXYZ: Tensor, *, stride: int) -> Tensor:
    """3x3x3 average that does not count the padding."""
    if not _suits(x_BCXYZ, stride):
        return functional.avg_pool3d(x_BCXYZ, 3, stride, padding=1, count_include_pad=False)
    from scnas_deploy.networks.kernels.pooling import AveragePool

    return cast(Tensor, AveragePool.apply(x_BCXYZ, stride, 1))  # type: ignore[no-untyped-call]


def halve(x_BCXYZ: Tensor) -> Tensor:
    """2x2x2 average at stride two."""
    if not _suits(x_BCXYZ, 2):
        return functional.avg_pool3d(x_BCXYZ, 2)
    from scnas_deploy.networks.kernels.pooling import AveragePool

    return cast(Tensor, AveragePool.apply(x_BCXYZ, 2, 0))  # type: ignore[no-untyped-call]


def concatenate(parts: Sequence[Tensor]) -> Tensor:
    """Channels side by side, as :func:`torch.cat`."""
    if not _suits(parts[0]):
        return torch.cat(tuple(parts), dim=1)
    return cast(Tensor, _Concatenate.apply(*parts))  # type: ignore[no-untyped-call]


def weighted_sum(parts: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """Sum of tensors of one shape, each times its scalar on the CPU; no product is kept for the gradients."""
    return cast(Tensor, _WeightedSum.apply(len(parts), *parts, *weights))  # type: ignore[no-untyped-call]


class _Concatenate(torch.autograd.Function):
    """Its gradients are dense in memory, because every edge of a node reads them."""

    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> Tensor:
        """Concatenate along the channels."""
        ctx.channels = [part.shape[1] for part in parts]
        return torch.cat(parts, dim=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        """Each part's own gradient."""
        parts = torch.split(gradient, ctx.channels, dim=1)
        return tuple(part.contiguous(memory_format=torch.channels_last_3d) for part in parts)


class _WeightedSum(torch.autograd.Function):
    """Arguments: how many parts, the parts, their weights."""

    @staticmethod
    def forward(ctx: Any, count: int, *parts_and_weights: Tensor) -> Tensor:
        """Add up in place."""
        parts, weights = parts_and_weights[:count], parts_and_weights[count:]
        ctx.weights = [float(weight) for weight in weights]
        ctx.save_for_backward(*parts if any(ctx.needs_input_grad[1 + count :]) else ())
        total: Tensor = parts[0] * ctx.weights[0]
        for part, weight in zip(parts[1:], ctx.weights[1:], strict=True):
            total.add_(part, alpha=weight)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the parts, and of the weights where they are asked for."""
        of_parts = [
            gradient * weight if needed else None
            for weight, needed in zip(ctx.weights, ctx.needs_input_grad[1:], strict=False)
        ]
        of_weights = [(gradient * part).sum(dtype=torch.float32).cpu() for part in ctx.saved_tensors]
        return (None, *of_parts, *(of_weights or [None] * len(of_parts)))


def _suits(x_BCXYZ: Tensor, stride: int = 1) -> bool:
    return (
        _COMPILER_INSTALLED
        and x_BCXYZ.device.type == "cpu"
        and x_BCXYZ.dtype == torch.float32
        and torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and all(size % stride == 0 for size in x_BCXYZ.shape[2:])
    )
