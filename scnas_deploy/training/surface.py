"""Distances between the surfaces of two masks: HD95 and normalised surface Dice. Torch-free.

A mask's surface is the set of its edge voxels: those of which one of the six neighbours lies outside of the mask,
where the image's border counts as outside. Distances run between voxel centres in millimetres and are right to
1e-4 mm; the axes of a sheared grid are taken as perpendicular. Definitions as MONAI's
``compute_hausdorff_distance(percentile=95)`` and ``compute_surface_dice`` (no subvoxels); a test compares them. What
differs:

- Both masks empty: None; MONAI answers NaN.
- One mask empty: the HD95 is undefined and None, where MONAI answers infinity; the surface Dice is 0 in both.
- A distance that exceeds the tolerance by less than 1e-4 mm counts as within it: a spacing that a header stores as
  1.0000001 mm must not turn every one-voxel error from right to wrong.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its documented short name)

from scnas_deploy.types import MaskXYZ, Spacing

DEFAULT_TOLERANCE_MM = 1.0
PERCENTILE = 95.0
_ROUNDING_MM = 1e-4


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class SurfaceDistances:
    """Distance in mm of each edge voxel to the other mask's surface; infinite where the other mask is empty."""

    from_truth_mm: np.ndarray
    from_predicted_mm: np.ndarray

    def hd95_mm(self) -> float | None:
        """Return the 95th percentile Hausdorff distance in mm: the larger of both directions' percentiles.

        None where a mask, or both, is empty: there is no distance to nothing.
        """
        both = (self.from_truth_mm, self.from_predicted_mm)
        if not all(distances.size for distances in both):
            return None
        return max(float(np.percentile(distances, PERCENTILE)) for distances in both)

    def nsd(self, *, tolerance_mm: float = DEFAULT_TOLERANCE_MM) -> float | None:
        """Return the share of both surfaces' voxels that lie within the tolerance of the other surface.

        0 where one mask is empty, None where both are.
        """
        distances = np.concatenate([self.from_truth_mm, self.from_predicted_mm])
        return float(np.mean(distances <= tolerance_mm + _ROUNDING_MM)) if distances.size else None


def surface_distances(truth_XYZ: MaskXYZ, predicted_XYZ: MaskXYZ, spacing_mm: Spacing) -> SurfaceDistances:
    """Measure from each surface to the other.

    Args:
        truth_XYZ: The mask to compare with.
        predicted_XYZ: The mask to judge, on the same grid.
        spacing_mm: The grid's distance between voxel centres along X, Y, Z in mm.
    """
    box = _bounding_box(truth_XYZ | predicted_XYZ)
    truth_edges, predicted_edges = mask_edges(truth_XYZ[box]), mask_edges(predicted_XYZ[box])
    return SurfaceDistances(
        from_truth_mm=_distances(truth_edges, predicted_edges, spacing_mm),
        from_predicted_mm=_distances(predicted_edges, truth_edges, spacing_mm),
    )


def mask_edges(mask_XYZ: MaskXYZ) -> MaskXYZ:
    """Return the voxels of a mask of which one of the six neighbours lies outside of it."""
    padded = np.pad(mask_XYZ, 1)
    within = slice(1, -1)
    inner = mask_XYZ.copy()
    for axis, side in product(range(3), (slice(None, -2), slice(2, None))):
        neighbours = [within] * 3
        neighbours[axis] = side
        inner &= padded[tuple(neighbours)]
    edges: np.ndarray = mask_XYZ & ~inner
    return edges


def _bounding_box(mask_XYZ: MaskXYZ) -> tuple[slice, slice, slice]:
    x, y, z = (_extent(mask_XYZ, others) for others in ((1, 2), (0, 2), (0, 1)))
    return x, y, z


def _extent(mask_XYZ: MaskXYZ, others: tuple[int, int]) -> slice:
    places = np.flatnonzero(mask_XYZ.any(axis=others))
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 0)


def _distances(starts_XYZ: MaskXYZ, targets_XYZ: MaskXYZ, spacing_mm: Spacing) -> np.ndarray:
    """Distance in mm from each starting voxel to the nearest target."""
    if not starts_XYZ.any() or not targets_XYZ.any():
        return np.full(int(starts_XYZ.sum()), np.inf)
    image = sitk.GetImageFromArray(targets_XYZ.transpose(2, 1, 0).astype(np.uint8))  # SimpleITK's arrays run Z, Y, X
    image.SetSpacing(spacing_mm)
    signed = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    signed_XYZ = sitk.GetArrayViewFromImage(signed).transpose(2, 1, 0)
    distances: np.ndarray = np.maximum(signed_XYZ[starts_XYZ], 0)  # targets themselves are at or below zero
    return distances.astype(np.float64)
