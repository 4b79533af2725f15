"""Turning a study's axes to the closest RAS+ directions, and back, without touching a voxel's value."""

from dataclasses import dataclass, replace

import numpy as np

from scnas_deploy.data.nibabel_library import nib
from scnas_deploy.data.volume import Volume
from scnas_deploy.types import Shape3


@dataclass(frozen=True, slots=True)
class AxisMapping:
    """How a study's axes were permuted and flipped."""

    permutation: tuple[int, int, int]
    """RAS axis -> the study's axis."""
    flipped: tuple[bool, bool, bool]
    """For each RAS axis, whether it runs against the study's axis."""

    def forward(self, voxels_XYZ: np.ndarray) -> np.ndarray:
        """Turn (..., X, Y, Z) from the study's axes to RAS; a view."""
        return _turn(voxels_XYZ, self.permutation, self.flipped)

    def backward(self, voxels_XYZ: np.ndarray) -> np.ndarray:
        """Turn (..., X, Y, Z) from RAS back to the study's axes; a view."""
        inverse = np.argsort(self.permutation)
        flipped = tuple(self.flipped[axis] for axis in inverse)
        return _turn(voxels_XYZ, tuple(int(axis) for axis in inverse), flipped)

    def backward_shape(self, shape: Shape3) -> Shape3:
        """Return the study's shape, given the one after turning to RAS."""
        x, y, z = (shape[int(axis)] for axis in np.argsort(self.permutation))
        return x, y, z


def axis_mapping(affine_ras: np.ndarray) -> AxisMapping:
    """Return the mapping of an affine's axes to the closest RAS+ directions."""
    orientation = nib.io_orientation(affine_ras)
    permutation = np.argsort(orientation[:, 0])
    signs = orientation[permutation, 1]
    x, y, z = (int(axis) for axis in permutation)
    return AxisMapping((x, y, z), (bool(signs[0] < 0), bool(signs[1] < 0), bool(signs[2] < 0)))


def to_ras(volume: Volume) -> tuple[Volume, AxisMapping]:
    """Turn a volume to the closest RAS+ orientation; voxels keep their place in the patient."""
    mapping = axis_mapping(volume.affine_ras)
    data = mapping.forward(volume.data)
    affine = volume.affine_ras.copy()
    for ras_axis, (axis, flip) in enumerate(zip(mapping.permutation, mapping.flipped, strict=True)):
        column = volume.affine_ras[:, axis]
        affine[:, ras_axis] = -column if flip else column
        if flip:
            affine[:, 3] += column * (volume.shape[axis] - 1)
    return replace(volume, data=data, affine_ras=affine), mapping


def _turn(voxels: np.ndarray, permutation: tuple[int, ...], flipped: tuple[bool, ...]) -> np.ndarray:
    lead = voxels.ndim - 3
    turned = voxels.transpose(*range(lead), *(lead + axis for axis in permutation))
    steps = tuple(slice(None, None, -1) if flip else slice(None) for flip in flipped)
    return turned[(..., *steps)]
