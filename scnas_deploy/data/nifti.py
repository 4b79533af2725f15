"""NIfTI in and out.

Decisions, with the NIfTI-1 standard's words for them:

* **sform against qform.** The sform wins where its code is above zero (nibabel, FSL and the standard's
  "method 3"); otherwise the qform; a file with neither says nothing about the patient's orientation and
  is marked so. Where both are set and move a corner of the image apart by more than a tenth of a voxel,
  a note says so; where they even disagree about the orientation codes, the file is refused, since one
  of its readers would show left as right.
* **Scaling.** ``scl_slope`` and ``scl_inter`` are applied; unscaled integers keep their stored type.
* **Units.** ``affine_ras`` is in mm whatever ``xyzt_units`` says; a result repeats the file's own unit.
"""

import gzip
import logging
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from scnas_deploy.data.nibabel_library import HeaderDataError, ImageFileError, nib
from scnas_deploy.data.volume import NiftiForms, Volume, is_affine, largest_move_mm
from scnas_deploy.errors import DataError, FormatError, GeometryError, InputError
from scnas_deploy.files import atomic_path, reading
from scnas_deploy.types import AffineRAS, LabelsXYZ, Spacing, VoxelsCXYZ

SUFFIXES = (".nii.gz", ".nii")
_MAX_DEFLATE_RATIO = 1032
"""The most that deflate can shrink anything."""

_COMPRESSION = 1
"""Masks shrink well at any level, and this one is the fastest."""

_MAX_ITEMSIZE = 4
"""Few readers know 64-bit integers."""

_MM_PER_UNIT = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}
_TOLERATED_DISAGREEMENT_VOXELS = 0.1


def is_nifti_name(path: Path) -> bool:
    """Whether the file name ends in .nii or .nii.gz."""
    return path.name.lower().endswith(SUFFIXES)


def load_nifti(path: Path) -> Volume:
    """Read a NIfTI-1 or NIfTI-2 file, 3-D or 4-D with the channels last.

    Returns:
        The volume, channels first.

    Raises:
        FormatError: If the file is missing, damaged, not a NIfTI, or not made of real scalars.
        GeometryError: If its sform and qform contradict each other in orientation.
        InputError: If the system cannot read it just now.
    """
    with _collected_repairs() as repairs:
        image, stored = _read(path)
    data = _channels_first(path, stored)
    forms = _forms(image.header)
    affine, known, notes = _choose_affine(path, image, forms, data.shape[1:])
    notes = (*(f"The header was repaired while reading: {text}." for text in repairs), *notes)
    try:
        return Volume(data=data, affine_ras=affine, nifti=forms, orientation_known=known, notes=notes)
    except GeometryError as error:
        raise GeometryError(path, expected=error.expected, found=error.found, remedy=error.remedy) from error


def save_labels(path: Path, labels_XYZ: LabelsXYZ, like: Volume) -> None:
    """Write labels on a study's own grid, header forms and units included.

    Args:
        path: Ends in .nii or .nii.gz; written whole or not at all.
        labels_XYZ: Same shape as ``like``.
        like: The study the labels belong to.

    Raises:
        GeometryError: If the shapes differ.
        OutputError: If the file cannot be written.
    """
    if labels_XYZ.shape != like.shape:
        raise GeometryError(
            path,
            expected=f"labels of the study's shape {like.shape}",
            found=f"{labels_XYZ.shape}",
            remedy="Restore the labels to the study's grid first",
        )
    wide = labels_XYZ.dtype.itemsize > _MAX_ITEMSIZE
    save_array(path, labels_XYZ.astype(np.int32) if wide else labels_XYZ, like)


def save_array(path: Path, voxels: np.ndarray, like: Volume) -> None:
    """Write an (X, Y, Z) or (X, Y, Z, C) array with a study's geometry and header forms."""
    image = nib.Nifti1Image(voxels, None)
    _copy_forms(image, like)
    data = image.to_bytes()
    with atomic_path(path) as temporary:  # written by ourselves: a full disk makes nibabel leave the file open
        temporary.write_bytes(gzip.compress(data, _COMPRESSION, mtime=0) if path.name.lower().endswith(".gz") else data)


def _read(path: Path) -> tuple[Any, np.ndarray]:
    try:
        with reading(path):
            _check_readable(path)
            image = _open(path)
            return image, _scaled_voxels(path, image)
    except (DataError, InputError):
        raise
    except (ImageFileError, HeaderDataError, EOFError, OSError, zlib.error, ValueError, OverflowError) as error:
        raise FormatError(
            path,
            expected="a readable NIfTI-1 or NIfTI-2 file",
            found=f"unreadable content ({type(error).__name__}), {path.stat().st_size} bytes",
            remedy="Copy or export the file again; it may be cut off or of another format",
        ) from error


def _check_readable(path: Path) -> None:
    """Hear what the system says of a file: nibabel would take one that cannot be opened for another format."""
    if not path.is_file():
        raise FormatError(path, expected="a NIfTI file", found="no such file", remedy="Check the path")
    with path.open("rb") as file:
        file.read(1)


@contextmanager
def _collected_repairs() -> Iterator[list[str]]:
    """Collect what nibabel repairs in a header, which it would otherwise write to standard error."""
    logger, repairs = nib.imageglobals.logger, _Repairs()
    logger.addFilter(repairs)
    try:
        yield repairs.found
    finally:
        logger.removeFilter(repairs)


