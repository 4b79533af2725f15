"""The network of RONASMIS, which is its own supernet: a child is a way through it.

Bae et al. 2019 (MICCAI, arXiv 1909.00548): a U-Net with InstanceNorm, ordinary convolutions, 1x1x1 convolutions on
the skip connections as in DeepLabV3+, sums of matched channels where a U-Net concatenates, and deep supervision.
Ours to choose: four stages that double the channels, max-pooling down, trilinear upsampling, a skip from a finer
stage averaged down, and kernels that all dilations, strides and activations share.

Legend: B batch, C channels, K classes, X Y Z voxels in NIfTI order.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Final

from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, conv3d, elu, interpolate, leaky_relu, max_pool3d, relu

from scnas_deploy.networks.operations import NEGATIVE_SLOPE, ConvNorm, InstanceNorm
from scnas_deploy.networks.ronasmis_settings import NUM_STAGES, SKIPS, Activation, RonasmisArchitecture

_ACTIVATIONS: Final[dict[Activation, Callable[[Tensor], Tensor]]] = {
    Activation.RELU: relu,
    Activation.LEAKY_RELU: lambda x: leaky_relu(x, NEGATIVE_SLOPE),
    Activation.ELU: elu,
}


class RonasmisNetwork(nn.Module):
    """Encoder and decoder with what an architecture needs.

    Args:
        architecture: What to build. All of its skips and none of its paths dropped make a supernet, which runs
            every architecture of its width.
        in_channels: Channels of the image.
        num_classes: Classes of the output, background included.
    """

    def __init__(self, architecture: RonasmisArchitecture, *, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.architecture = architecture
        widths = [architecture.stem_channels * 2**stage for stage in range(NUM_STAGES)]
        inputs = [in_channels, *widths[:-1]]
        self.first = nn.ModuleList(DilatedConvNorm(narrow, wide) for narrow, wide in zip(inputs, widths, strict=True))
        kept = [stage for stage, dropped in enumerate(architecture.dropped) if not dropped]
        self.second = nn.ModuleDict({str(stage): DilatedConvNorm(widths[stage], widths[stage]) for stage in kept})
        joined = [pair for pair, exists in zip(SKIPS, architecture.skips, strict=True) if exists]
        self.skips = nn.ModuleDict(
            {_name(*pair): ConvNorm(*(widths[s] for s in pair), kernel_size=1) for pair in joined}
        )
        self.up = nn.ModuleList(ConvNorm(wide, narrow, kernel_size=1) for narrow, wide in pairwise(widths))
        self.decoder = nn.ModuleList(DilatedConvNorm(width, width) for width in widths[:-1])
        self.maps = nn.ModuleList(nn.Conv3d(width, num_classes, 1) for width in widths[:-1])

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """Return logits (B, K, X, Y, Z); X, Y and Z are multiples of the last of the architecture's resolutions."""
        return self.run(x_BCXYZ, self.architecture)

    def run(self, x_BCXYZ: Tensor, child: RonasmisArchitecture) -> Tensor:
        """Return the logits of a way through a supernet."""
        logits: Tensor = self.maps[0](self._decode(x_BCXYZ, child)[0])
        return logits

    def supervised(self, x_BCXYZ: Tensor, child: RonasmisArchitecture | None = None) -> list[Tensor]:
        """Return the logits of each decoder stage at the image's resolution, the finest stage first.

        Args:
            x_BCXYZ: The image.
            child: The way through a supernet; None runs what was built.
        """
        child = child or self.architecture
        states = self._decode(x_BCXYZ, child)
        pairs = zip(self.maps, states, child.resolutions[:-1], strict=True)
        return [_enlarge(head(state), resolution) for head, state, resolution in pairs]

    def _decode(self, x_BCXYZ: Tensor, child: RonasmisArchitecture) -> list[Tensor]:
        """Return the states of the decoder stages, the finest first."""
        activate = _ACTIVATIONS[child.activation]
        encoded = self._encode(x_BCXYZ, child, activate)
        exists = dict(zip(SKIPS, child.skips, strict=True))
        states: list[Tensor] = []
        state = encoded[-1]
        for stage in reversed(range(NUM_STAGES - 1)):
            state = _enlarge(self.up[stage](state), child.strides[stage])
            for source in range(stage + 1):
                if exists[source, stage]:
                    ratio = child.resolutions[stage] // child.resolutions[source]
                    finer = encoded[source] if ratio == 1 else avg_pool3d(encoded[source], ratio)
                    state = state + self.skips[_name(source, stage)](finer)
            state = activate(self.decoder[stage](activate(state)))
            states.insert(0, state)
        return states

    def _encode(
        self, x_BCXYZ: Tensor, child: RonasmisArchitecture, activate: Callable[[Tensor], Tensor]
    ) -> list[Tensor]:
        states: list[Tensor] = []
        state = x_BCXYZ
        for stage, (stride, dilation) in enumerate(zip((1, *child.strides), (1, *child.dilations), strict=True)):
            state = state if stride == 1 else max_pool3d(state, stride)
            state = activate(self.first[stage](state, dilation))
            if not child.dropped[stage]:
                state = state + activate(self.second[str(stage)](state, dilation))
            states.append(state)
        return states


class DilatedConv(nn.Conv3d):
    """3x3x3 convolution whose kernel serves every dilation."""

    def forward(self, x_BCXYZ: Tensor, dilation: int = 1) -> Tensor:
        """Convolve."""
        return conv3d(x_BCXYZ, self.weight, padding=dilation, dilation=dilation)


class DilatedConvNorm(nn.Module):
    """3x3x3 convolution at any dilation and InstanceNorm."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = DilatedConv(in_channels, out_channels, 3, bias=False)
        self.norm = InstanceNorm(out_channels, affine=True)

    def forward(self, x_BCXYZ: Tensor, dilation: int = 1) -> Tensor:
        """Convolve and normalise."""
        return self.norm(self.conv(x_BCXYZ, dilation))  # type: ignore[no-any-return]


def _name(encoder: int, decoder: int) -> str:
    return f"{encoder}_to_{decoder}"


def _enlarge(x_BCXYZ: Tensor, factor: int) -> Tensor:
    return x_BCXYZ if factor == 1 else interpolate(x_BCXYZ, scale_factor=float(factor), mode="trilinear")
