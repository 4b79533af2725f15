"""Reading RTSTRUCT objects (PS3.3 A.19): contours in patient coordinates become masks on a volume's grid."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from scnas_deploy.data.dicom.polygons import fill
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import FormatError
from scnas_deploy.types import MaskXYZ

_OFF_PLANE_VOXELS: Final = 0.5
_PLANAR: Final = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_LPS_TO_RAS: Final = np.array([-1.0, -1.0, 1.0])


def roi_names(dataset: Any) -> dict[int, str]:
    """Number of each region of interest -> its name."""
    return {int(item.ROINumber): str(item.ROIName) for item in dataset.StructureSetROISequence}


def roi_mask(dataset: Any, number: int, volume: Volume) -> MaskXYZ:
    """Draw a region of interest on a volume's grid.

    Args:
        dataset: The RTSTRUCT object.
        number: Of the region.
        volume: The image; its planes along Z are those that the contours lie on.

    Returns:
        Whether a voxel's centre lies within the region; one contour within another cuts a hole.

    Raises:
        FormatError: If there is no such region, or a contour lies between planes or across them.
    """
    columns, rows, planes = volume.shape
    by_plane: dict[int, list[np.ndarray]] = {}
    to_voxels = np.linalg.inv(volume.affine_ras)
    for points_mm in _contours(dataset, number):
        voxels = (points_mm * _LPS_TO_RAS) @ to_voxels[:3, :3].T + to_voxels[:3, 3]
        plane = round(float(voxels[:, 2].mean()))
        if np.abs(voxels[:, 2] - plane).max() > _OFF_PLANE_VOXELS:
            raise _error("contours that lie on the image's planes", "one across or between them")
        by_plane.setdefault(plane, []).append(voxels[:, :2])
    mask = np.zeros(volume.shape, dtype=bool)
    for plane, polygons in by_plane.items():
        if 0 <= plane < planes:
            mask[..., plane] = fill(polygons, (rows, columns)).T
    return mask


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
