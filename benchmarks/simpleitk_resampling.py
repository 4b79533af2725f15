"""Resampling with SimpleITK, whole volumes at once: what `scnas_deploy.data.resampling` is held against."""

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its documented short name)

from scnas_deploy.data.resampling import Grid


def resample_image(data_CXYZ: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Cubic B-splines, linear where voxels are three times longer than wide; within each channel's own range."""
    cubic = max(source.spacing_mm) / min(source.spacing_mm) < 3 and min(source.shape) >= 4
    interpolator = sitk.sitkBSpline3 if cubic else sitk.sitkLinear
    result = np.empty((len(data_CXYZ), *target.shape), dtype=np.float32)
    for channel, out in zip(data_CXYZ, result, strict=True):
        out[:] = resample(channel.astype(np.float32), source, target, interpolator)
        np.clip(out, channel.min(), channel.max(), out=out)
    return result


def resample_labels(labels_XYZ: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Each label's indicator linearly, the strongest wins, the lowest of equally strong ones."""
    best = np.full(target.shape, -1.0, dtype=np.float32)
    result = np.zeros(target.shape, dtype=labels_XYZ.dtype)
    for value in np.unique(labels_XYZ):
        share = resample((labels_XYZ == value).astype(np.float32), source, target, sitk.sitkLinear)
        stronger = share > best
        result[stronger] = value
        best[stronger] = share[stronger]
    return result


def resample(voxels_XYZ: np.ndarray, source: Grid, target: Grid, interpolator: int) -> np.ndarray:
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
