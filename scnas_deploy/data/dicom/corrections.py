"""Making a regular grid of planes that form none, where the user allows it: shifted planes, uneven distances.

Values between planes are interpolated linearly, and so are those between the pixels of a plane that is shifted by a
part of one. The new grid keeps the planes' orientation and pixel spacing; it is large enough for all of them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from scnas_deploy.data.dicom.grid import Stack
from scnas_deploy.errors import GeometryError

_MOST_LEVELS: Final = 4


@dataclass(frozen=True, eq=False, slots=True)
class Corrected:
    """A regular grid made of planes that formed none."""

    voxels_XYZ: np.ndarray
    affine_lps: np.ndarray
    """(4, 4) voxel index -> LPS+ mm."""
    windows: tuple[tuple[int, int, int], ...]
    """Of each plane: the voxel that is nearest to its first pixel."""


def correct(stack: Stack, voxels_XYP: np.ndarray) -> Corrected:
    """Bring planes onto an orthogonal, evenly spaced grid.

    Args:
        stack: The planes.
        voxels_XYP: Their values: columns, rows, planes.

    Returns:
        The grid, of the same type of values; beyond the planes lies their lowest value.
    """
    spacing = stack.spacing_mm
    heights = stack.heights_mm - stack.heights_mm[0]
    step = float(np.median(np.diff(heights)))
    offsets = stack.positions_mm - stack.positions_mm[0]
    shifts_P2 = np.stack([offsets @ stack.row / spacing[0], offsets @ stack.column / spacing[1]], axis=1)
    low_2 = np.floor(shifts_P2.min(axis=0) + 1e-6)
    size_2 = np.array(voxels_XYP.shape[:2]) + np.ceil(shifts_P2.max(axis=0) - low_2 - 1e-6).astype(int)
    levels = np.arange(round(heights[-1] / step) + 1) * step
    if len(levels) > _MOST_LEVELS * len(heights):
        raise GeometryError(
            "the series",
            expected=f"gaps that at most {_MOST_LEVELS} times as many planes fill",
            found=f"{len(heights)} planes over {heights[-1]:.0f} mm, {step:.2f} mm apart mostly",
            remedy="Send one complete volume, as it was reconstructed",
        )
    fill = float(voxels_XYP.min())
    grid = np.empty((*size_2, len(levels)), dtype=voxels_XYP.dtype)
    moved: dict[int, np.ndarray] = {}
    for level, height in enumerate(levels):
        above = min(max(int(np.searchsorted(heights, height)), 1), len(heights) - 1)
        moved = {
            p: moved[p] if p in moved else _moved(voxels_XYP[..., p], shifts_P2[p] - low_2, size_2, fill)
            for p in (above - 1, above)
        }
        part = (height - heights[above - 1]) / (heights[above] - heights[above - 1])
        part = float(np.clip(part, 0.0, 1.0))
        grid[..., level] = _as_type((1 - part) * moved[above - 1] + part * moved[above], grid.dtype)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = stack.row * spacing[0], stack.column * spacing[1]
    affine[:3, 2] = stack.normal * step
    affine[:3, 3] = stack.positions_mm[0] + affine[:3, :2] @ low_2
    corners = np.rint(np.column_stack([shifts_P2 - low_2, np.minimum(heights / step, len(levels) - 1)])).astype(int)
    return Corrected(grid, affine, tuple((int(x), int(y), int(z)) for x, y, z in corners))


def _moved(plane_XY: np.ndarray, shift_2: np.ndarray, size_2: np.ndarray, fill: float) -> np.ndarray:
    """A plane on the pixels of a larger one, its first pixel at a place that may lie between them."""
    whole = np.floor(shift_2 + 1e-6).astype(int)
    part_x, part_y = np.clip(shift_2 - whole, 0.0, 1.0)
    moved = np.zeros(tuple(size_2 + 1))
    covered = np.zeros(tuple(size_2 + 1))
    for x, weight_x in ((0, 1 - part_x), (1, part_x)):
        for y, weight_y in ((0, 1 - part_y), (1, part_y)):
            place = tuple(
                slice(start, start + n) for start, n in zip(whole + np.array([x, y]), plane_XY.shape, strict=True)
            )
            moved[place] += weight_x * weight_y * plane_XY
            covered[place] += weight_x * weight_y
    result: np.ndarray = (moved + (1 - covered) * fill)[: size_2[0], : size_2[1]]
    return result


def _as_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return (np.rint(values) if dtype.kind in "iu" else values).astype(dtype)
