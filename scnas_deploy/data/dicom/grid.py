"""Judging planes: do they form one regular grid, and if so, which?

Order along the volume comes from positions alone, never from instance numbers or names.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import acos, degrees
from typing import Final

import numpy as np

from scnas_deploy.data.dicom.frames import KINDS, Frame, Place
from scnas_deploy.data.dicom.instances import Instance
from scnas_deploy.data.dicom.verdicts import (
    Duplicate,
    Gap,
    Mixed,
    Mosaic,
    NoGeometry,
    SeveralVolumes,
    Shared,
    Tilt,
    TooFewSlices,
    Verdict,
)

SAME_DIRECTION: Final = 1e-4
"""Largest difference of a direction cosine between planes of one orientation: real series differ by 1e-7."""

_SAME_PLACE_MM: Final = 1e-3
_SAME_PLACE: Final = 0.05
"""The same in units of the distance between planes of one volume, which is near the largest there is."""
_USUAL: Final = 90
"""Percentile of the distances: planes of several volumes that nearly coincide make most of them tiny."""

_PARTS: Final = frozenset(
    [
        "M",
        "P",
        "R",
        "I",
        "MAGNITUDE",
        "PHASE",
        "REAL",
        "IMAGINARY",
        "WATER",
        "FAT",
        "IN_PHASE",
        "OUT_PHASE",
        "IP",
        "OP",
        "W",
        "F",
        "ADC",
        "FA",
        "TRACEW",
        "T1",
        "T2",
        "MPR",
        "MIP",
    ]
)
"""Words of image types (PS3.3 C.8.3.1.1.1, C.8.13.3.1) that tell volumes of one acquisition apart."""

_STEADY: Final[tuple[Shared, ...]] = ("image type", "echo time", "b-value", "energy", "reconstruction kernel")
"""What all planes of a volume share of what tells volumes apart."""

_SAME_SPACING_MM: Final = 1e-4
_FEWEST: Final = 2
_OFF_GRID_VOXELS: Final = 0.1
"""How far a plane may lie from its place in an evenly spaced stack, in units of the distance between planes."""

_SHIFTED_VOXELS: Final = 0.1
"""How far the planes may be shifted against each other over the whole stack, in pixels."""


@dataclass(frozen=True, eq=False, slots=True)
class Plane:
    """A frame, with its place along the normal of the stack."""

    instance: Instance
    frame: Frame
    place: Place
    height_mm: float
    """Along the normal."""


@dataclass(frozen=True, eq=False, slots=True)
class Stack:
    """Planes of one size and orientation, in the order of their heights, no two alike."""

    planes: tuple[Plane, ...]
    row: np.ndarray
    """(3,) unit vector, LPS+: direction in which the columns are counted."""
    column: np.ndarray
    """(3,) unit vector, LPS+: direction in which the rows are counted."""

    @property
    def positions_mm(self) -> np.ndarray:
        """(P, 3) centres of the planes' first pixels, LPS+."""
        return np.array([plane.place.position_mm for plane in self.planes])

    @property
    def heights_mm(self) -> np.ndarray:
        """(P,) along the normal."""
        return np.array([plane.height_mm for plane in self.planes])

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Between columns, between rows."""
        return self.planes[0].place.spacing_mm

    @property
    def normal(self) -> np.ndarray:
        """(3,) unit vector, LPS+, in which the planes follow each other."""
        return _unit(np.cross(self.row, self.column))

    def step_mm(self) -> np.ndarray:
        """(3,) from a plane to the next, the mean over the stack, LPS+."""
        step: np.ndarray = (self.positions_mm[-1] - self.positions_mm[0]) / (len(self.planes) - 1)
        return step

    def affine_lps(self) -> np.ndarray:
        """(4, 4) voxel index (column, row, plane) -> LPS+ mm, of an evenly spaced stack."""
        affine = np.eye(4)
        affine[:3, 0] = self.row * self.spacing_mm[0]
        affine[:3, 1] = self.column * self.spacing_mm[1]
        affine[:3, 2] = self.step_mm()
        affine[:3, 3] = self.positions_mm[0]
        return affine


def stack_of(instances: Sequence[Instance]) -> tuple[Stack | None, tuple[Verdict, ...]]:
    """Order a series' planes and judge them.

    Returns:
        The stack, None where there is none to speak of; and the rules that it breaks, if any.
    """
    mixed = _mixed_objects(instances)
    if mixed:
        return None, mixed
    placed = [(each, frame, frame.place) for each in instances for frame in each.frames if frame.place is not None]
    unplaced = sum(len(each.frames) for each in instances) - len(placed)
    if unplaced:
        return None, (NoGeometry(planes=unplaced),)
    mixed = _mixed_places([place for _, _, place in placed])
    if mixed:
        return None, mixed
    row, column = _common_orientation([place for _, _, place in placed])
    normal = _unit(np.cross(row, column))
    planes = sorted(
        (Plane(each, frame, place, float(np.dot(place.position_mm, normal))) for each, frame, place in placed),
        key=lambda plane: (plane.height_mm, plane.instance.uid, plane.frame.number),
    )
    repeated = _repeated(planes)
    if repeated is not None:
        return None, (repeated,)
    if len(planes) < _FEWEST:
        return None, (TooFewSlices(slices=len(planes)),)
    stack = Stack(tuple(planes), row, column)
    return stack, (*_mixed_kinds(planes), *_tilt(stack), *_gap(stack))


def _mixed_objects(instances: Sequence[Instance]) -> tuple[Verdict, ...]:
    if any(instance.mosaic for instance in instances):
        return (Mosaic(),)
    found: tuple[tuple[Shared, set[Hashable]], ...] = (
        ("patient", {each.patient for each in instances}),
        ("study", {each.study_uid for each in instances}),
        ("frame of reference", {each.frame_of_reference for each in instances}),
        ("object class", {each.sop_class for each in instances}),
        ("size", {each.shape for each in instances}),
    )
    return tuple(Mixed(what=what, values=len(values)) for what, values in found if len(values) > 1)


def _mixed_places(places: Sequence[Place]) -> tuple[Verdict, ...]:
    verdicts = []
    orientations = _count_orientations(places)
    if orientations > 1:
        verdicts.append(Mixed(what="orientation", values=orientations))
    spacings = {place.spacing_mm for place in places}
    if np.ptp(np.array(list(spacings)), axis=0).max() > _SAME_SPACING_MM:
        verdicts.append(Mixed(what="spacing", values=len(spacings)))
    return tuple(verdicts)


def _mixed_kinds(planes: Sequence[Plane]) -> tuple[Verdict, ...]:
    """Planes of several volumes that lie beside each other: what is steady within one volume differs."""
    found = ((kind, {_steady(plane, kind) for plane in planes}) for kind in _STEADY)
    return tuple(Mixed(what=kind, values=len(values)) for kind, values in found if len(values) > 1)


def _steady(plane: Plane, kind: str) -> Hashable:
    """A value; of an image type what part of the signal it shows, since others may say how a plane was acquired."""
    value = _value(plane, kind)
    return frozenset(re.split(r"[\\/]", value)) & _PARTS if kind == "image type" else value


def _count_orientations(places: Sequence[Place]) -> int:
    left = np.array([[*place.row, *place.column] for place in places])
    count = 0
    while len(left):
        left = left[np.abs(left - left[0]).max(axis=1) > SAME_DIRECTION]
        count += 1
    return count


def _common_orientation(places: Sequence[Place]) -> tuple[np.ndarray, np.ndarray]:
    """The median of each direction cosine: whatever order the planes are in, it is the same."""
    return (
        _unit(np.median([place.row for place in places], axis=0)),
        _unit(np.median([place.column for place in places], axis=0)),
    )


def _unit(vector: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vector / np.linalg.norm(vector)
    return unit


def _repeated(planes: Sequence[Plane]) -> Verdict | None:
    """What to say of planes that lie at one place, if some do."""
    places = _places(planes)
    if all(len(place) == 1 for place in places):
        return None
    for kinds in _partings(planes):
        volumes: dict[Hashable, list[Plane]] = {}
        for plane in planes:
            volumes.setdefault(_key(plane, kinds), []).append(plane)
        if all(len(place) == 1 for volume in volumes.values() for place in _places(volume)):
            return SeveralVolumes(volumes=len(volumes), by=tuple(kinds))
    return Duplicate(positions=sum(len(place) > 1 for place in places))


def _places(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Planes by place, from planes in the order of their heights."""
    places: list[list[Plane]] = []
    distances = np.diff([plane.height_mm for plane in planes])
    apart = distances[distances > _SAME_PLACE_MM]
    near = max(_SAME_PLACE_MM, _SAME_PLACE * float(np.percentile(apart, _USUAL))) if len(apart) else _SAME_PLACE_MM
    for plane in planes:
        if places and plane.height_mm - places[-1][0].height_mm <= near:
            places[-1].append(plane)
        else:
            places.append([plane])
    return places


