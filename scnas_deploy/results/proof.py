"""Proving a segmentation object before anybody gets it: read back, it must say what was found, in the right place.

The other side of the comparison comes from the study's volume and its origin, not from what the writer was given.
"""

from typing import Final

import numpy as np

from scnas_deploy.data.plan import Label
from scnas_deploy.errors import ProofError
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.results.concepts import code_of
from scnas_deploy.results.decoded import DecodedFrame, DecodedSegmentation, UndecodedError, decode_segmentation
from scnas_deploy.results.source import Source

_PLACE_MM: Final = 0.01
_DIRECTION: Final = 1e-4
_HALF_VOXEL: Final = 0.51
_LPS_TO_RAS: Final = np.array([-1.0, -1.0, 1.0])


def prove_segmentation(data: bytes, result: Segmentation, source: Source) -> None:
    """Compare an encoded object with what it is to say.

    Args:
        data: The object as it would be handed out.
        result: The labels, on the grid of the study's volume.
        source: The study's objects.

    Raises:
        ProofError: If they differ in anything: whose it is, where it lies, which structure, which voxel.
    """
    try:
        decoded = decode_segmentation(data)
    except UndecodedError as error:
        raise _error("an object that another reader understands", str(error)) from error
    _require("whole pixels, which belong to a structure or do not", decoded.kind in ("BINARY", "LABELMAP"))
    _prove_belonging(decoded, source)
    _prove_windows(result, source)
    planes = source.origin.on_planes(result.labels_XYZ)
    labels = [label for label in result.labels if (planes == label.value).any()]
    _prove_segments(decoded, labels)
    masks = _masks(decoded, source, len(labels))
    for number, label in enumerate(labels, start=1):
        _prove_mask(label, masks[number - 1], result, source)
        _prove_centroid(label, number, decoded, result, source)


def _prove_belonging(decoded: DecodedSegmentation, source: Source) -> None:
    header = source.headers[0]
    _require("the study's patient", decoded.patient == (str(header.PatientName), str(header.PatientID)))
    _require("the study's UID", decoded.study_uid == str(header.StudyInstanceUID))
    _require("the series' frame of reference", decoded.frame_of_reference == str(header.FrameOfReferenceUID))


def _prove_segments(decoded: DecodedSegmentation, labels: list[Label]) -> None:
    described = {number: what for number, what in decoded.segments.items() if number != 0}
    expected = {n: (label.name[:64], *code_of(label)) for n, label in enumerate(labels, start=1)}
    if described != expected:
        raise _error(f"segments {expected}", f"{described}")


def _masks(decoded: DecodedSegmentation, source: Source, num_segments: int) -> np.ndarray:
    """(segments, planes, rows, columns): where the frames say that each segment lies on the source's planes."""
    planes = source.origin.planes
    columns, rows = planes[0].instance.shape
    masks = np.zeros((num_segments, len(planes), rows, columns), dtype=bool)
    seen = set()
    for frame in decoded.frames:
        plane = _plane_of(frame, source)
        if (frame.segment, plane) in seen or frame.pixels.shape != (rows, columns) or frame.segment > num_segments:
            raise _error("one frame of the source's size for each plane of a segment", "another one")
        seen.add((frame.segment, plane))
        if frame.pixels.max(initial=0) > (num_segments if frame.segment == 0 else 1):
            raise _error("pixels that name the segments described", "one that names another")
        for number in range(1, num_segments + 1) if frame.segment == 0 else (frame.segment,):
            masks[number - 1, plane] |= frame.pixels == (number if frame.segment == 0 else 1)
    return masks


def _plane_of(frame: DecodedFrame, source: Source) -> int:
    """The source plane that lies where a frame does, and that it must name as its source."""
    stack = source.origin.stack
    off = np.linalg.norm(stack.positions_mm - np.array(frame.position_mm), axis=1)
    plane = int(off.argmin())
    if off[plane] > _PLACE_MM:
        raise _error("frames where the study's planes lie", f"one {off[plane]:.3g} mm from the nearest")
    directions = np.array([*stack.row, *stack.column])
    if np.abs(directions - np.array(frame.orientation)).max() > _DIRECTION:
        raise _error("frames that are turned as the study's planes are", "one that is not")
    if np.abs(np.array(stack.spacing_mm[::-1]) - np.array(frame.spacing_mm)).max() > _PLACE_MM:
        raise _error("frames with the study's pixel spacing", "one with another")
    place = source.origin.planes[plane]
    number = place.frame.number + 1 if len(place.instance.frames) > 1 and place.instance.tiles == 1 else None
    if not frame.sources and place.instance.tiles == 1:
        raise _error("frames that name the image they lie on", "one that names none")
    for uid, frame_number in frame.sources:
        if uid != place.instance.uid or (frame_number is not None and frame_number != number):
            raise _error("frames that name the image they lie on", "one that names another")
    return plane


def _prove_windows(result: Segmentation, source: Source) -> None:
    """Where each plane's first pixel lies in the volume must be where it lies in the patient, to half a voxel."""
    to_voxels = np.linalg.inv(result.study.affine_ras)
    for position, window in zip(source.origin.stack.positions_mm, source.origin.windows, strict=True):
        there = to_voxels[:3, :3] @ (position * _LPS_TO_RAS) + to_voxels[:3, 3]
        if np.abs(there - window).max() > _HALF_VOXEL:
            raise _error("planes that lie in the volume where they lie in the patient", "one elsewhere")


def _prove_mask(label: Label, mask: np.ndarray, result: Segmentation, source: Source) -> None:
    expected = source.origin.on_planes(result.labels_XYZ) == label.value
    differing = int((mask != expected).sum())
    if differing:
        raise _error(f"every voxel of '{label.name}'", f"{differing} that differ")


def _prove_centroid(
    label: Label, number: int, decoded: DecodedSegmentation, result: Segmentation, source: Source
) -> None:
    """The centre of a structure in the patient, by the frames' own geometry and by the volume's affine."""
    if source.origin.corrections and "split-mosaic" not in source.origin.corrections:
        return  # the volume's grid is not that of the planes; every pixel has been compared on its plane
    index = np.argwhere(result.labels_XYZ == label.value).mean(axis=0)
    affine = result.study.affine_ras
    ours = affine[:3, :3] @ index + affine[:3, 3]
    theirs = _centroid_lps(number, decoded.frames) * _LPS_TO_RAS
    off = float(np.linalg.norm(ours - theirs))
    if off > _PLACE_MM:
        raise _error(f"the centre of '{label.name}' where the volume has it", f"one {off:.3g} mm away")


def _centroid_lps(number: int, frames: tuple[DecodedFrame, ...]) -> np.ndarray:
    total, count = np.zeros(3), 0
    for frame in frames:
        if frame.segment not in (0, number):
            continue
        rows, columns = np.nonzero(frame.pixels == (number if frame.segment == 0 else 1))
        row, column = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
        total += len(rows) * np.array(frame.position_mm)
        total += row * frame.spacing_mm[1] * columns.sum() + column * frame.spacing_mm[0] * rows.sum()
        count += len(rows)
    result: np.ndarray = total / max(count, 1)
    return result


def _require(what: str, holds: bool) -> None:
    if not holds:
        raise _error(what, "another one")


def _error(expected: str, found: str) -> ProofError:
    return ProofError(
        "the segmentation object",
        expected=expected,
        found=found,
        remedy="It was not handed out: report this with the version of scnas-deploy and highdicom",
    )
