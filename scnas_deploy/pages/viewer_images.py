"""Images inside a page: gzipped NIfTI in base64, with a header that says the grid's spacing and nothing else."""

import base64
import gzip
from typing import Final

import numpy as np

from scnas_deploy.data.nibabel_library import nib
from scnas_deploy.types import Spacing

_COMPRESSION: Final = 1
"""A page that is only looked at is made anew each time; higher levels take long and save a tenth."""
_INT16: Final = np.iinfo(np.int16)
_READ_AS_STORED: Final = ("u1", "i2", "u2", "f4")
"""Types that the viewer shows without a copy of another type."""


def embedded_image(voxels_XYZ: np.ndarray, spacing_mm: Spacing) -> str:
    """Write voxels of a type that the viewer knows, in base64.

    The header places them by their spacing alone: the viewer shows the grid's own planes, and the page knows where they
    lie in the patient. Nothing that another file's header says gets in.
    """
    image = nib.Nifti1Image(voxels_XYZ, np.diag([*spacing_mm, 1.0]))
    image.header.set_xyzt_units("mm")
    return base64.b64encode(gzip.compress(image.to_bytes(), _COMPRESSION, mtime=0)).decode("ascii")


def readable_bytes(voxels_XYZ: np.ndarray) -> int:
    """Return what the voxels take in the viewer's memory, at most."""
    kind = voxels_XYZ.dtype
    kept = kind.str[1:] in _READ_AS_STORED or kind.itemsize == 1
    return int(voxels_XYZ.size) * (2 if kind == np.int8 else kind.itemsize if kept else 4)


def readable(voxels_XYZ: np.ndarray) -> np.ndarray:
    """Bring voxels to a type that the viewer knows: integers stay integers where they fit; all are numbers."""
    if voxels_XYZ.dtype.str[1:] in _READ_AS_STORED:
        finite = voxels_XYZ.dtype.kind != "f" or np.isfinite(voxels_XYZ).all()
        return voxels_XYZ if finite else _without_holes(voxels_XYZ)
    if voxels_XYZ.dtype.kind == "f":
        return _without_holes(voxels_XYZ.astype(np.float32))
    fits = _INT16.min <= int(voxels_XYZ.min()) and int(voxels_XYZ.max()) <= _INT16.max
    return voxels_XYZ.astype(np.int16 if fits else np.float32)


def _without_holes(voxels_XYZ: np.ndarray) -> np.ndarray:
    """Show what is no number as the darkest voxel."""
    finite = np.isfinite(voxels_XYZ)
    darkest = voxels_XYZ[finite].min() if finite.any() else 0.0
    return np.where(finite, voxels_XYZ, np.float32(darkest))
