"""nnU-Net v2's own predictor with its own network class, its weights taken from a package of ours.

Legend: O, I channels of a convolution's kernel; X Y Z our axes, nnU-Net's arrays run Z Y X.
"""

import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

from scnas_deploy.data.plan import Plan, ZScore
from scnas_deploy.inference.package import WEIGHTS, ModelPackage, open_package
from scnas_deploy.networks.genotype import Architecture, PlainConvUNetArchitecture
from scnas_deploy.networks.weights import load_weights
from scnas_deploy.training.run import build_network

Segmenter = Callable[[Sequence[Path], Path], None]
"""Segments studies, NIfTI files, into a folder of label files of the same names."""

CONFIGURATION = "3d_fullres"
_SUFFIX = ".nii.gz"
_KERNEL_DIMENSIONS = 5


def nnunet_segmenter(package: Path, num_threads: int) -> Segmenter:
    """nnU-Net's predictor with the network of a package, without mirroring.

    Raises:
        ValueError: If the package is not of nnU-Net's network, has no weights, or prepares studies in another way.
    """
    opened = open_package(package)
    predictor = open_predictor(opened.plan, opened.genotype.architecture, state_of(opened), num_threads)
    return partial(predict_files, predictor)


def predict_files(predictor: Any, studies: Sequence[Path], folder: Path) -> None:
    """Have nnU-Net's predictor segment studies one after the other."""
    outputs = [str(folder / study.name.removesuffix(_SUFFIX)) for study in studies]
    with redirect_stdout(StringIO()):
        predictor.predict_from_files_sequential([[str(study)] for study in studies], outputs)


def state_of(package: ModelPackage) -> dict[str, Tensor]:
    """The weights of a package of nnU-Net's network, under all names that its class gives them."""
    with zipfile.ZipFile(package.path) as archive:
        if WEIGHTS not in archive.namelist():
            raise ValueError(f"{package.path.name} has no weights; export it without --no-weights")
        weights = load(archive.read(WEIGHTS))
    network = build_network(package.genotype.architecture, package.plan)
    load_weights(network, weights)
    return network.state_dict()


def open_predictor(plan: Plan, architecture: Architecture, state: Mapping[str, Tensor], num_threads: int) -> Any:
    """nnU-Net's predictor on the CPU with a plan, network and weights that say what ours say."""
    os.environ["nnUNet_def_n_proc"] = str(num_threads)  # noqa: SIM112 (so it is called; read at import)
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    torch.set_num_threads(num_threads)
    plans = PlansManager(plans_of(plan, architecture))
    configuration = plans.get_configuration(CONFIGURATION)
    network = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        len(plan.channels),
        plan.num_classes,
        deep_supervision=False,
    )
    with redirect_stdout(StringIO()):  # it says that its results stay in the computer's own memory
        predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    weights = turned(state)
    network.load_state_dict(weights)
    predictor.manual_initialization(network, plans, configuration, [weights], dataset_of(plan), "nnUNetTrainer", None)
    return predictor


def turned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same network's weights for arrays whose axes run Z Y X: kernels (O, I, X, Y, Z) become (O, I, Z, Y, X)."""
    return {
        name: (weight.transpose(2, 4).contiguous() if weight.ndim == _KERNEL_DIMENSIONS else weight)
        for name, weight in state.items()
    }


def dataset_of(plan: Plan) -> dict[str, Any]:
    """What nnU-Net's predictor reads of its dataset.json."""
    return {
        "channel_names": {str(index): channel.name for index, channel in enumerate(plan.channels)},
        "labels": {"background": 0, **{label.name: label.value for label in plan.labels}},
        "file_ending": _SUFFIX,
    }


def plans_of(plan: Plan, architecture: Architecture) -> dict[str, Any]:
    """A plans.json as nnU-Net's planner writes one, with our plan's patch, spacing and network.

    Raises:
        ValueError: If nnU-Net would prepare studies in another way, or the network is not its own.
    """
    consecutive = plan.class_values == tuple(range(plan.num_classes))
    alike = consecutive and all(isinstance(channel.normalisation, ZScore) for channel in plan.channels)
    if not alike or not isinstance(architecture, PlainConvUNetArchitecture):
        raise ValueError("only packages of nnU-Net's network, z-scored and with labels 1, 2, ... can be compared")
    num_channels = len(plan.channels)
    resampling = "resample_data_or_seg_to_shape"
    return {
        "dataset_name": plan.name,
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "label_manager": "LabelManager",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "foreground_intensity_properties_per_channel": {str(index): {} for index in range(num_channels)},
        "configurations": {
            CONFIGURATION: {
                "preprocessor_name": "DefaultPreprocessor",
                "patch_size": list(reversed(plan.patch_size)),
                "spacing": list(reversed(plan.spacing_mm)),
                "normalization_schemes": ["ZScoreNormalization"] * num_channels,
                "use_mask_for_norm": [False] * num_channels,
                "resampling_fn_data": resampling,
                "resampling_fn_data_kwargs": _resampling(is_seg=False, order=3),
                "resampling_fn_seg": resampling,
                "resampling_fn_seg_kwargs": _resampling(is_seg=True, order=1),
                "resampling_fn_probabilities": resampling,
                "resampling_fn_probabilities_kwargs": _resampling(is_seg=False, order=1),
                "architecture": _network(architecture.stem_channels),
            }
        },
    }


def _resampling(*, is_seg: bool, order: int) -> dict[str, Any]:
    return {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}


def _network(stem_channels: int) -> dict[str, Any]:
    """Four stages, as nnU-Net plans them for Task04_Hippocampus, at 32 channels."""
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 4,
            "features_per_stage": [stem_channels * 2**stage for stage in range(4)],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * 4,
            "strides": [[1, 1, 1], *[[2, 2, 2]] * 3],
            "n_conv_per_stage": [2] * 4,
            "n_conv_per_stage_decoder": [2] * 3,
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
