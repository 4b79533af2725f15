"""The canary: a synthetic patch to which the network answers with every one of its classes.

Noise alone may leave a network answering nothing but background, and a canary of background would not notice
an engine that answers nothing else. So the patch is smooth noise pushed, by gradient ascent on the network's
own answer, until each class is seen. No patient data is involved.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, cross_entropy

from scnas_deploy.errors import ExportError
from scnas_deploy.inference.package import Canary
from scnas_deploy.types import Shape3

_MAX_STEPS = 100
_MIN_FRACTION = 0.005


def make_canary(network: nn.Module, in_channels: int, num_classes: int, patch_size: Shape3, *, seed: int = 0) -> Canary:
    """Make a canary of a network.

    Args:
        network: On the CPU, ready to evaluate; its parameters are left as they are.
        in_channels: Channels of a patch.
        num_classes: Classes, background included.
        patch_size: Voxels along X, Y, Z.
        seed: Of the noise.

    Raises:
        ExportError: If some class cannot be brought about: such a network never answers it.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = avg_pool3d(torch.randn(1, in_channels, *patch_size, generator=generator), 5, stride=1, padding=2)
    patch = (noise / noise.std()).requires_grad_()
    target = _target(num_classes, patch_size)
    optimizer = torch.optim.Adam([patch], lr=0.1)
    for _ in range(_MAX_STEPS):
        logits = network(patch)
        if _smallest_share(logits.argmax(dim=1), num_classes) >= _MIN_FRACTION:
            return _finish(network, patch)
        optimizer.zero_grad()
        gradient = torch.autograd.grad(cross_entropy(logits, target), patch)[0]
        patch.grad = gradient
        optimizer.step()
    raise ExportError(
        "canary",
        expected=f"a network that can answer all of its {num_classes} classes",
        found=f"one that does not after {_MAX_STEPS} steps towards them",
        remedy="Train it longer; check that every label occurs in the training cases",
    )


def _target(num_classes: int, patch_size: Shape3) -> Tensor:
    """One slab a class across the middle of the patch, background around them."""
    target = torch.zeros(1, *patch_size, dtype=torch.long)
    x, y, z = patch_size
    middle = slice(y // 4, y - y // 4)
    bounds = [middle.start + (middle.stop - middle.start) * i // (num_classes - 1) for i in range(num_classes)]
    for index in range(1, num_classes):
        target[:, x // 4 : x - x // 4, bounds[index - 1] : bounds[index], z // 4 : z - z // 4] = index
    return target


def _smallest_share(classes: Tensor, num_classes: int) -> float:
    return min(float((classes == index).float().mean()) for index in range(num_classes))


@torch.no_grad()
def _finish(network: nn.Module, patch: Tensor) -> Canary:
    patches = patch.detach()
    logits = network(patches)
    return Canary(patches.numpy(), logits.numpy(), logits[0].argmax(dim=0).to(torch.uint8).numpy())
