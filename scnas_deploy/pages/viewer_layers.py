"""What the viewer says of a mask: each structure's volume and where to look for it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from scnas_deploy.data.plan import Label
from scnas_deploy.errors import FormatError
from scnas_deploy.types import LabelsXYZ, Shape3, Spacing

_MOST: Final = 65_535
"""Largest label value, and number of structures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Structure:
    """One structure of a layer."""

    name: str
    color: str
    """#rrggbb."""
    num_voxels: int
    ml: float
    focus: Shape3 | None
    """The structure's voxel nearest its centre of mass; None where it has none."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class MaskLayer:
    """A mask in the viewer's own numbers: 0 is background, k the k-th structure."""

    name: str
    numbers_XYZ: np.ndarray
    """uint8, or uint16 where there are more structures."""
    structures: tuple[Structure, ...]


def mask_layer(
    name: str, labels_XYZ: LabelsXYZ, labels: tuple[Label, ...], spacing_mm: Spacing, voxel_ml: float
) -> MaskLayer:
    """Number a mask's structures, measure them and find their middles.

    Raises:
        FormatError: If the mask has values that no label names, or that are no labels.
    """
    numbers = _numbered(name, labels_XYZ, labels)
    return measured_layer(name, numbers, [(label.name, label.color) for label in labels], spacing_mm, voxel_ml)


def measured_layer(
    name: str, numbers_XYZ: np.ndarray, structures: list[tuple[str, str]], spacing_mm: Spacing, voxel_ml: float
) -> MaskLayer:
    """Make a layer of a mask that is numbered 1, 2, ... as its structures' names and colours are listed."""
    voxels = _by_structure(numbers_XYZ, len(structures))
    found = tuple(
        Structure(
            name=title,
            color=color,
            num_voxels=len(places),
            ml=len(places) * voxel_ml,
            focus=_focus(places, numbers_XYZ.shape, spacing_mm),
        )
        for (title, color), places in zip(structures, voxels, strict=True)
    )
    return MaskLayer(name=name, numbers_XYZ=numbers_XYZ, structures=found)


def _numbered(name: str, labels_XYZ: LabelsXYZ, labels: tuple[Label, ...]) -> np.ndarray:
    low, high = (int(labels_XYZ.min()), int(labels_XYZ.max())) if labels_XYZ.size else (0, 0)
    if low < 0 or high > _MOST:
        raise _error(name, f"label values from 0 to {_MOST}", f"{low} to {high}")
    table = np.zeros(_MOST + 1, dtype=np.uint8 if len(labels) < 256 else np.uint16)
    for number, label in enumerate(labels, start=1):
        if label.value <= _MOST:
            table[label.value] = number
    present = np.flatnonzero(np.bincount(labels_XYZ.ravel(), minlength=1))
    unknown = [int(value) for value in present if value and not table[value]]
    if unknown:
        raise _error(name, "label values that have a name", ", ".join(map(str, unknown[:5])))
    numbers: np.ndarray = table[labels_XYZ]
    return numbers


def _by_structure(numbers_XYZ: np.ndarray, count: int) -> list[np.ndarray]:
    """Of each structure: flat indices of its voxels."""
    found = np.flatnonzero(numbers_XYZ)
    numbers = numbers_XYZ.ravel()[found]
    ordered = found[np.argsort(numbers, kind="stable")]
    sizes = np.bincount(numbers, minlength=count + 1)[1:]
    return np.split(ordered, np.cumsum(sizes)[:-1])


def _focus(places: np.ndarray, shape: tuple[int, ...], spacing_mm: Spacing) -> Shape3 | None:
    if not len(places):
        return None
    voxels = np.stack(np.unravel_index(places, shape), axis=1)
    away_mm = (voxels - voxels.mean(axis=0)) * spacing_mm
    x, y, z = voxels[int((away_mm**2).sum(axis=1).argmin())]
    return int(x), int(y), int(z)


def _error(name: str, expected: str, found: str) -> FormatError:
    return FormatError(
        f"layer '{name}'", expected=expected, found=found, remedy="Name each value of the mask, or drop it"
    )
