"""scnas view: reading masks: label NIfTI, DICOM SEG, RTSTRUCT, each brought onto the study's grid or refused."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from scnas_deploy.cli.view_layers import NamedMask, layers_of, named_labels
from scnas_deploy.data.dicom.contours import roi_names, roi_on_planes
from scnas_deploy.data.dicom.grid import SAME_DIRECTION, Stack
from scnas_deploy.data.dicom.headers import UnreadableError, read_header
from scnas_deploy.data.dicom.origin import DicomOrigin
from scnas_deploy.data.dicom.sources import FileSource
from scnas_deploy.data.nifti import is_nifti_name, load_nifti
from scnas_deploy.data.orientation import to_ras
from scnas_deploy.data.plan import Label
from scnas_deploy.data.volume import SAME_GRID_VOXELS, Volume, is_same_grid, largest_move_mm
from scnas_deploy.errors import FormatError, GeometryError, ScnasError
from scnas_deploy.files import reading
from scnas_deploy.pages.viewer import Layer
from scnas_deploy.results.decoded import DecodedFrame, DecodedSegmentation, UndecodedError, decode_segmentation

_SEGMENTATIONS: Final = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP class UIDs: Segmentation Storage, Label Map Segmentation Storage."""
_STRUCTURE_SET: Final = "1.2.840.10008.5.1.4.1.1.481.3"
"""SOP class UID: RT Structure Set Storage."""


def read_mask(path: Path, name: str, study: Volume, known: Sequence[Label]) -> list[Layer]:
    """Read a mask of a study.

    Args:
        path: Label NIfTI, DICOM Segmentation or RTSTRUCT.
        name: Of the layer that it becomes; structures that overlap become several layers.
        study: Whose grid it is brought to.
        known: Labels that may name the values of a NIfTI file.

    Raises:
        FormatError: If it is none of these, or damaged.
        GeometryError: If it lies on another grid, or belongs to another study.
    """
    if is_nifti_name(path):
        return [_of_nifti(path, name, study, known)]
    if not path.is_file():
        raise _unreadable(path, "no such file")
    try:
        header = read_header(FileSource(path)).dataset
    except UnreadableError as error:
        raise _unreadable(path, str(error)) from error
    origin = _require_dicom(path, study)
    if str(header.get("SOPClassUID")) in _SEGMENTATIONS:
        structures = _of_segmentation(path, origin, study)
    elif str(header.get("SOPClassUID")) == _STRUCTURE_SET:
        structures = _of_structure_set(path, header, origin, study)
    else:
        raise _unreadable(path, "another kind of DICOM object")
    try:
        return layers_of(name, structures, study.shape)
    except ScnasError:
        raise
    except (AttributeError, KeyError, IndexError, ValueError, TypeError) as error:
        raise _unreadable(path, f"an attribute that is missing or wrong ({type(error).__name__})") from error


def referenced_series(path: Path) -> str | None:
    """Return the UID of the series that a DICOM Segmentation or RTSTRUCT was made on, where it says one."""
    if is_nifti_name(path) or not path.is_file():
        return None
    try:
        header = read_header(FileSource(path)).dataset
        if "ReferencedSeriesSequence" in header:
            return str(header.ReferencedSeriesSequence[0].SeriesInstanceUID)
        frame = header.ReferencedFrameOfReferenceSequence[0]
        return str(frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].SeriesInstanceUID)
    except (UnreadableError, AttributeError, IndexError, TypeError):
        return None


def _of_nifti(path: Path, name: str, study: Volume, known: Sequence[Label]) -> Layer:
    mask = load_nifti(path)
    if mask.num_channels != 1:
        raise _unreadable(path, f"{mask.num_channels} channels")
    labels = _turned(path, mask, study)
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.rint(labels)):
        raise _unreadable(path, "values that are no whole numbers")
    whole = labels.astype(np.int32) if labels.dtype.kind == "f" else labels
    values = [int(value) for value in np.unique(whole) if value]
    return Layer(name=name, labels_XYZ=whole, labels=named_labels(values, known))


def _turned(path: Path, mask: Volume, study: Volume) -> np.ndarray:
    """Turn a mask to the study's axes: converters of DICOM count rows the other way."""
    ours, mapping = to_ras(study)
    theirs, _ = to_ras(mask)
    if is_same_grid(theirs, ours):
        return mapping.backward(theirs.data[0])
    found = f"{mask.shape} voxels"
    if theirs.shape == ours.shape:
        moved = largest_move_mm(theirs.affine_ras, ours.affine_ras, ours.shape)
        found = f"voxels that lie up to {moved:.3g} mm elsewhere"
    raise _elsewhere(path, f"the study's grid of {study.shape} voxels", found)


def _require_dicom(path: Path, study: Volume) -> DicomOrigin:
    if study.dicom is None:
        raise _elsewhere(path, "a study of DICOM objects, as this mask's", "a NIfTI file")
    return study.dicom


