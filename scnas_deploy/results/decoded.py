"""Reading a DICOM Segmentation back, by the standard's text and none of the code that wrote it (PS3.3 C.8.20.2).

Only pydicom's parser is used: frames are unpacked, and placed in the patient, here.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from scnas_deploy.data.dicom.library import pydicom
from scnas_deploy.results.decoded_color import color_of

_NATIVE: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")


class UndecodedError(Exception):
    """What the object lacks or contradicts, in words that identify nobody."""


@dataclass(frozen=True, eq=False, slots=True)
class DecodedFrame:
    """A plane of a segmentation."""

    segment: int
    """Number; 0 in a label map, whose pixels say it."""
    pixels: np.ndarray
    """(rows, columns): 0 and 1, or a label map's segment numbers."""
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    """Row, column."""
    spacing_mm: tuple[float, ...]
    """Between rows, between columns, as PixelSpacing has them."""
    sources: tuple[tuple[str, int | None], ...]
    """SOP instance UID and frame number (from 1, None of a single plane) of each image it was derived from."""


@dataclass(frozen=True, eq=False, slots=True)
class DecodedSegmentation:
    """What a reader finds in the object."""

    patient: tuple[str, str]
    """Name and id."""
    study_uid: str
    frame_of_reference: str
    kind: str
    """BINARY or LABELMAP."""
    segments: dict[int, tuple[str, ...]]
    """Number -> label and coded type: value, scheme, meaning."""
    frames: tuple[DecodedFrame, ...]
    colors: dict[int, str]
    """Number -> '#rrggbb', of those segments that recommend one."""


def decode_segmentation(data: bytes) -> DecodedSegmentation:
    """Read an object.

    Raises:
        UndecodedError: If it lacks what a reader needs.
    """
    try:
        dataset = pydicom().dcmread(io.BytesIO(data), force=True)
        return DecodedSegmentation(
            patient=(str(dataset.PatientName), str(dataset.PatientID)),
            study_uid=str(dataset.StudyInstanceUID),
            frame_of_reference=str(dataset.FrameOfReferenceUID),
            kind=str(dataset.SegmentationType),
            segments={int(item.SegmentNumber): _segment(item) for item in dataset.SegmentSequence},
            frames=tuple(_frames(dataset)),
            colors=_colors(dataset.SegmentSequence),
        )
    except (AttributeError, KeyError, IndexError, ValueError, TypeError) as error:
        raise UndecodedError(f"an attribute is missing or wrong ({type(error).__name__})") from error


def _segment(item: Any) -> tuple[str, ...]:
    code = item.SegmentedPropertyTypeCodeSequence[0]
    value = code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue")
    return str(item.SegmentLabel), str(value), str(code.get("CodingSchemeDesignator", "")), str(code.CodeMeaning)


def _colors(items: Sequence[Any]) -> dict[int, str]:
    stored = {int(item.SegmentNumber): item.get("RecommendedDisplayCIELabValue") for item in items}
    return {number: color_of((int(v[0]), int(v[1]), int(v[2]))) for number, v in stored.items() if v is not None}


def _frames(dataset: Any) -> list[DecodedFrame]:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    groups = dataset.PerFrameFunctionalGroupsSequence
    pixels = _pixels(dataset)
    if not len(groups) == len(pixels) == int(dataset.NumberOfFrames):
        raise UndecodedError(
            f"{dataset.NumberOfFrames} frames, {len(groups)} descriptions, {len(pixels)} in the pixels"
        )
    return [_frame(plane, [group, shared]) for plane, group in zip(pixels, groups, strict=True)]


def _pixels(dataset: Any) -> np.ndarray:
    """(frames, rows, columns)."""
    if str(dataset.file_meta.TransferSyntaxUID) not in _NATIVE:
        raise UndecodedError("compressed pixels")
    count, rows, columns = int(dataset.NumberOfFrames), int(dataset.Rows), int(dataset.Columns)
    stored = np.frombuffer(dataset.PixelData, dtype=np.uint8)
    bits = int(dataset.BitsAllocated)
    values = _unpacked(stored) if bits == 1 else stored.view("u1" if bits == 8 else "<u2")
    needed = count * rows * columns
    if len(values) < needed:
        raise UndecodedError("pixels that are cut off")
    return values[:needed].reshape(count, rows, columns)


def _unpacked(stored: np.ndarray) -> np.ndarray:
    """Bits of frames that follow each other without filling up bytes, the lowest first (PS3.5 8.1.1)."""
    return np.unpackbits(stored, bitorder="little")


def _frame(pixels: np.ndarray, groups: Sequence[Any]) -> DecodedFrame:
    place = _of(groups, "PlanePositionSequence")
    orientation = _of(groups, "PlaneOrientationSequence")
    measures = _of(groups, "PixelMeasuresSequence")
    identified = [group for group in groups if "SegmentIdentificationSequence" in group]
    segment = int(identified[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber) if identified else 0
    return DecodedFrame(
        segment=segment,
        pixels=pixels,
        position_mm=tuple(map(float, place.ImagePositionPatient)),
        orientation=tuple(map(float, orientation.ImageOrientationPatient)),
        spacing_mm=tuple(map(float, measures.PixelSpacing)),
        sources=tuple(_sources(groups[0])),
    )


def _of(groups: Sequence[Any], keyword: str) -> Any:
    for group in groups:
        if keyword in group:
            return group[keyword].value[0]
    raise UndecodedError(f"no {keyword}")


def _sources(group: Any) -> list[tuple[str, int | None]]:
    found = []
    for derivation in group.get("DerivationImageSequence", ()):
        for image in derivation.get("SourceImageSequence", ()):
            number = image.get("ReferencedFrameNumber")
            found.append((str(image.ReferencedSOPInstanceUID), None if number is None else int(number)))
    return found
