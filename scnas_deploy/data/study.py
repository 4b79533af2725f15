"""Opening a study, whatever it is stored as."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from scnas_deploy.data.nifti import load_nifti
from scnas_deploy.data.volume import Volume, largest_move_mm
from scnas_deploy.errors import FormatError

_AFFINE_TOLERANCE_VOXELS = 0.1


def load_study(paths: Sequence[Path]) -> Volume:
    """Read a study from one NIfTI file, or from one file a channel on one grid.

    Args:
        paths: In the order of the plan's channels.

    Raises:
        FormatError: If a file is missing or damaged, or the files do not share one grid.
        InputError: If the system cannot read one just now.
    """
    channels = [load_nifti(path) for path in paths]
    first = channels[0]
    for number, (path, channel) in enumerate(zip(paths[1:], channels[1:], strict=True), start=2):
        require_same_grid(f"channel {number}", channel, first, file=path)
    if len(channels) == 1:
        return first
    return replace(first, data=np.concatenate([channel.data for channel in channels]))


def require_same_grid(name: str, volume: Volume, reference: Volume, *, file: Path | None = None) -> None:
    """Refuse two volumes whose shapes differ or whose affines put a voxel a tenth of a voxel apart.

    Args:
        name: What ``volume`` is, in words that identify nobody.
        volume: The one to check.
        reference: The one whose grid it should have.
        file: Where ``volume`` came from, if that is not its name.

    Raises:
        FormatError: Names ``name`` and the difference.
    """
    subject = name if file is None else str(file)
    if volume.shape != reference.shape:
        raise FormatError(
            subject,
            expected=f"the image's shape {reference.shape}",
            found=f"{volume.shape} in {name}",
            remedy="Save image and mask on one grid",
        )
    moved = largest_move_mm(volume.affine_ras, reference.affine_ras, reference.shape)
    if moved > _AFFINE_TOLERANCE_VOXELS * min(reference.spacing_mm):
        raise FormatError(
            subject,
            expected="the image's affine",
            found=f"an affine that moves voxels by up to {moved:.3g} mm in {name}",
            remedy="Save image and mask on one grid",
        )
