"""3D U-ResNet, the baseline of Kim et al. 2019 (arXiv 1906.05956), section 3.

The paper names residual blocks, "multiple segmentation maps" (Kayalibay et al. 2017, arXiv 1701.03056), attention
gates (Oktay et al. 2018, arXiv 1804.03999), 32 channels first, and 419.59 G for 4 x 128^3. Ours to choose where
it is silent, so that the count comes to 419.53 GMAC and 5.33 M parameters: max-pooling down, 2x2x2 transposed
convolutions up, skips summed, a shortcut convolution only where a block changes the channels, and the gates as
wide as the skip they gate.

Legend: B batch, C channels, K classes, X Y Z voxels in NIfTI order.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool3d, relu

from scnas_deploy.networks.operations import ConvNorm, InstanceNorm

NUM_LEVELS = 4


class UResNet(nn.Module):
    """The network at any width."""

    def __init__(self, *, in_channels: int, num_classes: int, stem_channels: int) -> None:
        super().__init__()
        widths = [stem_channels * 2**level for level in range(NUM_LEVELS)]
        self.stem = ConvNorm(in_channels, stem_channels)
        self.encoder = nn.ModuleList(
            ResidualBlock(widths[max(level - 1, 0)], width) for level, width in enumerate(widths)
        )
        above, below = widths[:-1], widths[1:]
        pairs = list(zip(above, below, strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose3d(wide, narrow, 2, stride=2) for narrow, wide in pairs)
        self.gates = nn.ModuleList(AttentionGate(narrow, wide) for narrow, wide in pairs)
        self.decoder = nn.ModuleList(ResidualBlock(width, width) for width in above)
        self.maps = nn.ModuleList(nn.Conv3d(width, num_classes, 1) for width in above)

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """Return logits (B, K, X, Y, Z): the sum of the maps at all resolutions but the lowest."""
        state = self.stem(x_BCXYZ)
        skips = []
        for level, block in enumerate(self.encoder):
            state = block(max_pool3d(state, 2) if level else state)
            skips.append(state)
        logits: Tensor | None = None
        for level in reversed(range(NUM_LEVELS - 1)):
            state = self.decoder[level](self.up[level](state) + self.gates[level](skips[level], state))
            own: Tensor = self.maps[level](state)
            logits = own if logits is None else own + _double(logits)
        assert logits is not None
        return logits


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions with InstanceNorm, and a shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first, self.second = ConvNorm(in_channels, out_channels), ConvNorm(out_channels, out_channels)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv3d(in_channels, out_channels, 1, bias=False)

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """Convolve twice and add the input."""
        return relu(self.second(relu(self.first(x_BCXYZ))) + self.shortcut(x_BCXYZ))


class AttentionGate(nn.Module):
    """Additive attention of a skip connection, gated by the level below (Oktay et al. 2018, section 2)."""

    def __init__(self, skip_channels: int, gate_channels: int) -> None:
        super().__init__()
        self.theta = nn.Conv3d(skip_channels, skip_channels, 2, stride=2, bias=False)
        self.phi = nn.Conv3d(gate_channels, skip_channels, 1)
        self.psi = nn.Conv3d(skip_channels, 1, 1)
        self.out = nn.Conv3d(skip_channels, skip_channels, 1)
        self.norm = InstanceNorm(skip_channels, affine=True)

    def forward(self, skip_BCXYZ: Tensor, gate_BCXYZ: Tensor) -> Tensor:
        """Weigh each voxel of the skip between zero and one."""
        weight_B1XYZ = torch.sigmoid(self.psi(relu(self.theta(skip_BCXYZ) + self.phi(gate_BCXYZ))))
        gated: Tensor = self.norm(self.out(skip_BCXYZ * _double(weight_B1XYZ)))
        return gated


def _double(x_BCXYZ: Tensor) -> Tensor:
    return interpolate(x_BCXYZ, scale_factor=2.0, mode="trilinear")
