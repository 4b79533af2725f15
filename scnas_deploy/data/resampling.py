"""Resampling between two grids that share their axes.

The grids differ in spacing only, so the work is done in index space with SimpleITK: an image of identity
direction and origin. Oblique and sheared affines therefore need no special case (SimpleITK refuses sheared
ones), and the new affine is the old one with scaled columns.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its documented short name)

from scnas_deploy.types import AffineRAS, ImageCUVW, LabelsUVW, LabelsXYZ, Shape3, Spacing, VoxelsCXYZ

_SAME_SPACING = 1e-3
_ANISOTROPIC = 3.0


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
    cubic = max(source.spacing_mm) / min(source.spacing_mm) < _ANISOTROPIC and min(source.shape) >= 4
    interpolator = sitk.sitkBSpline3 if cubic else sitk.sitkLinear
    result = np.empty((len(data_CXYZ), *target.shape), dtype=np.float32)
    for channel, out in zip(data_CXYZ, result, strict=True):
        out[:] = _resample(channel.astype(np.float32), source, target, interpolator)
        np.clip(out, channel.min(), channel.max(), out=out)
    return result


def resample_labels(labels_XYZ: LabelsXYZ, source: Grid, target: Grid) -> LabelsUVW:
    """Interpolate labels: each label's indicator linearly, the strongest wins.

    Smoother boundaries than nearest-neighbour interpolation, and no label that was not there.
    """
    if source == target:
        return np.ascontiguousarray(labels_XYZ)
    best = np.full(target.shape, -1.0, dtype=np.float32)
    result = np.zeros(target.shape, dtype=labels_XYZ.dtype)
    for value in np.unique(labels_XYZ):
        share = _resample((labels_XYZ == value).astype(np.float32), source, target, sitk.sitkLinear)
        stronger = share > best
        result[stronger] = value
        best[stronger] = share[stronger]
    return result


def _resample(voxels_XYZ: np.ndarray, source: Grid, target: Grid, interpolator: int) -> np.ndarray:
    image = sitk.GetImageFromArray(voxels_XYZ.transpose(2, 1, 0))  # SimpleITK's arrays run Z, Y, X
    image.SetSpacing(source.spacing_mm)
    image.SetOrigin(source.first_centre_mm())
    resampled = sitk.Resample(
        image,
        target.shape,
        sitk.Transform(),
        interpolator,
        target.first_centre_mm(),
        target.spacing_mm,
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        0.0,
        sitk.sitkFloat32,
        True,  # beyond the outermost voxels take the nearest one, not zero
    )
    return sitk.GetArrayViewFromImage(resampled).transpose(2, 1, 0).copy()