class _Repairs(logging.Filter):
    """Takes what the thread that has made it would log; others read files meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        if threading.get_ident() != self._thread:
            return True
        self.found.append(record.getMessage())
        return False


def _open(path: Path) -> Any:
    image = nib.load(path)
    if not isinstance(image, nib.Nifti1Pair):  # NIfTI-2 is a subclass
        raise ImageFileError(type(image).__name__)
    _check_size(path, image)
    return image


def _check_size(path: Path, image: Any) -> None:
    """Refuse a header that announces more voxels than the file can hold, before memory is taken for them."""
    announced = prod(image.shape) * image.get_data_dtype().itemsize
    held = path.stat().st_size * (_MAX_DEFLATE_RATIO if path.name.lower().endswith(".gz") else 1)
    if announced > held:
        raise EOFError(f"{announced} bytes announced")


def _scaled_voxels(path: Path, image: Any) -> np.ndarray:
    stored = np.dtype(image.get_data_dtype())
    if stored.kind not in "iuf":
        raise FormatError(
            path,
            expected="real scalar voxels (uint8 to float64)",
            found=f"voxels of type {stored}",
            remedy="Convert colour or complex images to one real value a voxel",
        )
    scaled = image.dataobj.slope != 1 or image.dataobj.inter != 0
    if stored.kind == "f" or scaled:
        return np.asarray(image.dataobj, dtype=np.float32)
    return np.array(image.dataobj.get_unscaled(), dtype=stored.newbyteorder("="))


def _channels_first(path: Path, voxels: np.ndarray) -> VoxelsCXYZ:
    while voxels.ndim > 4 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim == 5 and voxels.shape[3] == 1:  # vector intent: the components lie on the fifth axis
        voxels = voxels[:, :, :, 0]
    if voxels.ndim not in (3, 4) or 0 in voxels.shape:
        raise FormatError(
            path,
            expected="3 dimensions, or 4 with the channels last",
            found=f"shape {voxels.shape}",
            remedy="Split or squeeze the image",
        )
    return voxels[np.newaxis] if voxels.ndim == 3 else np.moveaxis(voxels, 3, 0)


def _forms(header: Any) -> NiftiForms:
    sform, sform_code = header.get_sform(coded=True)
    try:
        qform, qform_code = header.get_qform(coded=True)
    except (HeaderDataError, ValueError):  # a quaternion that is none: only the sform can be used
        qform, qform_code = None, 0
    length, time = _units(header)
    x, y, z = (float(zoom) for zoom in header.get_zooms()[:3])
    return NiftiForms(
        sform=None if sform is None else np.asarray(sform, dtype=np.float64),
        sform_code=int(sform_code),
        qform=None if qform is None else np.asarray(qform, dtype=np.float64),
        qform_code=int(qform_code),
        zooms=(x, y, z),
        length_unit=length,
        time_unit=time,
    )


def _units(header: Any) -> tuple[str, str]:
    try:
        length, time = header.get_xyzt_units()
    except KeyError:  # a code that the standard does not know
        return "unknown", "unknown"
    return str(length), str(time)


def _choose_affine(
    path: Path, image: Any, forms: NiftiForms, shape: tuple[int, ...]
) -> tuple[AffineRAS, bool, tuple[str, ...]]:
    scale = np.diag([*[_MM_PER_UNIT[forms.length_unit]] * 3, 1.0])
    affine = scale @ np.asarray(image.header.get_best_affine(), dtype=np.float64)
    notes = []
    if forms.length_unit not in ("mm", "unknown"):
        notes.append(f"The file's lengths are in {forms.length_unit}s and were converted to millimetres.")
    if forms.sform is None and forms.qform is None:
        notes.append("The file has neither an sform nor a qform: which way the patient lies is not known.")
    if forms.sform is not None and forms.qform is not None and is_affine(forms.sform) and is_affine(forms.qform):
        notes += _compare_forms(path, forms.sform, forms.qform, shape)
    return affine, forms.sform is not None or forms.qform is not None, tuple(notes)


def _compare_forms(path: Path, sform: AffineRAS, qform: AffineRAS, shape: tuple[int, ...]) -> list[str]:
    moved = largest_move_mm(sform, qform, shape)
    voxel = np.linalg.norm(sform[:3, :3], axis=0).min()
    if moved <= _TOLERATED_DISAGREEMENT_VOXELS * voxel:
        return []
    if nib.aff2axcodes(sform) != nib.aff2axcodes(qform):
        raise GeometryError(
            path,
            expected="an sform and a qform that agree",
            found=f"orientation {''.join(nib.aff2axcodes(sform))} by the sform "
            f"and {''.join(nib.aff2axcodes(qform))} by the qform",
            remedy="Find out which one is right and write it into both",
        )
    return [f"sform and qform differ by up to {moved / voxel:.1f} voxels; the sform was taken."]


def _copy_forms(image: Any, like: Volume) -> None:
    forms = like.nifti
    if forms is None:
        image.set_sform(like.affine_ras, code="scanner")
        image.set_qform(like.affine_ras, code="scanner", strip_shears=True)
        image.header.set_xyzt_units("mm")
        return
    _set_zooms(image.header, forms.zooms)
    image.header.set_sform(forms.sform, code=forms.sform_code)
    if forms.qform is not None:
        image.header.set_qform(forms.qform, code=forms.qform_code, strip_shears=True)
        _set_zooms(image.header, forms.zooms)
    image.header.set_xyzt_units(forms.length_unit, forms.time_unit)


def _set_zooms(header: Any, zooms: Spacing) -> None:
    header.set_zooms((*zooms, *header.get_zooms()[3:]))
