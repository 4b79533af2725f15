"""What a study's voxels will take in memory, before it has been read."""

from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any, Final

from scnas_deploy.data.nibabel_library import nib
from scnas_deploy.data.nifti import is_nifti_name

_FACTOR: Final = 4
"""Bytes of voxels for each byte of a DICOM object: compressed images take less on the disk, and so do 12 bits."""


def likely_bytes(paths: Iterable[Path]) -> int:
    """Return what the voxels of a study's files will take, about; of files that cannot be read, nothing.

    NIfTI files say it in their headers, where compression could hide a thousandfold.
    """
    return sum(map(_bytes_of, paths))


def _bytes_of(path: Path) -> int:
    try:
        if is_nifti_name(path):
            image: Any = nib.load(path)
            return int(prod(image.shape) * image.get_data_dtype().itemsize)
        return _FACTOR * path.stat().st_size
    except Exception:  # noqa: BLE001  # whoever reads it says what is wrong with it
        return 0
