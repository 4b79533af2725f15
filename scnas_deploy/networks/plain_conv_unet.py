"""nnU-Net's own network, from its own package, for comparisons on equal terms."""

from torch import nn

from scnas_deploy.extras import require
from scnas_deploy.networks.operations import NEGATIVE_SLOPE


def plain_conv_unet(*, in_channels: int, num_classes: int, stem_channels: int) -> nn.Module:
    """Build PlainConvUNet as nnU-Net v2 plans it for Task04_Hippocampus; at 32 channels 19.1 GMAC, 5.6 M parameters.

    Four stages of two 3x3x3 convolutions, one a stage on the way up, InstanceNorm, LeakyReLU; deep supervision,
    which nnU-Net trains with, is left out: all networks here are trained alike.

    Raises:
        MissingExtraError: If the package dynamic-network-architectures is not installed.
    """
    unet = require(
        "dynamic_network_architectures.architectures.unet", extra="baselines", purpose="building nnU-Net's network"
    )
    network: nn.Module = unet.PlainConvUNet(
        in_channels,
        n_stages=4,
        features_per_stage=[stem_channels * 2**level for level in range(4)],
        conv_op=nn.Conv3d,
        kernel_sizes=3,
        strides=[1, 2, 2, 2],
        n_conv_per_stage=2,
        num_classes=num_classes,
        n_conv_per_stage_decoder=2,
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"negative_slope": NEGATIVE_SLOPE},
        deep_supervision=False,
    )
    return network
