"""Reading RTSTRUCT objects (PS3.3 A.19): contours in patient coordinates become masks on its planes."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from scnas_deploy.data.dicom.grid import Stack
from scnas_deploy.data.dicom.polygons import fill
from scnas_deploy.errors import FormatError

_OFF_PLANE: Final = 0.5
"""How far a contour's points may lie from its plane, in units of the distance between planes."""
_PLANAR: Final = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


def roi_names(dataset: Any) -> dict[int, str]:
    """Number of each region of interest -> its name."""
    return {int(item.ROINumber): str(item.ROIName) for item in dataset.StructureSetROISequence}


def roi_on_planes(dataset: Any, number: int, stack: Stack) -> np.ndarray:
    """Draw a region of interest on the planes of the image it was drawn on.

    Args:
        dataset: The RTSTRUCT object.
        number: Of the region.
        stack: The image's planes.

    Returns:
        (planes, rows, columns), bool: whether a pixel's centre lies within the region; one contour within another cuts
        a hole.

    Raises:
        FormatError: If there is no such region, or a contour lies between planes or across them.
    """
    columns, rows = stack.planes[0].instance.shape
    by_plane: dict[int, list[np.ndarray]] = {}
    for points_mm in _contours(dataset, number):
        plane = _plane_of(points_mm, stack)
        offsets = points_mm - stack.positions_mm[plane]
        polygon = np.stack([offsets @ stack.row, offsets @ stack.column], axis=1) / stack.spacing_mm
        by_plane.setdefault(plane, []).append(polygon)
    mask = np.zeros((len(stack.planes), rows, columns), dtype=bool)
    for plane, polygons in by_plane.items():
        mask[plane] = fill(polygons, (rows, columns))
    return mask


def _plane_of(points_mm: np.ndarray, stack: Stack) -> int:
    heights = points_mm @ stack.normal
    plane = int(np.abs(stack.heights_mm - heights.mean()).argmin())
    if np.abs(heights - stack.heights_mm[plane]).max() > _OFF_PLANE * np.diff(stack.heights_mm).min():
        raise _error("contours that lie on the image's planes", "one across or between them")
    return plane


def _contours(dataset: Any, number: int) -> Iterator[np.ndarray]:
    """(points, 3) each, LPS+ mm."""
    for item in dataset.ROIContourSequence:
        if int(item.ReferencedROINumber) != number:
            continue
        for contour in item.get("ContourSequence", ()):
            if str(contour.ContourGeometricType) in _PLANAR:
                yield np.array(contour.ContourData, dtype=np.float64).reshape(-1, 3)
        return
    raise _error(f"a region of interest with the number {number}", "none")


def _error(expected: str, found: str) -> FormatError:
    return FormatError("the RTSTRUCT", expected=expected, found=found, remedy="Take the image it was drawn on")
