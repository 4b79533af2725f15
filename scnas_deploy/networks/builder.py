"""The only way from a genotype to a network."""

from torch import nn

from scnas_deploy.networks.cells import FixedGraph
from scnas_deploy.networks.chain import UChain
from scnas_deploy.networks.genotype import Architecture, PlainConvUNetArchitecture, UResNetArchitecture
from scnas_deploy.networks.plain_conv_unet import plain_conv_unet
from scnas_deploy.networks.ronasmis import RonasmisNetwork
from scnas_deploy.networks.ronasmis_settings import RonasmisArchitecture
from scnas_deploy.networks.u_resnet import UResNet


def build(architecture: Architecture, *, in_channels: int, num_classes: int) -> nn.Module:
    """Build the network of an architecture, freshly initialised from PyTorch's global generator.

    Args:
        architecture: What to build, its width included.
        in_channels: Channels of the input image.
        num_classes: Classes of the output, background included.

    Returns:
        A module from (B, C, X, Y, Z) to logits (B, K, X, Y, Z), float32; X, Y and Z multiples of eight.

    Raises:
        MissingExtraError: Where nnU-Net's network is asked for and its package is not installed.
    """
    if isinstance(architecture, RonasmisArchitecture):
        return RonasmisNetwork(architecture, in_channels=in_channels, num_classes=num_classes)
    shape = {"in_channels": in_channels, "num_classes": num_classes, "stem_channels": architecture.stem_channels}
    if isinstance(architecture, UResNetArchitecture):
        return UResNet(**shape)
    if isinstance(architecture, PlainConvUNetArchitecture):
        return plain_conv_unet(**shape)
    return UChain(lambda place: FixedGraph(architecture.cells.of(place.cell_type), place), **shape)
