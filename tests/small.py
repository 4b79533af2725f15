"""A small network that knows the phantom, for exports in lower precision.

Weights that nobody trained leave most voxels undecided between two classes, and any rounding decides them. So the last
layer is fitted to the phantom's masks by least squares; it takes a moment and gives a network of clear answers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, max_pool3d, one_hot

from scnas_deploy.training.patches import Sample


class SmallNetwork(nn.Module):
    """A U of two levels, its joined states read by a convolution, in the operators of the real networks."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = ConvNorm(1, 16)
        self.low = ConvNorm(16, 32)
        self.deep = ConvNorm(32, 32, dilation=2, groups=32)
        self.joined = ConvNorm(48, 32)
        self.head = nn.Conv3d(32, num_classes, 1)

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """Return logits."""
        return self.head(leaky_relu(self.features(x_BCXYZ)))

    def features(self, x_BCXYZ: Tensor) -> Tensor:
        """Return what the last layer reads, before its activation."""
        high = leaky_relu(self.stem(x_BCXYZ))
        low = leaky_relu(self.low(max_pool3d(high, 2)))
        low = low + self.deep(low)
        return self.joined(torch.cat([interpolate(low, scale_factor=2.0, mode="trilinear"), high], dim=1))


class ConvNorm(nn.Sequential):
    """3x3x3 convolution and InstanceNorm."""

    def __init__(self, in_channels: int, out_channels: int, *, dilation: int = 1, groups: int = 1) -> None:
        options = {"padding": dilation, "dilation": dilation, "groups": groups, "bias": False}
        super().__init__(
            nn.Conv3d(in_channels, out_channels, 3, **options), nn.InstanceNorm3d(out_channels, affine=True)
        )


@torch.no_grad()
def small_network(samples: Sequence[Sample], num_classes: int) -> SmallNetwork:
    """A network whose last layer is fitted to samples."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = SmallNetwork(num_classes).eval()
    states = [leaky_relu(network.features(image[None]))[0].flatten(1).T for image, _ in samples]
    classes = torch.cat([classes.flatten() for _, classes in samples]).long()
    wanted = one_hot(classes, num_classes).float()
    inputs = torch.cat([torch.cat(states), torch.ones(len(classes), 1)], dim=1)
    even = (1 / wanted.mean(dim=0))[classes][:, None].sqrt()  # each class counts alike
    solution = 10 * torch.linalg.lstsq(inputs * even, wanted * even).solution
    network.head.weight.copy_(solution[:-1].T.reshape(network.head.weight.shape))
    network.head.bias.copy_(solution[-1])
    return network
