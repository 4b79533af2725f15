"""Resampling between two grids that share their axes.

The grids differ in spacing only, so the work is done in index space, axis by axis (`interpolation.py`,
`label_interpolation.py`). Oblique and sheared affines therefore need no special case, and the new affine is the old one
with scaled columns. Images come out as SimpleITK's B-spline interpolation has them, to 1e-5 of their range.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from scnas_deploy.data.axis_weights import AxisWeights, cubic_weights, linear_weights
from scnas_deploy.data.interpolation import Axes, interpolate, interpolation_bytes
from scnas_deploy.data.label_interpolation import strongest_labels, strongest_labels_bytes
from scnas_deploy.data.planes import pieces
from scnas_deploy.types import AffineRAS, ImageCUVW, LabelsUVW, LabelsXYZ, Shape3, Spacing, VoxelsCXYZ

_SAME_SPACING = 1e-3
_ANISOTROPIC = 3.0
_FEWEST_CUBIC = 4

_Weights = Callable[[np.ndarray, int], AxisWeights]
"""Given the centres of new voxels, in old voxels from the first one's centre, and the number of old voxels."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A regular grid on its own axes: shape, and distance between voxel centres."""

    shape: Shape3
    spacing_mm: Spacing

    def at_spacing(self, spacing_mm: Spacing) -> "Grid":
        """Return the grid of that spacing over the same field of view, both centred on one point."""
        close = [abs(a / b - 1) < _SAME_SPACING for a, b in zip(self.spacing_mm, spacing_mm, strict=True)]
        shape = [
            n if same else max(1, round(n * old / new))
            for n, old, new, same in zip(self.shape, self.spacing_mm, spacing_mm, close, strict=True)
        ]
        kept = [old if same else new for old, new, same in zip(self.spacing_mm, spacing_mm, close, strict=True)]
        return Grid((shape[0], shape[1], shape[2]), (kept[0], kept[1], kept[2]))

    def first_centre_mm(self) -> Spacing:
        """Return the first voxel's centre, measured from the centre of the field of view."""
        x, y, z = (-(n - 1) / 2 * s for n, s in zip(self.shape, self.spacing_mm, strict=True))
        return x, y, z


def resampled_affine(affine_ras: AffineRAS, source: Grid, target: Grid) -> AffineRAS:
    """Return the affine of the target grid, given the affine of the source grid."""
    scale = np.array(target.spacing_mm) / np.array(source.spacing_mm)
    first = (np.array(target.first_centre_mm()) - np.array(source.first_centre_mm())) / np.array(source.spacing_mm)
    affine = affine_ras.copy()
    affine[:3, :3] = affine_ras[:3, :3] * scale
    affine[:3, 3] = affine_ras[:3, :3] @ first + affine_ras[:3, 3]
    return affine


def resample_image(data_CXYZ: VoxelsCXYZ, source: Grid, target: Grid) -> ImageCUVW:
    """Interpolate an image: cubic B-splines, linear where voxels are three times longer than wide.

    The result stays within the range of the channel's own values.

    Returns:
        float32, shape (C, U, V, W) of the target grid.
    """
    if source == target:
        return np.ascontiguousarray(data_CXYZ, dtype=np.float32)
    axes = image_axes(source, target)
    result = np.empty((len(data_CXYZ), *target.shape), dtype=np.float32)
    for channel, out in zip(data_CXYZ, result, strict=True):
        interpolate(channel, axes, out, scale=as_float32, bounds=(float(channel.min()), float(channel.max())))
    return result


def resample_labels(labels_XYZ: LabelsXYZ, source: Grid, target: Grid) -> LabelsUVW:
    """Interpolate labels: each label's indicator linearly, the strongest wins, the lowest of equally strong ones.

    Smoother boundaries than nearest-neighbour interpolation, and no label that was not there.
    """
    if source == target:
        return np.ascontiguousarray(labels_XYZ)
    result = np.empty(target.shape, dtype=labels_XYZ.dtype)
    resample_labels_into(result, labels_XYZ, source, target)
    return result


def resample_labels_into(out_UVW: LabelsUVW, labels_XYZ: LabelsXYZ, source: Grid, target: Grid) -> None:
    """Interpolate labels as :func:`resample_labels` does, into an array of any order in memory."""
    if source == target:
        for out, piece in pieces(out_UVW, labels_XYZ):
            out[:] = piece
    else:
        strongest_labels(labels_XYZ, _positions(source, target), out_UVW)


def image_axes(source: Grid, target: Grid) -> Axes:
    """Return the weights for an image: cubic, linear where voxels are three times longer than wide or too few."""
    cubic = max(source.spacing_mm) / min(source.spacing_mm) < _ANISOTROPIC and min(source.shape) >= _FEWEST_CUBIC
    return _axes(cubic_weights if cubic else linear_weights, source, target)


def linear_axes(source: Grid, target: Grid) -> Axes:
    """Return the weights of linear interpolation."""
    return _axes(linear_weights, source, target)


def resampling_bytes(source: Grid, target: Grid) -> int:
    """Return the most that resampling an image takes beyond the image and the result at its peak."""
    return interpolation_bytes(image_axes(source, target))


def label_resampling_bytes(source: Grid, itemsize: int) -> int:
    """Return the most that resampling labels takes beyond the labels and the result at its peak.

    Args:
        source: The labels' own grid; neither the target nor the number of labels makes a difference.
        itemsize: Bytes a label.
    """
    return strongest_labels_bytes(prod(source.shape) // min(source.shape), itemsize)


def as_float32(voxels: np.ndarray) -> np.ndarray:
    """Return a float32 copy in the voxels' own order in memory."""
    return voxels.astype(np.float32)


def _axes(weights: _Weights, source: Grid, target: Grid) -> Axes:
    sizes, spacings = (
        zip(source.shape, target.shape, strict=True),
        zip(source.spacing_mm, target.spacing_mm, strict=True),
    )
    x, y, z = (
        _axis(weights, size, new_size, new / old) for (size, new_size), (old, new) in zip(sizes, spacings, strict=True)
    )
    return x, y, z


@lru_cache(maxsize=64)  # a study asks for each axis several times, and the next study is often alike
def _axis(weights: _Weights, size: int, new_size: int, step: float) -> AxisWeights:
    """Weights of voxels whose centres lie ``step`` old voxels apart, both grids centred on one point."""
    if (new_size, step) == (size, 1):
        return AxisWeights(np.eye(size, dtype=np.float32))
    return weights(_centres(size, new_size, step), size)


def _positions(source: Grid, target: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres of the target's voxels along each axis, in source voxels from the first one's centre."""
    spacings = zip(source.spacing_mm, target.spacing_mm, strict=True)
    x, y, z = (
        _centres(size, new_size, new / old)
        for size, new_size, (old, new) in zip(source.shape, target.shape, spacings, strict=True)
    )
    return x, y, z


def _centres(size: int, new_size: int, step: float) -> np.ndarray:
    centres: np.ndarray = (size - 1) / 2 + (np.arange(new_size) - (new_size - 1) / 2) * step
    return centres