_OBJECT: Final = "object"
"""One volume an object, as some scanners store time points."""


def _partings(planes: Sequence[Plane]) -> list[list[str]]:
    """What may tell volumes apart: one thing alone, the likeliest first, then all that differ together."""
    several_frames = any(len(plane.instance.frames) > 1 for plane in planes)
    differing = [kind for kind in KINDS if len({_value(plane, kind) for plane in planes}) > 1]
    objects = [_OBJECT] if several_frames else []
    return [*([kind] for kind in (*differing, *objects)), differing]


def _key(plane: Plane, kinds: Sequence[str]) -> Hashable:
    return tuple(plane.instance.uid if kind == _OBJECT else _value(plane, kind) for kind in kinds)


def _value(plane: Plane, kind: str) -> str:
    return plane.frame.kinds[KINDS.index(kind)]


def _tilt(stack: Stack) -> tuple[Verdict, ...]:
    whole = stack.positions_mm[-1] - stack.positions_mm[0]
    offsets = stack.positions_mm - stack.positions_mm[0]
    columns_mm, rows_mm = stack.spacing_mm
    shifts = np.abs(np.stack([offsets @ stack.row / columns_mm, offsets @ stack.column / rows_mm]))
    if shifts.max() <= _SHIFTED_VOXELS:
        return ()
    cosine = float(np.clip(whole @ stack.normal / np.linalg.norm(whole), -1.0, 1.0))
    return (Tilt(degrees=degrees(acos(cosine))),)


def _gap(stack: Stack) -> tuple[Verdict, ...]:
    heights = stack.heights_mm
    distances = np.diff(heights)
    even = np.linspace(heights[0], heights[-1], len(heights))
    usual = float(np.median(distances))
    if np.abs(heights - even).max() <= _OFF_GRID_VOXELS * (even[1] - even[0]):
        return ()
    return (Gap(distances_mm=tuple(map(float, distances)), usual_mm=usual),)
