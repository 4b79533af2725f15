"""Opening a study, whatever it is stored as."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from scnas_deploy.data.dicom.choice import BY_RULES, SeriesChoice
from scnas_deploy.data.dicom.study import load_dicom_study
from scnas_deploy.data.nifti import is_nifti_name, load_nifti
from scnas_deploy.data.plan import Plan
from scnas_deploy.data.volume import SAME_GRID_VOXELS, Volume, largest_move_mm
from scnas_deploy.errors import FormatError


def load_study(paths: Sequence[Path], plan: Plan | None = None, how: SeriesChoice = BY_RULES) -> Volume:
    """Read a study: DICOM objects, one NIfTI file, or one NIfTI file a channel on one grid.

    Args:
        paths: NIfTI files in the order of the plan's channels; or DICOM files, folders and zip archives.
        plan: Says which DICOM series serve which channel; None takes the study's only one.
        how: What else the choice of DICOM series depends on.

    Raises:
        FormatError: If a file is missing or damaged, or the files do not share one grid.
        ChoiceError: If no DICOM series, or several, could serve a channel.
        VerdictError: If a DICOM series is no regular grid.
        InputError: If the system cannot read one just now.
    """
    if not all(is_nifti_name(path) for path in paths):
        return load_dicom_study(paths, plan, how)
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
    if moved > SAME_GRID_VOXELS * min(reference.spacing_mm):
        raise FormatError(
            subject,
            expected="the image's affine",
            found=f"an affine that moves voxels by up to {moved:.3g} mm in {name}",
            remedy="Save image and mask on one grid",
        )
