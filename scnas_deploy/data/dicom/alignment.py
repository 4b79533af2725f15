"""Bringing a series onto another's grid by their affines, where they belong together.

That two series share a frame of reference UID proves nothing: crops of other patients have been filed under one.
So their grids must also overlap as those of images of one region do.
"""

from typing import Any, Final

import numpy as np

from scnas_deploy.data.volume import Volume, is_same_grid
from scnas_deploy.errors import ChoiceError
from scnas_deploy.types import VoxelsCXYZ

_COVERED: Final = 0.5
"""Least part of the first grid that another must cover."""
_REGION: Final = 0.05
"""Least part of another's field of view that the first one's is."""
_SAMPLES: Final = 24
"""Points along each axis at which overlap is looked at."""


def aligned(volume: Volume, reference: Volume, name: str) -> VoxelsCXYZ:
    """Return a volume's voxels on the reference's grid.

    Args:
        volume: Read from DICOM, like the reference.
        reference: The first channel.
        name: What ``volume`` is, in words that identify nobody.

    Raises:
        ChoiceError: If the two do not belong together.
    """
    _check_belonging(volume, reference, name)
    if is_same_grid(volume, reference):
        return volume.data
    covered, region = overlap(reference, volume), overlap(volume, reference)
    if covered < _COVERED or region < _REGION:
        raise _error(
            name,
            expected=f"a grid that covers at least {_COVERED:.0%} of the first channel's and is not much larger",
            found=f"one that covers {covered:.0%} of it; {region:.1%} of its own field of view lies there",
        )
    return _resampled(volume, reference)


def overlap(inner: Volume, outer: Volume) -> float:
    """Return the part of a volume's field of view that lies within another's, by points evenly spread in it."""
    size = np.array(inner.shape)
    steps = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    points = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3) * size - 0.5
    to_outer = np.linalg.inv(outer.affine_ras) @ inner.affine_ras
    there = points @ to_outer[:3, :3].T + to_outer[:3, 3]
    inside = np.all((there >= -0.5) & (there <= np.array(outer.shape) - 0.5), axis=1)
    return float(inside.mean())


def _check_belonging(volume: Volume, reference: Volume, name: str) -> None:
    own, first = (each.dicom.planes[0].instance for each in (volume, reference) if each.dicom is not None)
    for what, ours, theirs in (
        ("patient", own.patient, first.patient),
        ("study", own.study_uid, first.study_uid),
        ("frame of reference", own.frame_of_reference, first.frame_of_reference),
    ):
        if ours != theirs:
            raise _error(name, expected=f"the first channel's {what}", found="another one")
    if not first.frame_of_reference:
        raise _error(name, expected="a frame of reference that both channels share", found="none")


def _error(name: str, *, expected: str, found: str) -> ChoiceError:
    return ChoiceError(
        name, expected=expected, found=found, remedy="Name series of one examination with --series, see --explain"
    )


def _resampled(volume: Volume, reference: Volume) -> VoxelsCXYZ:
    """Linear interpolation; the lowest value beyond the volume."""
    import SimpleITK  # takes half a second, and few studies need it

    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetReferenceImage(_image(np.zeros(reference.shape, dtype=np.uint8), reference.affine_ras))
    resampler.SetInterpolator(SimpleITK.sitkLinear)
    resampler.SetOutputPixelType(SimpleITK.sitkFloat32)
    channels = []
    for voxels in volume.data:
        resampler.SetDefaultPixelValue(float(voxels.min()))
        moved = resampler.Execute(_image(voxels.astype(np.float32), volume.affine_ras))
        channels.append(SimpleITK.GetArrayFromImage(moved).transpose(2, 1, 0))
    return np.stack(channels)


def _image(voxels_XYZ: np.ndarray, affine: np.ndarray) -> Any:
    """An image whose directions are turned to unit vectors; the grids come from planes, which have no shear."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(voxels_XYZ.transpose(2, 1, 0)))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    u, _, v = np.linalg.svd(affine[:3, :3] / spacing)
    image.SetDirection((u @ v).ravel().tolist())
    return image
