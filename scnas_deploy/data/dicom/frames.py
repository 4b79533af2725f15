"""Frames: the planes of an image object, where each lies in the patient and what its stored values mean.

A classic object is one plane (PS3.3 C.7.6.2), an enhanced one has many, each described by functional groups that all
share or that are its own (PS3.3 C.7.6.16).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from scnas_deploy.data.dicom.attributes import first_item, items, number, numbers, text, whole
from scnas_deploy.data.dicom.headers import UnreadableError

Vector = tuple[float, float, float]

_MAX_FRAMES: Final = 100_000
_RIGHT_ANGLE: Final = 1e-3
"""What the directions' products may differ by from those of unit vectors at a right angle."""

_KINDS: Final = {
    "image type": ("ImageType", "FrameType", "ComplexImageComponent"),
    "echo time": ("EchoTime", "EffectiveEchoTime"),
    "time point": ("TemporalPositionIdentifier", "TemporalPositionIndex", "TriggerTime"),
    "b-value": ("DiffusionBValue",),
    "diffusion direction": ("DiffusionGradientOrientation",),
    "cardiac phase": ("NominalPercentageOfCardiacPhase",),
    "energy": ("KVP",),
    "reconstruction kernel": ("ConvolutionKernel",),
    "stack": ("StackID",),
    "acquisition": ("AcquisitionNumber",),
    "acquisition time": ("AcquisitionTime",),
}
"""What tells the volumes of one series apart -> attributes that say it."""

_GROUPS: Final = (
    "FrameContentSequence",
    "MRImageFrameTypeSequence",
    "CTImageFrameTypeSequence",
    "PETFrameTypeSequence",
    "MREchoSequence",
    "MRDiffusionSequence",
    "CTXRayDetailsSequence",
    "CTReconstructionSequence",
    "TemporalPositionSequence",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a plane lies in the patient, LPS+ (PS3.3 C.7.6.2.1.1)."""

    position_mm: Vector
    """Centre of the first pixel."""
    row: Vector
    """Unit vector along a row, in which the columns are counted."""
    column: Vector
    """Unit vector along a column, in which the rows are counted."""
    spacing_mm: tuple[float, float]
    """Between columns (along a row), between rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One plane of an image object."""

    number: int
    """0-based, within its object."""
    place: Place | None
    """None where the object does not say, or its directions are no right-angled unit vectors."""
    slope: float
    intercept: float
    kinds: tuple[str, ...]
    """Values of what tells volumes of one series apart, in the order of :data:`KINDS`."""


KINDS: Final = tuple(_KINDS)


def frames_of(dataset: Any) -> tuple[Frame, ...]:
    """List an image object's planes.

    Raises:
        UnreadableError: If an attribute says something that cannot be.
    """
    count = whole(dataset, "NumberOfFrames", 1)
    if not 0 < count <= _MAX_FRAMES:
        raise UnreadableError(f"{count} frames")
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        if count > 1:
            raise UnreadableError(f"{count} frames, but no functional groups that place them")
        return (_frame(0, [dataset]),)
    groups = items(dataset, "PerFrameFunctionalGroupsSequence")
    if len(groups) != count:
        raise UnreadableError(f"{count} frames, but functional groups of {len(groups)}")
    shared = items(dataset, "SharedFunctionalGroupsSequence")[:1]
    return tuple(_frame(index, [group, *shared, dataset]) for index, group in enumerate(groups))


def _frame(index: int, levels: Sequence[Any]) -> Frame:
    """One frame; levels go from the frame's own group to the whole object."""
    values = _group(levels, "PixelValueTransformationSequence")
    slope, intercept = number(values, "RescaleSlope", 1.0), number(values, "RescaleIntercept", 0.0)
    if slope == 0 or "ModalityLUTSequence" in levels[-1]:
        raise UnreadableError("values that a slope and an intercept do not give")
    return Frame(number=index, place=_place(levels), slope=slope, intercept=intercept, kinds=_kinds(levels))


def _place(levels: Sequence[Any]) -> Place | None:
    position = numbers(_group(levels, "PlanePositionSequence"), "ImagePositionPatient", 3)
    orientation = numbers(_group(levels, "PlaneOrientationSequence"), "ImageOrientationPatient", 6)
    spacing = numbers(_group(levels, "PixelMeasuresSequence"), "PixelSpacing", 2)
    if position is None or orientation is None or spacing is None:
        return None
    directions = np.array(orientation).reshape(2, 3)
    if np.abs(directions @ directions.T - np.eye(2)).max() > _RIGHT_ANGLE or min(spacing) <= 0:
        return None
    row, column = ((float(x), float(y), float(z)) for x, y, z in directions)
    x, y, z = position
    return Place(position_mm=(x, y, z), row=row, column=column, spacing_mm=(spacing[1], spacing[0]))


def _group(levels: Sequence[Any], keyword: str) -> Any:
    """The functional group, or the object itself, which has its attributes where it is a classic one."""
    found = first_item(levels, keyword)
    return levels[-1] if found is None else found


def _kinds(levels: Sequence[Any]) -> tuple[str, ...]:
    places = [item for keyword in _GROUPS if (item := first_item(levels, keyword)) is not None]
    return tuple(
        "/".join(text(place, keyword) for place in (*places, levels[-1]) for keyword in keywords if keyword in place)
        for keywords in _KINDS.values()
    )