def _require_same_study(path: Path, study_uid: str, frame_of_reference: str, origin: DicomOrigin) -> None:
    image = origin.planes[0].instance
    if study_uid != image.study_uid:
        raise _elsewhere(path, "a mask of this study", "one of another study")
    if frame_of_reference != image.frame_of_reference:
        raise _elsewhere(path, "the study's frame of reference", "another one")


# ---- DICOM Segmentation


def _of_segmentation(path: Path, origin: DicomOrigin, study: Volume) -> Iterator[NamedMask]:
    decoded = _decoded(path)
    _require_same_study(path, decoded.study_uid, decoded.frame_of_reference, origin)
    placed = [(frame, _plane_of(path, frame, origin.stack)) for frame in decoded.frames]
    for number, (label, *_) in decoded.segments.items():
        if number == 0 or _is_background(decoded, number):
            continue
        mask = np.zeros(study.shape, dtype=bool)
        for frame, plane in placed:
            if frame.segment in (0, number):
                x, y, z = origin.windows[plane]
                rows, columns = frame.pixels.shape
                mask[x : x + columns, y : y + rows, z] |= (frame.pixels == (1 if frame.segment else number)).T
        yield NamedMask(label, decoded.colors.get(number), mask)


def _is_background(decoded: DecodedSegmentation, number: int) -> bool:
    """Whether a segment says that nothing is there, as label maps have one (PS3.3 C.8.20.2)."""
    _, value, scheme, _ = decoded.segments[number]
    return (value, scheme) == ("125040", "DCM")


def _decoded(path: Path) -> DecodedSegmentation:
    with reading(path):
        data = path.read_bytes()
    try:
        decoded = decode_segmentation(data)
    except UndecodedError as error:
        raise _unreadable(path, str(error)) from error
    if decoded.kind not in ("BINARY", "LABELMAP"):
        raise _unreadable(path, f"a segmentation of the type {decoded.kind}")
    return decoded


def _plane_of(path: Path, frame: DecodedFrame, stack: Stack) -> int:
    """Find the study's plane that a frame lies on; all its pixels must lie on that plane's."""
    columns, rows = stack.planes[0].instance.shape
    turned = np.abs(np.array(frame.orientation) - np.concatenate([stack.row, stack.column])).max()
    if frame.pixels.shape != (rows, columns) or turned > SAME_DIRECTION:
        found = f"{frame.pixels.shape[1]} x {frame.pixels.shape[0]} pixels, directions that differ by {turned:.2g}"
        raise _elsewhere(path, f"frames on the study's planes of {columns} x {rows} pixels", found)
    away_mm = np.linalg.norm(stack.positions_mm - np.array(frame.position_mm), axis=1)
    plane = int(away_mm.argmin())
    between_columns, between_rows = stack.spacing_mm
    wider = (abs(frame.spacing_mm[1] - between_columns) * columns, abs(frame.spacing_mm[0] - between_rows) * rows)
    moved = float(max(away_mm[plane], *wider))
    if moved > SAME_GRID_VOXELS * min(stack.spacing_mm):
        raise _elsewhere(path, "frames on the study's planes", f"one that lies {moved:.3g} mm from the next plane")
    return plane


# ---- RTSTRUCT


def _of_structure_set(path: Path, dataset: Any, origin: DicomOrigin, study: Volume) -> Iterator[NamedMask]:
    regions = {int(item.ROINumber): item for item in dataset.StructureSetROISequence}
    drawn = {
        int(item.ReferencedROINumber): item
        for item in dataset.get("ROIContourSequence", ())
        if "ContourSequence" in item
    }
    for number, name in roi_names(dataset).items():
        if number not in drawn:
            continue
        frame_of_reference = str(regions[number].ReferencedFrameOfReferenceUID)
        _require_same_study(path, str(dataset.StudyInstanceUID), frame_of_reference, origin)
        yield NamedMask(
            name, _roi_color(drawn[number]), _on_grid(roi_on_planes(dataset, number, origin.stack), origin, study)
        )


def _on_grid(mask_PYX: np.ndarray, origin: DicomOrigin, study: Volume) -> np.ndarray:
    mask = np.zeros(study.shape, dtype=bool)
    rows, columns = mask_PYX.shape[1:]
    for plane, (x, y, z) in zip(mask_PYX, origin.windows, strict=True):
        mask[x : x + columns, y : y + rows, z] |= plane.T
    return mask


def _roi_color(item: Any) -> str | None:
    stored = item.get("ROIDisplayColor")
    return None if stored is None else "#" + "".join(f"{min(max(int(value), 0), 255):02x}" for value in stored)


# ---- errors


def _unreadable(path: Path, found: str) -> FormatError:
    return FormatError(
        path,
        expected="a label NIfTI, DICOM Segmentation (BINARY or LABELMAP, uncompressed) or RTSTRUCT",
        found=found,
        remedy="Give another file",
    )


def _elsewhere(path: Path, expected: str, found: str) -> GeometryError:
    return GeometryError(path, expected=expected, found=found, remedy="Give the study that the mask was made on")
