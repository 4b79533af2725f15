"""Where patches lie and how their answers are blended.

Legend: P patches along one axis, X Y Z voxels in NIfTI order.

Patches form a regular product grid, so the weight of a voxel in a patch is a product of three one-axis
weights, and so is the sum of weights over all patches. Dividing each axis' weights by their own sum first
makes the weights of all patches sum to one at every voxel, corners included: no weight volume, no division
afterwards, and no tiny sums to clamp.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Literal

import numpy as np
from jaxtyping import Float32

from scnas_deploy.errors import ConfigError
from scnas_deploy.types import Shape3

Blending = Literal["gaussian", "constant"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TilingConfig:
    """How a volume is cut into patches."""

    patch_size: Shape3
    """Voxels per patch, (X, Y, Z)."""
    overlap: float = 0.5
    """Least part of a patch that the next one along an axis covers again."""
    blending: Blending = "gaussian"
    """Importance within a patch: Gaussian with sigma = patch / 8, or the same everywhere."""

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < 1 or min(self.patch_size) < 1:
            raise ConfigError(
                "tiling",
                expected="0 <= overlap < 1 and a positive patch size",
                found=f"overlap {self.overlap}, patch size {self.patch_size}",
                remedy="Correct the setting",
            )


@dataclass(frozen=True, slots=True)
class AxisTiling:
    """The patches along one axis."""

    starts: tuple[int, ...]
    """First voxel of each patch, rising; the first is 0, the last ends with the volume."""
    weights_PN: Float32[np.ndarray, "P N"]
    """Weight of each of a patch's N voxels, read-only; over all patches they sum to one at every voxel."""


@lru_cache(maxsize=256)
def tile_axis(size: int, patch: int, config: TilingConfig) -> AxisTiling:
    """Lay patches along an axis of at least ``patch`` voxels.

    Starts are evenly spaced, at most patch * (1 - overlap) apart. Studies of one size share the result.
    """
    starts = patch_starts(size, patch, config.overlap)
    within = importance(patch, config.blending)
    total = np.zeros(size)
    for start in starts:
        total[start : start + patch] += within
    weights_PN = np.stack([within / total[start : start + patch] for start in starts]).astype(np.float32)
    weights_PN.flags.writeable = False
    return AxisTiling(starts, weights_PN)


def patch_starts(size: int, patch: int, overlap: float) -> tuple[int, ...]:
    """Return the first voxel of each patch along an axis of at least ``patch`` voxels."""
    longest_step = max(1, int(patch * (1 - overlap)))
    count = ceil((size - patch) / longest_step) + 1
    return tuple(int(start) for start in np.round(np.linspace(0, size - patch, count)))


def whole_size(shape: Shape3, patch_size: Shape3, multiple: int) -> Shape3:
    """Return the voxels along X, Y, Z that hold a whole volume: multiples, and no fewer than the patch's.

    A network has learnt patches of that size, small cases padded to it.
    """
    x, y, z = (-(-max(size, patch) // multiple) * multiple for size, patch in zip(shape, patch_size, strict=True))
    return x, y, z


def padding(shape: Shape3, patch_size: Shape3) -> tuple[tuple[int, int], ...]:
    """Return how many voxels to add before and after each axis, so that a patch fits."""
    missing = [max(0, patch - size) for size, patch in zip(shape, patch_size, strict=True)]
    return tuple((total // 2, total - total // 2) for total in missing)


def importance(patch: int, blending: Blending) -> np.ndarray:
    """Weight of each of a patch's voxels along one axis, before it is divided by the sum over patches."""
    if blending == "constant":
        return np.ones(patch)
    distance = np.arange(patch) - (patch - 1) / 2
    importance: np.ndarray = np.exp(-0.5 * (distance / (patch / 8)) ** 2)
    return importance
