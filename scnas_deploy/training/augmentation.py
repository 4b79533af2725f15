"""nnU-Net's augmentation of 2018, the one SCNAS was trained with, from batchgeneratorsv2.

Isensee et al. 2018, arXiv 1809.10486: elastic deformation, scaling, rotation, gamma and mirroring. Random
numbers come from the global generators, which :func:`scnas_deploy.training.seeding.global_seed` keys by sample.
"""

from dataclasses import dataclass

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from torch import Tensor

from scnas_deploy.types import Shape3


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentationConfig:
    """Probabilities and ranges; the defaults are nnU-Net's of 2018."""

    p_elastic: float = 0.2
    elastic_sigma_voxels: tuple[float, float] = (9.0, 13.0)
    elastic_voxels: tuple[float, float] = (0.0, 7.0)
    """Largest displacement. The original's alpha of 0 to 900 at these sigmas moves voxels by about as much."""
    p_scaling: float = 0.2
    scaling: tuple[float, float] = (0.85, 1.25)
    p_rotation: float = 0.2
    rotation_degrees: float = 15.0
    p_gamma: float = 0.3
    gamma: tuple[float, float] = (0.7, 1.5)
    mirror: bool = True
    """Mirror along the plan's axes."""

    @property
    def moves_voxels(self) -> bool:
        """Whether anything but mirroring changes where a voxel is."""
        return max(self.p_elastic, self.p_scaling, self.p_rotation) > 0


NO_AUGMENTATION = AugmentationConfig(p_elastic=0, p_scaling=0, p_rotation=0, p_gamma=0, mirror=False)


class Augmentation:
    """Turns a region larger than the patch into an augmented patch."""

    def __init__(self, config: AugmentationConfig, patch_size: Shape3, mirror_axes: tuple[int, ...]) -> None:
        self.region_size = _region_size(config, patch_size)
        transforms: list[BasicTransform] = [_spatial(config, patch_size)]
        if config.p_gamma > 0:
            gamma = GammaTransform(
                gamma=config.gamma, p_invert_image=0, synchronize_channels=False, p_per_channel=1, p_retain_stats=1
            )
            transforms.append(RandomTransform(gamma, apply_probability=config.p_gamma))
        if config.mirror and mirror_axes:
            transforms.append(MirrorTransform(allowed_axes=mirror_axes))
        self._transforms = ComposeTransforms(transforms)

    def __call__(self, image_CXYZ: Tensor, classes_XYZ: Tensor) -> tuple[Tensor, Tensor]:
        """Augment one region; returns image (C, *patch), float32, and classes (*patch), int64."""
        result = self._transforms(image=image_CXYZ, segmentation=classes_XYZ[None])
        return result["image"].contiguous(), result["segmentation"][0].long()


def _spatial(config: AugmentationConfig, patch_size: Shape3) -> SpatialTransform:
    def sigma_fraction(dim: int, **_: object) -> float:
        return float(np.random.uniform(*config.elastic_sigma_voxels)) / patch_size[dim]  # noqa: NPY002

    angle = np.deg2rad(config.rotation_degrees)
    return SpatialTransform(
        patch_size=patch_size,
        patch_center_dist_from_border=0,
        random_crop=False,
        p_elastic_deform=config.p_elastic,
        elastic_deform_scale=sigma_fraction,
        elastic_deform_magnitude=config.elastic_voxels,
        p_rotation=config.p_rotation,
        rotation=(-angle, angle),
        p_scaling=config.p_scaling,
        scaling=config.scaling,
        p_synchronize_scaling_across_axes=1,
    )


def _region_size(config: AugmentationConfig, patch_size: Shape3) -> Shape3:
    """The box that holds every voxel a turned and scaled patch may ask for."""
    if not config.moves_voxels:
        return patch_size
    half = torch.tensor(patch_size, dtype=torch.float64)
    sine = float(np.sin(np.deg2rad(config.rotation_degrees)))
    reach = half + sine * (half.sum() - half)
    x, y, z = (torch.ceil(reach * config.scaling[1]) + 2 * round(config.elastic_voxels[1] / 2)).int().tolist()
    return x, y, z
