"""What a network costs, counted on the meta device: nothing is computed and no memory taken.

The unit is the multiply-accumulate (MAC), one multiplication and one addition, in 10^9: GMAC.
"""

import functools
import weakref
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from scnas_deploy.networks.builder import build
from scnas_deploy.networks.genotype import Architecture
from scnas_deploy.types import Shape3


@dataclass(frozen=True, slots=True)
class Complexity:
    """Cost of one patch."""

    gmacs: float
    """Multiply-accumulates of all convolutions, in 10^9."""
    num_parameters: int
    activation_bytes: int
    """Bytes of all layers' outputs in float32: what training keeps, an upper bound for inference."""


def count(architecture: Architecture, *, in_channels: int, num_classes: int, patch_size: Shape3) -> Complexity:
    """Count what a network costs for one patch.

    Args:
        architecture: The network.
        in_channels: Channels of the patch.
        num_classes: Classes, background included.
        patch_size: Voxels along X, Y, Z.
    """
    with torch.device("meta"):
        network = build(architecture, in_channels=in_channels, num_classes=num_classes)
        patch = torch.empty(1, in_channels, *patch_size)
    return count_module(network, patch)


def peak_activation_bytes(architecture: Architecture, *, in_channels: int, num_classes: int, patch_size: Shape3) -> int:
    """Most bytes of patch and layers' results in memory at once while one patch passes, in float32.

    A result counts from the layer that makes it until its last use in the order in which the modules run.
    """
    with torch.device("meta"):
        network = build(architecture, in_channels=in_channels, num_classes=num_classes)
        patch = torch.empty(1, in_channels, *patch_size)
    live = _LiveBytes()
    with torch.no_grad(), live:
        network(patch)
    return live.peak + patch.numel() * patch.element_size()


def fit_width(
    architecture: Architecture, gmacs: float, *, in_channels: int, num_classes: int, patch_size: Shape3
) -> Architecture:
    """Return the architecture at the width, a multiple of four, whose cost comes nearest to a target.

    Args:
        architecture: What to widen or narrow.
        gmacs: Multiply-accumulates of one patch to aim at, in 10^9.
        in_channels: Channels of the patch.
        num_classes: Classes, background included.
        patch_size: Voxels along X, Y, Z.
    """

    @functools.cache
    def distance(quarter: int) -> float:
        wide = architecture.with_stem(4 * quarter)
        return count(wide, in_channels=in_channels, num_classes=num_classes, patch_size=patch_size).gmacs - gmacs

    low, high = 1, 2
    while distance(high) < 0:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if distance(middle) < 0 else (low, middle)
    return architecture.with_stem(4 * min((low, high), key=lambda quarter: abs(distance(quarter))))


def count_module(network: nn.Module, patch_BCXYZ: Tensor) -> Complexity:
    """Count any module made of convolutions, on a patch of the module's own device."""
    macs = 0
    activations = 0

    def observe(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs, activations
        activations += output.numel() * output.element_size()
        if isinstance(module, nn.Conv3d):
            per_output = module.in_channels // module.groups * prod(module.kernel_size)
            macs += output.numel() * per_output
        if isinstance(module, nn.ConvTranspose3d):
            macs += inputs[0].numel() * module.out_channels // module.groups * prod(module.kernel_size)

    leaves = [module for module in network.modules() if not list(module.children())]
    handles = [module.register_forward_hook(observe) for module in leaves]
    try:
        with torch.no_grad():
            network(patch_BCXYZ)
    finally:
        for handle in handles:
            handle.remove()
    return Complexity(macs / 1e9, sum(parameter.numel() for parameter in network.parameters()), activations)


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the bytes of the storages that operators make, until they are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._live: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and take note of its results; a view brings nothing new."""
        results = func(*args, **(kwargs or {}))
        given = {id(value.untyped_storage()) for value in tree_leaves(args) if isinstance(value, Tensor)}
        for result in tree_leaves(results):
            storage = result.untyped_storage() if isinstance(result, Tensor) else None
            if storage is not None and id(storage) not in self._live and id(storage) not in given:
                self._live[id(storage)] = storage.nbytes()
                weakref.finalize(storage, self._live.pop, id(storage))
        self.peak = max(self.peak, sum(self._live.values()))
        return results
